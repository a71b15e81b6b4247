"""A search from its space to its end: a new one made ready, one that goes on, and either driven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.driving import Audience, drive_shown
from archsearch.api.reporting import report_at_the_end
from archsearch.api.sending import tell_backlog
from archsearch.api.starting import networks_tried_first, starting_parents, with_sources
from archsearch.data.images import Progress
from archsearch.experiment import ExperimentFolder, Ledger, find
from archsearch.experiment.file_systems import note_of
from archsearch.experiment.files import numbered
from archsearch.experiment.folder import EXPERIMENTS
from archsearch.experiment.suggested import command_of
from archsearch.experiment.summary import summarise
from archsearch.reading.errors import InputError, refuse
from archsearch.search.proposing.samplers.registry import sampler_for, takes_experience
from archsearch.search.running.address import refuse_if_unusable
from archsearch.search.session import Finishing, Session, complete, create
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.settings import NAME
from archsearch.space.space import SearchSpace
from archsearch.tracking import refuse_unusable_store

if TYPE_CHECKING:
    from archsearch.api.data import DataSource
    from archsearch.data.images import ImageSet
    from archsearch.search.proposing.experience import Learnt
    from archsearch.search.proposing.warm_start import Carried
    from archsearch.space.many.survey import Survey

DRY_SAMPLES = 2000
DRY_PROPOSALS = 3


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A search whose experiment is there, to be driven."""

    space: SearchSpace
    session: Session

    def drive(self, audience: Audience, *, go_on: str) -> dict[str, Any]:
        """Searches until it ends and writes the report; returns the summary. Takes `go_on` and raises as
        `drive_shown`."""
        summary = drive_shown(self.space, self.session, audience, go_on=go_on)
        report_at_the_end(self.session.folder, audience.tell)
        return summary


def begin(
    space: SearchSpace,
    *,
    name: str | None,
    output: Path | None,
    new: bool = False,
    data: DataSource | None = None,
    warm_start: str | Path | None = None,
    learn_from: Sequence[str | Path] = (),
    address: str | None = None,
    runtime_env: bool = False,
    tracking_uri: str | None = None,
    tell: Progress,
) -> Ready:
    """Reads the images, fits the recipe to them, makes the experiment in `output` or below experiments/, where arrays
    of the `data` are kept, and returns the search, to be driven. Results of the experiment `warm_start` are carried
    over; where the search begins, the experiments `learn_from` say, or those of experiments/. Raises InputError, also
    where the last experiment of that name was interrupted, unless it is to be a `new` one."""
    folder = _noted_folder(space, name, output, tell, new=new)
    refuse_if_unusable(address)
    refuse_unusable_store(tracking_uri)
    sampler_for(space.search)
    from archsearch.data.datasets import load_images
    from archsearch.data.describing import describe
    from archsearch.space.fitting import fitted

    if data is not None and data.arrays is not None:
        space = replace(space, data=data.kept_in(folder.create().arrays, space.data))
    images = load_images(space.data, progress=tell)  # before there is a folder: they may not be there
    settled = fitted(space, describe(images, space.training))
    for note in settled.notes[len(space.notes) :]:
        tell(f"note: {note}")
    space, images, sources = with_sources(settled, images, tell)
    carried = _carried_over(space, warm_start, tell, images=images)
    learnt = _learnt(space, learn_from, tell, alone=output is not None)
    parents = starting_parents(space, sources, images, tell)
    first = networks_tried_first(space, tell)
    create(space, folder, name=name or folder.name, carried=carried, learnt=learnt, parents=parents, first=first)
    tell(f"experiment {folder.name} in {folder.path}")
    session = Session(
        folder=folder,
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        images=images,
        finishing=_finishing(space, address, tell),
    )
    return Ready(space=space, session=session)


def go_on(
    folder: ExperimentFolder,
    *,
    trials: int | None = None,
    force: bool = False,
    root: Path | None = None,
    address: str | None = None,
    runtime_env: bool = False,
    tracking_uri: str | None = None,
    tell: Progress,
) -> Ready | None:
    """The search of an experiment that is there, to be driven further; None where it is finished and is to have no more
    trials: then what its last driver left undone is done. Raises InputError, and DriverRunning where that goes on."""
    from archsearch.search.agreement import trials_in_file

    summary = summarise(folder)
    finished, planned = summary["state"] == "finished", summary["trials"]["planned"] or 0
    if finished and trials is None and (trials_in_file(folder) or 0) <= planned:
        _complete(folder, tracking_uri, tell)
        return None
    refuse_if_unusable(address)
    refuse_unusable_store(tracking_uri)
    overrides = [f"search.trials={trials}"] if trials is not None else []
    space = load_space(folder.space_yaml, [*root_overrides(root), *overrides])
    sampler_for(space.search)
    if finished and (space.search.epochs is not None or space.search.wall_time is not None):
        tell("note: search.epochs and search.wall_time still apply, over all sessions together")
    session = Session(
        folder=folder,
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        force=force,
        root=root,
        trials=trials,
        finishing=_finishing(space, address, tell),
    )
    return Ready(space=space, session=session)


def _finishing(space: SearchSpace, address: str | None, tell: Progress) -> Finishing | None:
    """What trains the best longer at the end. On a cluster only where the file says for how long: it runs on this
    machine alone."""
    if space.search.finish == "none" or (address is not None and space.search.finish == "auto"):
        return None
    if address is not None:
        tell("note: search.finish trains on this machine, not on the cluster")
    from archsearch.search.confirming import finishing

    return finishing.Finishing()


def _complete(folder: ExperimentFolder, tracking_uri: str | None, tell: Progress) -> None:
    """Does what a driver that was killed after the search's end has left undone, and tells what MLflow lacks."""
    try:
        complete(folder)
    except (OSError, InputError) as error:
        tell(f"archsearch: temporary files were not removed: {error}")
    with Ledger.read(folder.ledger) as ledger:
        end = ledger.last_session()
    if not folder.report.is_file() or (end is not None and folder.report.stat().st_mtime < end.time):
        report_at_the_end(folder, tell)
    tell_backlog(folder, tracking_uri, tell)


def _noted_folder(
    space: SearchSpace, name: str | None, output: Path | None, tell: Progress, *, new: bool
) -> ExperimentFolder:
    """The folder of a new experiment: `output` itself; experiments/NAME; or the first of experiments/NAME, NAME-2,
    NAME-3, ... that is free. Tells the space's notes. Raises InputError where the folder cannot be made, and where the
    last of these experiments was interrupted, unless it is to be a `new` one."""
    folder = _folder(space, name, output, new=new)
    folder.refuse_if_unusable()
    for note in (*space.notes, *filter(None, [note_of(folder.path)])):
        tell(f"note: {note}")
    return folder


def _folder(space: SearchSpace, name: str | None, output: Path | None, *, new: bool) -> ExperimentFolder:
    if name is not None and not re.fullmatch(NAME, name):
        raise refuse(f"the name {name!r:.80}", allowed="1 to 64 letters, digits, _ and -", file="--name")
    if output is not None:
        return ExperimentFolder(output)
    if name is not None and not new:
        folder = ExperimentFolder(EXPERIMENTS / name)
        if folder.ledger.exists():
            hint = f"`{command_of(folder, 'resume')}` continues it; another --name, or --new, starts a new one"
            raise refuse(f"the experiment {name} already exists", hint=hint, file="--name")
        return folder
    last = None
    for path in numbered(EXPERIMENTS / (name or space.name)):
        if not path.exists():
            break
        last = ExperimentFolder(path)
    if last is not None and not new and _is_interrupted(last):
        hint = f"`{command_of(last, 'resume')}` continues it; --new starts another one in {path}"
        raise refuse(f"the experiment {last.name} was interrupted", hint=hint, file=str(last.path))
    return ExperimentFolder(path)


def _is_interrupted(folder: ExperimentFolder) -> bool:
    """Whether a search was interrupted, or its driver killed. Not one whose ledger cannot be read, which nobody can
    resume, and not one of which no trial had begun."""
    with suppress(InputError, OSError):
        summary = summarise(folder) if folder.ledger.is_file() else None
        return summary is not None and summary["state"] == "interrupted" and summary["trials"]["total"] > 0
    return False


def _carried_over(
    space: SearchSpace, experiment: str | Path | None, tell: Progress, *, images: ImageSet | None
) -> Carried | None:
    """The results that a warm start from an experiment carries over, of which the person is told; None without one.
    Raises InputError; also where `images` are not those that the experiment was searched on."""
    if experiment is None:
        return None
    from archsearch.search.proposing.warm_start import carry_over

    carried = carry_over(space, find(experiment), images)
    for line in carried.lines():
        tell(line)
    return carried


def _learnt(space: SearchSpace, named: Sequence[str | Path], tell: Progress, *, alone: bool) -> Learnt | None:
    """What the named experiments teach, or, unless the search is to stand `alone`, those of experiments/, of which the
    person is told; None where nobody is to learn. Raises InputError for a named one that cannot be learnt from."""
    if not takes_experience(space.search):
        if named:
            raise refuse(
                "only the sampler bayes (auto), with a single objective, learns from other experiments",
                hint="omit --learn-from",
                file="--learn-from",
            )
        return None
    if space.search.experience == "none" and not named:
        return None
    from archsearch.search.proposing.experience import experience

    learnt = experience(None if alone else EXPERIMENTS, [find(experiment) for experiment in named])
    for line in learnt.lines():
        tell(line)
    return learnt


def _training_images(space: SearchSpace, tell: Progress) -> tuple[int | None, tuple[int, ...]]:
    """How many training images there are (None: not known before they are read), and of each class where that is
    known."""
    from archsearch.data.surveying import survey_folder
    from archsearch.space.datasets import facts, split_sizes

    if space.data.is_source:
        survey = survey_folder(space.data, tell)
        return max(1, survey.train), survey.images["train"]
    images = facts(space.data).images
    return (None if images is None else split_sizes(space.data, images)[0]), ()


def dry_run(
    space: SearchSpace,
    *,
    name: str | None,
    output: Path | None,
    new: bool = False,
    warm_start: str | Path | None = None,
    learn_from: Sequence[str | Path] = (),
    tell: Progress,
) -> tuple[dict[str, Any], SearchSpace, Survey]:
    """What `begin` would do, as plain JSON values (its trials, its space's size, its first proposals), the space with
    the recipe that is expected, and the survey of it that the share within the budget is of. Writes nothing."""
    from archsearch.data.datasets import load_images
    from archsearch.space.fitting import expected, warnings

    folder = _noted_folder(space, name, output, tell, new=new)
    train, counts = _training_images(space, tell)
    known, space = len(space.notes), expected(space, train, counts)
    for note in space.notes[known:]:
        tell(f"note: {note}")
    for warning in (told := [] if train is None else warnings(space, train)):
        tell(f"warning: {warning}")
    if warm_start is not None:  # images that would have to be downloaded are not compared
        images = (
            load_images(space.data, progress=tell, measured=False)
            if space.data.name == "digits" or space.data.is_source
            else None
        )
        _carried_over(space, warm_start, tell, images=images)
    from archsearch.search.proposing.proposals import Proposals
    from archsearch.space.many.survey import survey

    learnt = _learnt(space, learn_from, tell, alone=output is not None)
    proposals = Proposals(space, weights=learnt.weights if learnt is not None else None)
    first = [proposals.propose(number) for number in range(1, min(DRY_PROPOSALS, space.search.trials) + 1)]
    looked, extent = survey(space, samples=DRY_SAMPLES), space.extent()
    document = {
        "dry_run": True,
        "warnings": told,
        "experiment": folder.name,
        "folder": str(folder.path),
        "objectives": dict(space.search.objectives),
        "trials": space.search.trials,
        "seed": space.search.seed,
        "size": extent.count if extent.count != float("inf") else None,
        "share_within_budget": looked.share,
        "proposals": [
            {"digest": c.digest, **c.price.to_dict(), "architecture": c.architecture.to_dict()}
            for c in first
            if c is not None
        ],
    }
    return document, space, looked

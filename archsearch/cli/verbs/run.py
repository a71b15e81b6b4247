"""`archsearch run`: a search from a search-space file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.dispatch import DONE
from archsearch.cli.options import Address, Json, RuntimeEnv, Set, SpaceFile, TrackingUri
from archsearch.cli.showing.printing import percent, print_json, short, table, tell
from archsearch.experiment import ExperimentFolder
from archsearch.experiment.files import numbered
from archsearch.experiment.folder import EXPERIMENTS, find
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.search.proposing.warm_start import Carried
    from archsearch.space.space import SearchSpace

DRY_SAMPLES = 2000
DRY_PROPOSALS = 3


def run(
    space: SpaceFile,
    *,
    trials: Annotated[int | None, typer.Option(help="Trials in all: search.trials.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the search: search.seed.")] = None,
    name: Annotated[str | None, typer.Option(help="The experiment's name; left out: the file's.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder; left out: experiments/NAME.")] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start",
            metavar="EXPERIMENT",
            help="Learn from an earlier experiment on the same data, whose space may have been another.",
        ),
    ] = None,
    sets: Set = None,
    address: Address = None,
    runtime_env: RuntimeEnv = False,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Shows what would run, and writes nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Searches a space for the best network within its budget.

    Ctrl-C saves and leaves (exit code 3); `archsearch resume` goes on. A second Ctrl-C leaves at once.
    """
    from archsearch.space.loading import load_space

    overrides = list(sets or ())
    overrides += [f"search.trials={trials}"] if trials is not None else []
    overrides += [f"search.seed={seed}"] if seed is not None else []
    loaded = load_space(space, overrides)
    folder = _folder(loaded, name, output)
    folder.refuse_if_unusable()
    for note in loaded.notes:
        tell(f"note: {note}")
    carried = _carried(loaded, warm_start)
    if dry_run:
        _show_plan(loaded, folder, as_json=as_json)
        return DONE
    from archsearch.cli.driving import drive_and_show
    from archsearch.search.running.address import refuse_if_unusable

    refuse_if_unusable(address)
    from archsearch.data.datasets import load_images

    images = load_images(loaded.data, progress=tell)  # before there is a folder: it may not be there
    from archsearch.search.session import Session, create

    create(loaded, folder, name=name or folder.name, carried=carried)
    tell(f"experiment {folder.name} in {folder.path}")
    session = Session(folder=folder, address=address, runtime_env=runtime_env, tracking_uri=tracking_uri, images=images)
    return drive_and_show(loaded, session, as_json=as_json)


def _carried(space: SearchSpace, experiment: str | None) -> Carried | None:
    """The results that a warm start carries over, of which the person is told; None without one."""
    if experiment is None:
        return None
    from archsearch.search.proposing.warm_start import carry_over

    carried = carry_over(space, find(experiment))
    for line in carried.lines():
        tell(line)
    return carried


def _folder(space: SearchSpace, name: str | None, output: Path | None) -> ExperimentFolder:
    """--output itself; experiments/NAME; or the first of experiments/NAME, NAME-2, NAME-3, ... that is free."""
    from archsearch.space.settings import NAME

    if name is not None and not re.fullmatch(NAME, name):
        raise refuse(f"the name {name!r:.80}", allowed="1 to 64 letters, digits, _ and -", file="--name")
    if output is not None:
        return ExperimentFolder(output)
    if name is None:
        return ExperimentFolder(next(path for path in numbered(EXPERIMENTS / space.name) if not path.exists()))
    folder = ExperimentFolder(EXPERIMENTS / name)
    if folder.ledger.exists():
        hint = f"archsearch resume {name} goes on with it; another --name starts anew"
        raise refuse(f"the experiment {name} is there already", hint=hint, file="--name")
    return folder


def _show_plan(space: SearchSpace, folder: ExperimentFolder, *, as_json: bool) -> None:
    from archsearch.search.proposing.proposals import Proposals
    from archsearch.space.many.survey import survey

    proposals = Proposals(space)
    first = [proposals.propose(number) for number in range(1, min(DRY_PROPOSALS, space.search.trials) + 1)]
    candidates = [candidate for candidate in first if candidate is not None]
    looked, extent = survey(space, samples=DRY_SAMPLES), space.extent()
    if as_json:
        listed = [
            {"digest": c.digest, **c.price.to_dict(), "architecture": c.architecture.to_dict()} for c in candidates
        ]
        document = {"dry_run": True, "experiment": folder.name, "folder": str(folder.path),
                    "trials": space.search.trials, "seed": space.search.seed,
                    "size": extent.count if extent.count != float("inf") else None,
                    "share_within_budget": looked.share, "proposals": listed}  # fmt: skip
        print_json(document)
        return
    among = "all of them" if looked.whole else f"{looked.looked:,} random ones"
    print(f"would run   {space.search.trials} trials of at most {space.training.epochs} epochs on {space.data.name}")
    print(f"in          {folder.path}")
    print(f"space       {extent} combinations; {percent(looked.share)} of {among} within the budget")
    print("\nfirst proposals")
    rows = [(c.digest, *(short(n) for n in (c.price.params, c.price.flops, c.price.macs))) for c in candidates]
    print(table(("digest", "params", "FLOPs", "MACs"), rows))

"""A trained network made smaller: `archsearch.shrink`, and the command of that name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.arguments import names_its_arguments
from archsearch.api.data import data_source
from archsearch.api.driving import Audience
from archsearch.api.initial import counts_of
from archsearch.api.trained_networks import Subject, of_network
from archsearch.experiment.files import numbered
from archsearch.experiment.processes import set_waiting
from archsearch.reading.durations import parse_duration
from archsearch.reading.errors import refuse
from archsearch.reading.files import read_json
from archsearch.space.overrides import TrainSettings, read_train_settings
from archsearch.space.recipes import FINE_TUNING

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.shrinking.job import Shrinking

SHRUNK = Path("shrunk")
CANDIDATES, FINALISTS, IMAGES = 60, 3, 2000


@dataclass(frozen=True)
class Shrunk:
    """What became of a trained network; `document` is the content of shrink.json in its folder."""

    folder: Path
    document: dict[str, Any]

    @property
    def front(self) -> list[dict[str, Any]]:
        """The smaller networks that no other one beats, the largest first: flops, params, `validation` and `test`
        metrics, `untrained` (the score before it was trained on), and the `folder` with its config and weights."""
        return sorted((one for one in self.document["trained"] if one.get("front")), key=lambda one: -one["flops"])

    def __repr__(self) -> str:
        """The number of networks and the folder, in a line."""
        return f"<Shrunk: {len(self.front)} smaller networks, in {self.folder}>"


@names_its_arguments(output="folder")
def shrink(
    architecture: str | Path | Architecture,
    *,
    weights: str | Path,
    data: Any,
    flops: int | str | None = None,
    params: int | str | None = None,
    time: str | float | None = None,
    candidates: int = CANDIDATES,
    finalists: int = FINALISTS,
    images: int = IMAGES,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool | None = None,
    **overrides: Any,
) -> Shrunk:
    """Makes smaller networks of a trained one, like `archsearch shrink`: ranks `candidates` slices of it within the
    limits without training, on at most so many validation `images`, then trains the best of each of `finalists` ranges
    of cost, with the trained network as teacher.

    `architecture`, its trained `weights` and `data` are what `archsearch.train` takes; `flops` and `params` are the
    most that a smaller one may have (30_000_000 or "30M"), `time` ("1h", or seconds) bounds all.
    `overrides` are `training={"epochs": 10}` and the like. `folder` None: the first free of shrunk/NETWORK-DATA. After
    KeyboardInterrupt the same call goes on. Raises InputError.
    """
    set_waiting()
    source, audience = data_source(data), Audience(progress=progress)
    location = None if folder is None else Path(folder)
    settings = fine_tuning(source.options(overrides), [])
    settings = settings.model_copy(update={"data": source.kept_in((location or SHRUNK) / "arrays", settings.data)})
    job = shrinking(
        architecture, settings, weights, counts_of(flops, params), time=time, candidates=candidates,
        finalists=finalists, images=images, seed=seed, folder=location, audience=audience,
    )  # fmt: skip
    return carried_out(job, audience)


def fine_tuning(options: dict[str, tuple[str, Any]], sets: list[str]) -> TrainSettings:
    """The settings that are given, and those of a training that begins with weights for what is not."""
    given = {key.removeprefix("training.") for key in options} | {
        text.partition("=")[0].strip().removeprefix("training.") for text in sets
    }
    first = FINE_TUNING if "recipe" not in given else {"epochs": FINE_TUNING["epochs"]}
    defaults = {f"training.{name}": ("default", value) for name, value in first.items() if name not in given}
    return read_train_settings({**defaults, **options}, sets)


def shrinking(
    architecture: Any, settings: TrainSettings, weights: str | Path, limits: dict[str, int | None], *,
    time: str | float | None, candidates: int, finalists: int, images: int, seed: int, folder: Path | None,
    audience: Audience,
) -> Shrinking:  # fmt: skip
    """The job, made ready. Raises InputError."""
    from archsearch.data.describing import describe
    from archsearch.network.build import Network
    from archsearch.shrinking.job import Plan, Shrinking
    from archsearch.shrinking.scoring import Parent
    from archsearch.shrinking.slices import Limits
    from archsearch.space.fitting import suited

    if not any(limits.values()):
        raise refuse("no limit of the smaller networks", allowed="--flops 30M, --params 100k, or both", file="--flops")
    for name, value, least in (("candidates", candidates, 1), ("finalists", finalists, 1), ("images", images, 1)):
        if value < least:
            raise refuse(f"{value} {name}", allowed=f"{least} or more", file=f"--{name}")
    subject: Subject = of_network(architecture, settings, weights, "validation", audience.tell)
    if not isinstance(subject.network, Network):
        raise refuse(f"{subject.name} is a network of another library", allowed="a network of the grammar", file="ARCH")
    training = suited(subject.settings, describe(subject.images, subject.settings))
    assert subject.parent is not None, "it has weights"
    parent = Parent(network=subject.network, images=subject.images, settings=training, most=images, seed=seed,
                    origin=subject.parent.origin, licence=subject.parent.licence,
                    threads=settings.resources.threads)  # fmt: skip
    facts = {**subject.facts(), "weights": subject.parent.sha256}
    seconds = None if time is None else parse_duration(time) if isinstance(time, str) else float(time)
    plan = Plan(limits=Limits(**limits), candidates=candidates, finalists=finalists, seconds=seconds)
    return Shrinking(parent, facts, plan, folder or _free(f"{subject.name}-{subject.images.name}"))


def _free(name: str) -> Path:
    """The first of shrunk/NAME, -2, -3, ... that holds no finished job."""
    files = (folder / "shrink.json" for folder in numbered(SHRUNK / name))
    return next(file.parent for file in files if not file.exists() or not read_json(file).get("finished"))


def carried_out(job: Shrinking, audience: Audience) -> Shrunk:
    """Carries the job out and shows it. Raises as `shrink`."""
    from archsearch.api.showing.predictions import counting
    from archsearch.api.showing.printing import figures
    from archsearch.shrinking.job import Shown

    shown = Shown(
        tell=audience.tell,
        ranked=lambda done, of: None,
        epoch=lambda name, metrics: audience.tell(f"{name}: {figures(metrics)}"),
    )
    try:
        if audience.progress is False:
            return Shrunk(job.folder, job.carried_out(shown))
        with counting("slices") as ranked:
            return Shrunk(job.folder, job.carried_out(replace(shown, ranked=ranked)))
    except KeyboardInterrupt:
        audience.tell(f"archsearch: the same command, with --output {shlex.quote(str(job.folder))}, continues")
        raise

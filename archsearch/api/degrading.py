"""Plain and residual networks of several depths trained side by side: `archsearch.degradation`, and
`archsearch analyze degradation`."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from archsearch.api.analyzing import Analysis
from archsearch.api.arguments import names_its_arguments
from archsearch.api.data import data_source
from archsearch.api.driving import Audience
from archsearch.api.spaces import plain
from archsearch.api.training import adapted
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.experiment import TrainingFolder, write_atomically
from archsearch.experiment.processes import set_waiting
from archsearch.reading.errors import refuse
from archsearch.reading.files import read_json
from archsearch.space.overrides import TrainSettings, read_train_settings

if TYPE_CHECKING:
    from archsearch.anatomy.degradation import Member, Sample
    from archsearch.data.images import ImageSet
    from archsearch.training.run import TrainingRun

DEPTHS = (20, 56)  # of He 2015, figure 1
IMAGES = 1000  # training images by which the training error is measured


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which networks are trained, with which seeds, and by how many training images errors are measured."""

    depths: Sequence[int] = DEPTHS
    rows: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    images: int = IMAGES

    @classmethod
    def of(cls, depths: str, rows: str, seeds: Sequence[int], images: int | None) -> Self:
        """From a command line, where depths and rows are texts with commas. Raises InputError for depths that are no
        numbers."""
        try:
            numbers = [int(depth) for depth in depths.split(",") if depth.strip()]
        except ValueError:
            raise refuse(
                f"depths {depths!r:.40}", allowed="whole numbers with commas between them", hint="such as 20,56",
                file="--depths",
            ) from None  # fmt: skip
        names = [name.strip() for name in rows.split(",") if name.strip()]
        return cls(depths=numbers, rows=names, seeds=seeds, images=IMAGES if images is None else images)


@names_its_arguments(output="output")
def degradation(
    data: Any,
    *,
    depths: Sequence[int] = DEPTHS,
    rows: Sequence[str] = (),
    seeds: int = 1,
    seed: int = 0,
    epochs: int | None = None,
    images: int = IMAGES,
    output: str | Path | None = None,
    progress: bool | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Trains plain and residual networks of these `depths` (6n + 2 layers) by one recipe, like `archsearch analyze
    degradation` (He et al. 2015, figure 6); returns its figures.

    `data`, `epochs` and `overrides` are those of `archsearch.train`. `rows` adds, at the greatest depth: shortcuts
    (options A, B, C), placements (of norm and activation, He et al. 2016) or identities (alternatives to the identity
    shortcut). Each network is trained with `seeds` seeds, from `seed` on. The training error is measured after each
    epoch on `images` training images, unaugmented. `output` is a page (.html) to write, beside which each training is
    kept, so that the same call goes on after an interruption. Raises InputError.
    """
    source, audience = data_source(data), Audience(progress=progress)
    options = source.options(overrides)
    if epochs is not None:
        options["training.epochs"] = ("epochs", plain(epochs))
    settings = read_train_settings(options, [])
    question = Question(depths=depths, rows=rows, seeds=range(seed, seed + seeds), images=images)
    with tempfile.TemporaryDirectory() if output is None else nullcontext(output) as page:
        location = Path(page) / "degradation.html" if output is None else Path(page)
        arrays = location.with_suffix(".arrays")
        settings = settings.model_copy(update={"data": source.kept_in(arrays, settings.data)})
        result = degradation_of(settings, question, location, audience)
        if output is not None:
            result.write(location)
    return result.figures


def degradation_of(settings: TrainSettings, question: Question, page: Path, audience: Audience) -> Analysis:
    """Trains what is not trained yet beside the page, in a folder NAME.trainings, and makes the page, which is not
    written. An interrupted training has a checkpoint there, at most half a minute old. Raises InputError, OSError."""
    set_waiting()
    from archsearch.anatomy.degradation import members

    networks = members(question.depths, question.rows)
    if page.suffix != ".html":
        raise refuse(f"a page named {page.name}", allowed="a name that ends in .html", file="--output")
    for name, count in (("seeds", len(question.seeds)), ("images", question.images)):
        if count < 1:
            raise refuse(f"{count} {name}", allowed="1 or more", file=f"--{name}")
    from archsearch.anatomy import degradation_figures, degradation_page
    from archsearch.anatomy.degradation import Sample
    from archsearch.data.datasets import load_images
    from archsearch.data.describing import describe
    from archsearch.space.fitting import suited
    from archsearch.space.plausibility import implausible_training
    from archsearch.training.devices import resolve_device, usual_precision
    from archsearch.training.run import TrainingRun

    images = load_images(settings.data, progress=audience.tell)
    if images.task != "single_label":
        raise refuse(f"{images.name} is no classification", allowed="images of one class each", file="--data")
    training = suited(settings.training, describe(images, settings.training))
    for warning in implausible_training(training, len(images.train.labels), min(images.shape[1:])):
        audience.tell(f"warning: {warning}")
    device = resolve_device(training.device)
    precision, threads = usual_precision(training, device), settings.resources.threads
    run = TrainingRun(settings=training, seed=0, device=device, precision=precision, threads=threads)
    sample = Sample.of(images, training, device, question.images)
    networks = [replace(each, architecture=_adapted(each.architecture, images)) for each in networks]
    trained = _trained(networks, images, run, sample, question.seeds, page.with_suffix(".trainings"), audience)
    facts = {
        "analysis": "degradation",
        "data": images.name,
        "digest": images.digest,
        "depths": sorted({network.depth for network in networks}),
        "rows": list(dict.fromkeys(network.group for network in networks if network.group)),
        "seeds": list(question.seeds),
        "epochs": training.epochs,
        "images": sample.size,
        "gradient_images": sample.batch,
        "validation_images": len(images.validation),
        "test_images": len(images.test),
        "device": str(device),
        "precision": run.precision,
        "training": training.model_dump(mode="json"),
    }
    figures = degradation_figures.document(trained, facts)
    return Analysis(kind="degradation", name=images.name, figures=figures, page=degradation_page.html(figures))


def _adapted(architecture: Architecture, images: ImageSet) -> Architecture:
    """The network with the images' shape and classes."""
    described = adapted(architecture, images, lambda _: None)
    assert isinstance(described, Architecture), "it is none of another library"
    return described


def _trained(
    networks: Sequence[Member], images: ImageSet, run: TrainingRun, sample: Sample, seeds: Sequence[int], folder: Path,
    audience: Audience,
) -> list[tuple[Member, list[tuple[int, dict[str, Any]]]]]:  # fmt: skip
    """The networks with the results of their trainings, each seed's in turn; a network that stands in several rows is
    trained once."""
    keys = [digest(member.architecture) for member in networks]
    first = dict(reversed(list(zip(keys, networks, strict=True))))
    order = [(key, seed) for seed in seeds for key in dict.fromkeys(keys)]
    results = {}
    for number, (key, seed) in enumerate(order, start=1):
        what = f"training {number} of {len(order)}: {first[key].name}, seed {seed}"
        results[key, seed] = _result(first[key], images, replace(run, seed=seed), sample, folder, what, audience)
    return [
        (member, [(seed, results[key, seed]) for seed in seeds]) for member, key in zip(networks, keys, strict=True)
    ]


def _result(
    member: Member, images: ImageSet, run: TrainingRun, sample: Sample, folder: Path, what: str, audience: Audience
) -> dict[str, Any]:
    """What result.json of the training holds, or {"diverged": epoch}: as an earlier call left it, or of a training that
    goes on from its checkpoint, or begins. Its folder has a name of its own for each recipe and set of images."""
    from archsearch.api.showing.bars import epochs_shown
    from archsearch.training.fit import train_architecture
    from archsearch.training.loop import Diverged

    asked = [member.architecture.to_dict(), images.digest, run.settings.to_dict(), run.seed, str(run.precision)]
    text = json.dumps([*asked, sample.size], sort_keys=True)
    location = folder / f"{member.name}-s{run.seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    with suppress(OSError, ValueError):  # none is there, or it is damaged
        return dict(read_json(TrainingFolder(location).result))
    audience.tell(what)
    try:
        with nullcontext() if audience.progress is False else epochs_shown(run.settings.epochs) as view:
            return train_architecture(
                member.architecture,
                images,
                run,
                location,
                measure=sample.measure,
                on_begin=None if view is None else view.begin,
                on_epoch=None if view is None else view.epoch,
                on_step=None if view is None else view.step,
            )
    except Diverged as error:
        audience.tell(str(error))
        result = {"diverged": {"epoch": error.epoch}}
        write_atomically(TrainingFolder(location).result, json.dumps(result))
        return result
    except KeyboardInterrupt:
        audience.tell("archsearch: the same command goes on with this training, from its last checkpoint")
        raise

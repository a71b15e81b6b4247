"""What the parts of a trained network do: `archsearch.analyze`, and the command of that name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archsearch.api.arguments import names_its_arguments
from archsearch.api.data import data_source
from archsearch.api.driving import Audience
from archsearch.api.landscapes import landscapes
from archsearch.api.sending import send_results
from archsearch.api.stochastic_depth import stochastic_depth
from archsearch.api.trained_networks import Split, Subject, of_experiment, of_folder, of_network
from archsearch.experiment import write_atomically
from archsearch.reading.errors import refuse
from archsearch.space.overrides import read_train_settings

if TYPE_CHECKING:
    from archsearch.data.images import Progress
    from archsearch.network.build import Network

Kind = Literal["lesion", "paths", "landscape", "depth"]
KINDS: tuple[Kind, ...] = ("lesion", "paths", "landscape", "depth")
IMAGES: Mapping[Kind, int] = {
    "lesion": 1000,
    "paths": 64,
    "landscape": 256,
}  # by which an analysis looks, by default
FRESH: tuple[Kind, ...] = ("depth",)  # those that need no trained weights
DRAWS: Mapping[Kind, int] = {"lesion": 10, "paths": 10, "depth": 20}
POINTS = 15  # of a landscape, along each direction
MAX_LOSS = 1.0  # points of error, or percent of the loss, that a smaller network may lose without training


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An analysis: `figures` as plain JSON values, its `page` as HTML, and a smaller network that follows."""

    kind: Kind | Literal["degradation"]
    name: str
    figures: dict[str, Any]
    page: str
    smaller: Network | None = None

    def write(self, output: Path) -> list[Path]:
        """Writes the page, and beside it the smaller network's config and weights where there is one. Raises
        OSError."""
        files = [output]
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, self.page)
        if self.smaller is not None:
            from archsearch.training.checkpoint import weights_to_bytes

            config, weights = output.with_suffix(".pruned.yaml"), output.with_suffix(".pruned.safetensors")
            write_atomically(config, self.smaller.architecture.to_yaml())
            write_atomically(weights, weights_to_bytes(self.smaller.state_dict()))
            files += [config, weights]
        return files


def write_analysis(
    result: Analysis, subject: Subject, page: Path, tell: Progress, *, tracking_uri: str | None = None
) -> list[Path]:
    """Writes an analysis as `Analysis.write` does. Of an experiment, at `Subject.page`, the figures are written beside
    the page, and MLflow takes them. Raises OSError."""
    files, folder = result.write(page), subject.folder
    if folder is not None and page.absolute() == subject.page(result.kind).absolute():
        folder.write(page.with_suffix(".json"), json.dumps(result.figures))
        send_results(folder, tracking_uri, tell, "the analysis")
    return files


@names_its_arguments(output="folder")
def analyze(
    kind: Kind,
    source: Any,
    *,
    data: Any = None,
    weights: str | Path | None = None,
    images: int | None = None,
    split: Split = "validation",
    draws: int | None = None,
    seed: int = 0,
    max_loss: float = MAX_LOSS,
    points: int = POINTS,
    survival: float | None = None,
    beside: Sequence[str | Path] = (),
    root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Looks at what the parts of a trained network do, like `archsearch analyze`; returns its figures.

    `kind` is lesion (blocks deleted and reordered at test time), paths (their lengths, and the gradient along them),
    landscape (the loss around the weights, at `points` x `points` points on training images) or depth (what stochastic
    depth saves, by `draws` rounds of training steps on batches of so many `images`: the network's own, or that whose
    last block is kept with probability `survival`).
    `source` is an experiment, whose best network is taken with its own images (in `root`, if they were moved), or a
    network as `archsearch.train` takes it, with its trained `weights` (depth needs none) and its `data`. `images` are
    as many of the `split`, `draws` random sets of blocks, or paths, of each size. Blocks can go where that costs at
    most `max_loss` points of error, or percent of a loss. `output` is a page (.html) to write, beside which lesion
    writes the network without them. `beside` are folders of `archsearch.train`, whose networks' landscapes are drawn at
    the same scale. Raises InputError.
    """
    audience = Audience(progress=progress)
    if kind not in KINDS:
        hint = "archsearch.degradation(data) trains its networks" if str(kind) == "degradation" else ""
        raise refuse(f"kind is {kind!r:.40}", allowed=" or ".join(KINDS), hint=hint, file="kind")
    name = getattr(source, "folder", source)
    if data is None:
        subject = of_experiment(name, None if root is None else Path(root), split, audience.tell)
    else:
        given = data_source(data)
        settings = read_train_settings(given.options(overrides), [])
        settings = settings.model_copy(update={"data": given.kept_in(Path("analysis") / "arrays", settings.data)})
        subject = of_network(source, settings, weights, split, audience.tell, fresh=kind in FRESH)
    page = None if output is None else Path(output)
    result = analysis(
        kind, subject, images=images, draws=draws, seed=seed, max_loss=max_loss, points=points, survival=survival,
        beside=[of_folder(Path(folder), subject, audience.tell) for folder in beside], page=page, tell=audience.tell,
    )  # fmt: skip
    if page is not None:
        write_analysis(result, subject, page, audience.tell)
    return result.figures


def analysis(
    kind: Kind, subject: Subject, *, images: int | None, draws: int | None, seed: int, max_loss: float = MAX_LOSS,
    points: int = POINTS, survival: float | None = None, beside: Sequence[Subject] = (), page: Path | None = None,
    tell: Progress,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Analysis:  # fmt: skip
    """The analysis of a subject, on so many images, chosen by `seed`, each class by its share. `on_progress` is called
    with how much is done, and of how much. Beside `page` a landscape keeps its points, and goes on with those that are
    there."""
    if page is not None and page.suffix != ".html":
        raise refuse(f"a page named {page.name}", allowed="a name that ends in .html", file="--output")
    draws = DRAWS.get(kind, 1) if draws is None else draws
    if draws < 1:
        raise refuse(f"{draws} draws", allowed="1 or more", file="--draws")
    if beside and kind != "landscape":
        raise refuse(f"networks beside one in {kind}", allowed="landscape", file="--beside")
    if kind == "depth":
        from archsearch.anatomy import depth_page

        figures = stochastic_depth(subject, survival, images, draws, seed, tell, on_progress)
        return Analysis(kind=kind, name=subject.name, figures=figures, page=depth_page.html(figures))
    chosen = _thinned(subject, IMAGES[kind] if images is None else images, seed, training=kind == "landscape")
    facts = {"analysis": kind, **chosen.facts(), "seed": seed}
    if kind == "landscape":
        if points < 3 or points % 2 == 0:
            raise refuse(f"{points} points", allowed="an odd number, 3 or more", file="--points")
        return _landscape([chosen, *beside], points, seed, page, tell, on_progress)
    facts["draws"] = draws
    if kind == "lesion":
        return _lesion(chosen, {**facts, "max_loss": max_loss}, tell, on_progress)
    return _paths(chosen, facts, tell, on_progress)


def _thinned(subject: Subject, count: int, seed: int, *, training: bool) -> Subject:
    """The subject with at most so many images of its split; with `training` that many of the training split stand
    there."""
    from archsearch.data.splitting import stratified, subset

    split = subject.images.train if training else subject.images.split(subject.split)
    if count < 1:
        raise refuse(f"{count} images", allowed="1 or more", file="--images")
    index = np.arange(len(split)) if count >= len(split) else stratified(split.labels, count, seed=seed)[0]
    chosen = subset(split, index)
    if subject.split == "test":
        return replace(subject, images=replace(subject.images, test=chosen))
    return replace(subject, images=replace(subject.images, validation=chosen))


def _lesion(
    subject: Subject, facts: dict[str, Any], tell: Progress, on_progress: Callable[[int, int], None]
) -> Analysis:
    from archsearch.anatomy import lesion_page
    from archsearch.anatomy.guest_steps import GuestRow
    from archsearch.anatomy.lesions import Plan, lesions
    from archsearch.anatomy.pruning import pruned
    from archsearch.anatomy.steps import Row
    from archsearch.guests.guest import Guest

    described = subject.described
    guest = described if isinstance(described, Guest) else None
    row = Row.of(subject.of_grammar()) if guest is None else GuestRow.of_guest(subject.network, guest)
    if not any(step.can_be_cut for step in row.steps):
        raise refuse(
            f"{subject.name} has no block that can be left out",
            allowed="one with a shortcut, or one whose output has its input's shape",
        )
    batches, loss = subject.batches(on_progress)
    count = facts["images"]
    tell(f"deleting and reordering {len(row.blocks)} blocks, on {count:,} {subject.split} images")
    result = lesions(row, batches, loss, Plan(draws=facts["draws"], seed=facts["seed"]))
    smaller = None
    if guest is None:
        tell("looking for blocks that can go")
        smaller = pruned(subject.of_grammar(), row, result, batches, loss, facts["max_loss"] / 100)
    figures = lesion_page.document(described, row, result, smaller, facts)
    network = None if smaller is None else smaller.network
    return Analysis(kind="lesion", name=subject.name, figures=figures, page=lesion_page.html(figures), smaller=network)


def _paths(
    subject: Subject, facts: dict[str, Any], tell: Progress, on_progress: Callable[[int, int], None]
) -> Analysis:
    from archsearch.anatomy import paths_page
    from archsearch.anatomy.paths import gradients
    from archsearch.anatomy.steps import Row

    row = Row.of(subject.of_grammar())
    if not row.blocks:
        raise refuse(f"{subject.name} has no blocks", allowed="a network with one block or more")
    batches, loss = subject.batches(lambda done, of: None)
    pixels, labels = next(iter(batches()))
    tell(f"the gradient along random paths through {len(row.blocks)} blocks, on {len(labels)} {subject.split} images")
    result = gradients(row, pixels, labels, loss, draws=facts["draws"], seed=facts["seed"], on_length=on_progress)
    figures = paths_page.document(row, result, {**facts, "images": len(labels)})
    return Analysis(kind="paths", name=subject.name, figures=figures, page=paths_page.html(figures))


def _landscape(
    subjects: Sequence[Subject], points: int, seed: int, page: Path | None, tell: Progress,
    on_progress: Callable[[int, int], None],
) -> Analysis:  # fmt: skip
    """Of the first, with the others on its images beside it."""
    from archsearch.anatomy import landscape_page

    subjects = [replace(subject, images=subjects[0].images) for subject in subjects]
    figures = landscapes(subjects, points, seed, page, tell, on_progress)
    return Analysis(kind="landscape", name=subjects[0].name, figures=figures, page=landscape_page.html(figures))

"""What the parts of a trained network do: `archsearch.analyze`, and the command of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archsearch.api.arguments import names_its_arguments
from archsearch.api.data import data_source
from archsearch.api.driving import Audience
from archsearch.api.networks import network_of
from archsearch.api.spaces import flat, plain
from archsearch.api.training import adapted
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, write_atomically
from archsearch.experiment.folder import find
from archsearch.reading.errors import InputError, refuse
from archsearch.space.overrides import TrainSettings, read_train_settings

if TYPE_CHECKING:
    from archsearch.anatomy.lesions import Batches
    from archsearch.data.images import ImageSet, Progress
    from archsearch.network.build import Network
    from archsearch.space.settings import TrainingSettings

Kind = Literal["lesion", "paths"]
Split = Literal["validation", "test"]
KINDS: tuple[Kind, ...] = ("lesion", "paths")
IMAGES: Mapping[Kind, int] = {"lesion": 1000, "paths": 64}  # of which an analysis is made unless it is said
DRAWS: Mapping[Kind, int] = {"lesion": 10, "paths": 10}
MAX_LOSS = 1.0  # points of error, or percent of the loss, that a smaller network may lose without training
AT_ONCE = 256  # images of a batch


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained network, and the images by which it is looked at: `name` is what a page calls it."""

    name: str
    network: Network
    weights: str
    images: ImageSet
    settings: TrainingSettings
    split: Split = "validation"
    folder: ExperimentFolder | None = None

    def page(self, kind: Kind) -> Path:
        """Where the page of an analysis lies unless a person says it: in the experiment's folder, or here."""
        if self.folder is not None:
            return self.folder.path / "analysis" / f"{kind}.html"
        return Path(f"{self.name}-{kind}.html")

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        counted = cost(self.network.architecture)
        return {
            "network": self.name,
            "digest": digest(self.network.architecture),
            "weights": self.weights,
            "flops": counted.flops,
            "params": counted.params,
            "data": self.images.name,
            "split": self.split,
            "images": len(self.images.split(self.split)),
        }


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An analysis: `figures` as plain JSON values, its `page` as HTML, and a smaller network that follows."""

    kind: Kind
    name: str
    figures: dict[str, Any]
    page: str
    smaller: Network | None = None

    def write(self, output: Path) -> list[Path]:
        """Writes the page, and beside it the smaller network's config and weights where there is one. Raises OSError,
        and InputError for a name that does not end in .html."""
        if output.suffix != ".html":
            raise refuse(f"a page named {output.name}", allowed="a name that ends in .html", file="--output")
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
    root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Looks at what the parts of a trained network do, like `archsearch analyze`; returns its figures.

    `kind` is lesion (blocks deleted and reordered at test time) or paths (their lengths, and the gradient along them).
    `source` is an experiment, whose best network is taken with its own images (in `root`, if they were moved), or a
    network as `archsearch.train` takes it, with a file of its `weights` and its `data`. `images` are as many of the
    `split`, `draws` random sets of blocks, or paths, of each size. Blocks can go where that costs at most `max_loss`
    points of error, or percent of a loss. `output` is a page (.html) to write, beside which lesion writes the network
    without them. Raises InputError.
    """
    audience = Audience(progress=progress)
    if kind not in KINDS:
        raise refuse(f"kind is {kind!r:.40}", allowed=" or ".join(KINDS), file="kind")
    name = getattr(source, "folder", source)
    if data is None:
        subject = of_experiment(name, None if root is None else Path(root), split, audience.tell)
    else:
        given = data_source(data)
        options = {key: (f"data, {key}", plain(value)) for key, value in given.overrides.items()}
        options |= {key: (f"{key}={value!r:.60}", plain(value)) for key, value in flat(overrides)}
        settings = read_train_settings(options, [])
        settings = settings.model_copy(update={"data": given.kept_in(Path("analysis") / "arrays", settings.data)})
        subject = of_network(source, settings, None if weights is None else Path(weights), split, audience.tell)
    result = analysis(kind, subject, images=images, draws=draws, seed=seed, max_loss=max_loss, tell=audience.tell)
    if output is not None:
        result.write(Path(output))
    return result.figures


def of_experiment(source: str | Path | ExperimentFolder, root: Path | None, split: Split, tell: Progress) -> Subject:
    """An experiment's best network on its own validation images. Raises InputError."""
    from archsearch.export.origin import of_trial
    from archsearch.export.selection import kept_weights, select
    from archsearch.network.build import Network
    from archsearch.space.loading import load_space
    from archsearch.space.overrides import root_overrides

    folder = source if isinstance(source, ExperimentFolder) else find(source)
    if split == "test":
        raise refuse(
            "the test split of an experiment is looked at once, for its winner",
            allowed="validation",
            file="--split",
        )
    selection = select(folder, None)
    origin = of_trial(selection, kept_weights(selection), history=([], {}), root=root, tell=tell)
    assert origin.images is not None, "they are required"
    assert isinstance(origin.network, Network), "a search's candidates are no guests"
    training = load_space(folder.space_yaml, root_overrides(root)).training
    name = selection.network.name or folder.name
    return Subject(
        name=name, network=origin.network, weights=str(selection.weights), images=origin.images, settings=training,
        folder=folder,
    )  # fmt: skip


def of_network(source: Any, settings: TrainSettings, weights: Path | None, split: Split, tell: Progress) -> Subject:
    """A network with a file of its weights, on images. Raises InputError for a network without weights, or with
    those of another number of classes."""
    from archsearch.data.datasets import load_images
    from archsearch.network import build
    from archsearch.training.pretrained import read_weights, start_from

    if weights is None:
        raise refuse(
            "a network without weights",
            allowed="--weights FILE, from `archsearch train`, torchvision or timm; or an experiment",
            hint="`archsearch train` trains one network",
            file="--weights",
        )
    described = network_of(source)
    file, images = read_weights(weights), load_images(settings.data, progress=tell)
    architecture = adapted(described, images, tell)
    if not isinstance(architecture, Architecture):
        raise refuse(f"{architecture.name} has no blocks that archsearch knows", allowed="a network of the grammar")
    network = build(architecture)
    if start_from(file, network)["replaced"]:
        allowed = f"weights with the {architecture.classes} classes of {images.name}"
        raise refuse("the weights have a different number of classes", allowed=allowed, file=str(weights))
    return Subject(
        name=architecture.name or digest(architecture), network=network.eval(), weights=str(weights), images=images,
        settings=settings.training, split=split,
    )  # fmt: skip


def subject_of(
    source: str, settings: TrainSettings | None, weights: Path | None, root: Path | None, split: Split, tell: Progress
) -> Subject:
    """An experiment where no data is given (`settings` None), else a network. Raises InputError, which tells both."""
    if settings is not None:
        return of_network(source, settings, weights, split, tell)
    try:
        return of_experiment(source, root, split, tell)
    except InputError as error:
        if weights is None:
            raise
        hint = "a network with --weights needs --data"
        raise InputError(*(replace(problem, hint=hint) for problem in error.problems)) from None


def analysis(
    kind: Kind, subject: Subject, *, images: int | None, draws: int | None, seed: int, max_loss: float,
    tell: Progress,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Analysis:  # fmt: skip
    """The analysis of a subject, on so many images, chosen by `seed`, each class by its share. `on_progress` is called
    with how much is done, and of how much."""
    from archsearch.anatomy.steps import Row

    chosen = _thinned(subject, images or IMAGES[kind], seed)
    row = Row.of(chosen.network)
    if not row.blocks:
        raise refuse(f"{subject.name} has no blocks", allowed="a network with one block or more")
    facts = {"analysis": kind, **chosen.facts(), "draws": draws or DRAWS[kind], "seed": seed}
    facts |= {"max_loss": max_loss} if kind == "lesion" else {}
    make = _lesion if kind == "lesion" else _paths
    return make(chosen, row, facts, tell, on_progress)


def _thinned(subject: Subject, count: int, seed: int) -> Subject:
    """The subject with at most so many images of its split."""
    from archsearch.data.splitting import stratified, subset

    split = subject.images.split(subject.split)
    if count < 1:
        raise refuse(f"{count} images", allowed="1 or more", file="--images")
    if count >= len(split):
        return subject
    index, _ = stratified(split.labels, count, seed=seed)
    if subject.split == "test":
        return replace(subject, images=replace(subject.images, test=subset(split, index)))
    return replace(subject, images=replace(subject.images, validation=subset(split, index)))


def _lesion(
    subject: Subject, row: Any, facts: dict[str, Any], tell: Progress, on_progress: Callable[[int, int], None]
) -> Analysis:
    from archsearch.anatomy import lesion_page
    from archsearch.anatomy.lesions import Plan, lesions
    from archsearch.anatomy.pruning import pruned

    batches, loss = _batches(subject, on_progress)
    count = facts["images"]
    tell(f"deleting and reordering {len(row.blocks)} blocks, on {count:,} {subject.split} images")
    result = lesions(row, batches, loss, Plan(draws=facts["draws"], seed=facts["seed"]))
    tell("looking for blocks that can go")
    smaller = pruned(subject.network, row, result, batches, loss, facts["max_loss"] / 100)
    figures = lesion_page.document(subject.network.architecture, row, result, smaller, facts)
    network = None if smaller is None else smaller.network
    return Analysis(kind="lesion", name=subject.name, figures=figures, page=lesion_page.html(figures), smaller=network)


def _paths(
    subject: Subject, row: Any, facts: dict[str, Any], tell: Progress, on_progress: Callable[[int, int], None]
) -> Analysis:
    from archsearch.anatomy import paths_page
    from archsearch.anatomy.paths import gradients

    batches, loss = _batches(subject, lambda done, of: None)
    pixels, labels = next(iter(batches()))
    tell(f"the gradient along random paths through {len(row.blocks)} blocks, on {len(labels)} {subject.split} images")
    result = gradients(row, pixels, labels, loss, draws=facts["draws"], seed=facts["seed"], on_length=on_progress)
    figures = paths_page.document(row, result, {**facts, "images": len(labels)})
    return Analysis(kind="paths", name=subject.name, figures=figures, page=paths_page.html(figures))


def _batches(subject: Subject, on_progress: Callable[[int, int], None]) -> tuple[Callable[[], Batches], Any]:
    """What gives the images anew, and the loss by which the split is evaluated, on the device."""
    from archsearch.training.devices import resolve_device
    from archsearch.training.feeds.feed import feed_of
    from archsearch.training.losses import Loss

    device = resolve_device(subject.settings.device)
    subject.network.to(device)
    feed = feed_of(subject.images, subject.settings, device)
    total = -(-len(subject.images.split(subject.split)) // AT_ONCE)

    def batches() -> Batches:
        for number, batch in enumerate(feed.evaluation(subject.split, AT_ONCE)):
            yield batch
            on_progress(number + 1, total)

    return batches, Loss.of(subject.images, device)

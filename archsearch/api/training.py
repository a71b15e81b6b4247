"""One network trained to the end and written down: `archsearch.train`, and the command of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archsearch import zoo
from archsearch.api.arguments import names_its_arguments
from archsearch.api.data import data_source
from archsearch.api.driving import Audience
from archsearch.api.networks import network_of
from archsearch.api.parents import is_same, normalised_as, parent_of, slices_of, trained_on
from archsearch.api.spaces import plain
from archsearch.architecture.spec import Architecture
from archsearch.experiment import TrainingFolder
from archsearch.experiment.files import numbered
from archsearch.experiment.processes import set_waiting
from archsearch.guests.either import Described, digest, origin, parsed, read
from archsearch.reading.errors import InputError, refuse
from archsearch.sources import own as sources
from archsearch.sources.layout import first_array
from archsearch.space.overrides import TrainSettings, read_train_settings
from archsearch.space.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from archsearch.data.images import ImageSet, OwnMetric, Progress
    from archsearch.guests.building import Module
    from archsearch.guests.parents import Parent
    from archsearch.space.optimization_settings import Freeze
    from archsearch.training.run import TrainingRun

TRAINED = Path("trained")


@dataclass(frozen=True)
class Trained:
    """A trained network; `result` is the content of result.json in its folder."""

    folder: Path
    result: dict[str, Any]

    @property
    def architecture(self) -> Described:
        """The architecture, with the data's image shape and classes; a `Guest`, which has its `name`, `input` and
        `classes`, where torchvision or timm made the network."""
        return read(TrainingFolder(self.folder).model_yaml)

    @property
    def metrics(self) -> pd.DataFrame:
        """A row for each epoch: loss and accuracy on training and validation images, seconds, learning rate."""
        import pandas as pd

        return pd.DataFrame(self.result["history"]).set_index("epoch")

    @property
    def validation_accuracy(self) -> float | None:
        """Accuracy on the validation images after the last epoch; None for several labels and for a regression."""
        return self.scores("validation").get("accuracy")

    @property
    def test_accuracy(self) -> float | None:
        """Accuracy on the test images, measured once after training; None for several labels and for a regression."""
        return self.scores("test").get("accuracy")

    def scores(self, split: Literal["validation", "test"] = "test") -> dict[str, float]:
        """Every metric of the task on a split, by its name, such as macro_f1, beside `loss`."""
        return dict(self.result[split])

    def module(self) -> Module:
        """The trained nn.Module in eval mode: images, divided by 255 and normalised by `result["data"]["mean"]` and
        `["std"]`, (N, C, H, W) -> scores (N, classes). Raises InputError for damaged weights."""
        from archsearch.export.origin import with_weights

        file = TrainingFolder(self.folder).weights
        return with_weights(self.architecture, file.read_bytes(), str(file))

    def weights(self) -> dict[str, Any]:
        """The trained weights, tensors by their names in the module."""
        return self.module().state_dict()

    def __repr__(self) -> str:
        """The name and the accuracies, in a line."""
        from archsearch.api.showing.printing import scored

        shown = f"{scored(self.scores('validation'))} on validation, {scored(self.scores())} on test"
        return f"<Trained {self.result['name'] or self.result['digest']}: {shown}; in {self.folder}>"


@names_its_arguments(output="folder")
def train(
    architecture: str | Path | Architecture,
    *,
    data: Any,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    weights: str | Path | None = None,
    freeze: Freeze | None = None,
    compiled: bool = False,
    allow_sources: Sequence[str] = (),
    metrics: Mapping[str, OwnMetric] | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
    **overrides: Any,
) -> Trained:
    """Trains one network and tests it once, like `archsearch train`; writes model.yaml, weights.safetensors,
    result.json.

    `architecture` is one, a name of the zoo, `torchvision:NAME`, `timm:NAME` or a YAML file; it gets the data's image
    and classes. `data` is what `archsearch.search` takes; `overrides` are `training={"optimizer": "adamw"}` and the
    like. `weights` are those to start from, of this network or of one that it is a slice of; `freeze` ("trunk" or "bn")
    holds a part of them as it is: a file, a folder
    of a trained network, a bundle, an experiment, or `torchvision:ResNet18_Weights.IMAGENET1K_V1` and
    `timm:resnet18.a1_in1k`, which are fetched once. `allow_sources` and `metrics` are those of `archsearch.search`.
    `folder` None: the first free of trained/NETWORK-DATA. After KeyboardInterrupt the same call, with the same folder,
    goes on from its last checkpoint.

    Raises InputError, and RuntimeError for a training that diverged.
    """
    set_waiting()
    sources.allow(allow_sources)
    source, audience = data_source(data), Audience(progress=progress)
    values = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "freeze": freeze}
    settings = read_train_settings(
        {
            **source.options(overrides),
            **{f"training.{name}": (name, plain(value)) for name, value in values.items() if value is not None},
        },
        [],
    )
    network = network_of(architecture)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise refuse(f"seed is {seed!r:.40}", allowed="a whole number from 0 to 4294967295", file="seed")
    location = folder_for(network, settings, None if folder is None else Path(folder))
    settings = settings.model_copy(update={"data": source.kept_in(location / "arrays", settings.data)})
    from archsearch.data.own_metrics import checked
    from archsearch.training.run import TrainingRun

    run = TrainingRun(settings=settings.training, seed=seed, compiled=compiled)
    return Trained(
        location, train_shown(network, settings, run, location, audience, weights=weights, metrics=checked(metrics))
    )


def train_shown(
    network: Described,
    settings: TrainSettings,
    run: TrainingRun,
    folder: Path,
    audience: Audience,
    *,
    weights: str | Path | None = None,
    metrics: Mapping[str, OwnMetric] | None = None,
) -> dict[str, Any]:
    """Trains the network, adapted to the data, in a folder that `folder_for` gave, and shows it; returns what
    result.json holds. Raises as `archsearch.training.fit.train_architecture`."""
    from archsearch.api.showing.bars import epochs_shown
    from archsearch.api.showing.printing import without_graphs
    from archsearch.data.datasets import load_images
    from archsearch.data.describing import describe
    from archsearch.space.fitting import suited
    from archsearch.space.plausibility import implausible_training
    from archsearch.training.fit import train_architecture

    if weights is None and (held := settings.training.freeze) != "none":
        raise refuse(f"{held} without initial weights", allowed="none, or initial weights", file="--freeze")
    parent = None if weights is None else parent_of(weights, network, tell=audience.tell, slices=True)
    data = sized_as(trained_on(network, parent), settings.data, audience.tell)
    images, data = normalised_as(load_images(data, progress=audience.tell), data, parent, audience.tell)
    images = images.with_metrics(metrics or {})
    threads = settings.resources.threads
    run = replace(run, settings=suited(run.settings, describe(images, run.settings)), threads=threads)
    for warning in implausible_training(run.settings, len(images.train.labels), min(images.shape[1:])):
        audience.tell(f"warning: {warning}")
    network = adapted(network, images, audience.tell)
    if guest := origin(network):
        audience.tell(guest)
    if parent is not None and not is_same(parent.network, network):
        parent = _slice_of(parent, network, images, run, folder, audience.tell)
    audience.tell(f"training {network.name or digest(network)} in {folder}")
    if audience.progress is False:
        return train_architecture(network, images, run, folder, weights=parent, data=data)
    try:
        with epochs_shown(run.settings.epochs) as view:
            result = train_architecture(
                network,
                images,
                run,
                folder,
                weights=parent,
                data=data,
                on_begin=view.begin,
                on_epoch=view.epoch,
                on_step=view.step,
            )
    except KeyboardInterrupt:
        audience.tell("archsearch: the same command continues from the last checkpoint")
        raise
    if note := without_graphs(result):
        audience.tell(note)
    return result


def _slice_of(
    whole: Parent, network: Described, images: ImageSet, run: TrainingRun, folder: Path, tell: Progress
) -> Parent:
    """A slice of a trained network with the weights that it inherits, as a candidate of a search begins with them."""
    from archsearch.shrinking.beginning import Parents, kept

    tell(f"{network.name or digest(network)} begins with a slice of {whole.source}")
    parent = kept(whole, images, run.settings, frozenset(slices_of(whole).free), seed=run.seed)
    part = Parents([parent]).start_of(network, images, run, folder)
    assert part is not None, "its weights were taken for those of a network that this is a slice of"
    return part


def folder_for(network: Described, settings: TrainSettings, output: Path | None) -> Path:
    """`output`, or the first of trained/NETWORK-DATA, -2, -3, ... that holds no result yet. Raises InputError."""
    if output is not None:
        if TrainingFolder(output).result.exists():
            problem = f"{output} already holds a trained network"
            raise refuse(problem, allowed="a new folder, or one of an interrupted training", file="--output")
        return output
    name = f"{network.name or digest(network)}-{settings.data.name}".replace(":", "-")
    return next(folder for folder in numbered(TRAINED / name) if not TrainingFolder(folder).result.exists())


def sized_as(network: Described, data: DataSettings, tell: Progress) -> DataSettings:
    """The settings with the size and the channels of a network that has its own, such as the winner of a search, where
    they state none and image files are resized. A network that is known by its name has none of its own."""
    if not data.is_source or not isinstance(network, Architecture):
        return data
    with suppress(InputError):
        if network.input == zoo.get(network.name or "").input:
            return data
    channels, *sides = network.input
    size: Any = sides[0] if sides[0] == sides[1] else tuple(sides)
    update = {} if "size" in data.model_fields_set or size == data.size else {"size": size}
    stored = first_array(Path(data.root)) if data.name == "folder" else None  # its channels are what they are
    if "channels" not in data.model_fields_set and stored is None and channels != 3:
        update["channels"] = channels
    if update:
        shown = {key: list(value) if isinstance(value, tuple) else value for key, value in update.items()}
        listed, name = ", ".join(f"data.{key}: {value}" for key, value in shown.items()), network.name or "the network"
        tell(f"{listed}, as the input of {name} (--set {listed.partition(':')[0]}=VALUE trains it with another)")
    return data.model_copy(update=update)


def adapted(network: Described, images: ImageSet, tell: Progress) -> Described:
    """The network with the data's image and classes, which a name in the zoo cannot know."""
    needed = {"input": list(images.shape), "classes": len(images.classes)}
    fields = network.to_dict()
    changed = [f"{field} {fields[field]} -> {value}" for field, value in needed.items() if fields[field] != value]
    if not changed:
        return network
    tell(f"adapted to {images.name}: {', '.join(changed)}")
    return parsed({**fields, **needed})

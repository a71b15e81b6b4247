"""`archsearch train`: one network, trained to the end and written down."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archsearch.api.showing.printing import percent, print_json, stdout_to_stderr, tell
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import Compiled, Json, Network, Set
from archsearch.experiment import TrainingFolder
from archsearch.experiment.files import numbered
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.data.images import ImageSet
    from archsearch.space.settings import DataSettings
    from archsearch.training.run import TrainingRun

TRAINED = Path("trained")


def train(
    arch: Network,
    *,
    data: Annotated[str, typer.Option(help="digits, cifar10, fashion_mnist, folder or arrays.")],
    root: Annotated[str | None, typer.Option(metavar="DIR", help="The folder that holds the data.")] = None,
    epochs: Annotated[int | None, typer.Option(help="training.epochs")] = None,
    batch_size: Annotated[int | None, typer.Option(help="training.batch_size")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="training.learning_rate")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the weights, the order and the draws.")] = 0,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to start from: .safetensors of `train`, or .pth of torchvision or timm. A classifier of "
            "other classes starts anew.",
        ),
    ] = None,
    freeze: Annotated[
        Literal["none", "trunk", "bn"],
        typer.Option(help="trunk: the classifier alone trains; bn: the norms keep their scales and statistics."),
    ] = "none",
    compiled: Compiled = False,
    sets: Set = None,
    output: Annotated[Path | None, typer.Option(metavar="DIR", help="Left out: trained/NETWORK-DATA.")] = None,
    as_json: Json = False,
) -> None:
    """Trains one network and tests it once: model.yaml, weights.safetensors and result.json in a folder.

    The same command goes on after Ctrl-C, from its last checkpoint.
    """

    options = {
        "data.name": ("--data", data),
        "data.root": ("--root", root),
        "training.epochs": ("--epochs", epochs),
        "training.batch_size": ("--batch-size", batch_size),
        "training.learning_rate": ("--learning-rate", learning_rate),
    }
    from archsearch.api.networks import architecture_of
    from archsearch.space.overrides import read_train_settings

    settings = read_train_settings(options, sets or [])
    network = architecture_of(arch)
    folder = _folder(network, settings.data, output)
    with stdout_to_stderr():
        from archsearch.training.run import TrainingRun

        run = TrainingRun(settings=settings.training, seed=seed, freeze=freeze, compiled=compiled)
        result = _train(network, settings.data, run, folder, weights)
    if as_json:
        print_json(result)
        return
    print(f"{result['name']}: {percent(result['validation']['accuracy'])} on validation, "
          f"{percent(result['test']['accuracy'])} on test, {result['params']:,} parameters")  # fmt: skip
    if start := result["start"]:
        anew = f", anew: {', '.join(start['replaced'])}" if start["replaced"] else ""
        print(f"started from {start['file']} ({start['source']}): {start['loaded']} tensors{anew}; "
              f"{result['frozen']['parameters']:,} parameters frozen")  # fmt: skip
    print(f"written to {folder}: model.yaml, weights.safetensors, result.json")


def _folder(network: Architecture, settings: DataSettings, output: Path | None) -> Path:
    """--output, or the first of trained/NETWORK-DATA, -2, -3, ... that holds no result yet. Raises InputError."""
    from archsearch.architecture.canonical import digest

    if output is not None:
        if TrainingFolder(output).result.exists():
            problem = f"{output} holds a trained network already"
            raise refuse(problem, allowed="a new folder, or an interrupted one", file="--output")
        return output
    name = f"{network.name or digest(network)}-{settings.name}"
    return next(folder for folder in numbered(TRAINED / name) if not TrainingFolder(folder).result.exists())


def _train(
    network: Architecture, data: DataSettings, run: TrainingRun, folder: Path, weights: Path | None
) -> dict[str, Any]:
    from archsearch.architecture.canonical import digest
    from archsearch.data.datasets import load_images

    images = load_images(data, progress=tell)
    network = _adapted(network, images)
    tell(f"training {network.name or digest(network)} in {folder}")
    from archsearch.api.showing.bars import epochs_shown
    from archsearch.training.fit import train_architecture
    from archsearch.training.loop import Diverged

    try:
        with epochs_shown(run.settings.epochs) as view:
            return train_architecture(
                network, images, run, folder, weights=weights, on_epoch=view.epoch, on_step=view.step
            )
    except KeyboardInterrupt:
        tell("archsearch: the same command goes on from the last checkpoint")
        raise
    except Diverged as error:
        raise Failure(str(error)) from error


def _adapted(network: Architecture, images: ImageSet) -> Architecture:
    """The network with the data's image and classes, which a name in the zoo cannot know."""
    from archsearch.architecture.spec import Architecture

    needed = {"input": list(images.shape), "classes": len(images.classes)}
    fields = network.to_dict()
    changed = [f"{field} {fields[field]} -> {value}" for field, value in needed.items() if fields[field] != value]
    if not changed:
        return network
    tell(f"adapted to {images.name}: {', '.join(changed)}")
    return Architecture.from_dict({**fields, **needed})

"""`archsearch train`: one network, trained to the end and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsearch.api.showing.printing import percent, print_json, stdout_to_stderr
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import Compiled, Json, Network, Set


def train(
    arch: Network,
    *,
    data: Annotated[str, typer.Option(help="digits, cifar10, cifar100, fashion_mnist, folder or arrays.")],
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
    from archsearch.api.driving import Audience
    from archsearch.api.networks import architecture_of
    from archsearch.api.training import folder_for, train_shown
    from archsearch.space.overrides import read_train_settings

    settings = read_train_settings(options, sets or [])
    network = architecture_of(arch)
    folder = folder_for(network, settings, output)
    with stdout_to_stderr():
        from archsearch.training.loop import Diverged
        from archsearch.training.run import TrainingRun

        run = TrainingRun(settings=settings.training, seed=seed, freeze=freeze, compiled=compiled)
        try:
            result = train_shown(network, settings, run, folder, Audience(), weights=weights)
        except Diverged as error:
            raise Failure(str(error)) from error
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

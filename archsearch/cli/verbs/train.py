"""`archsearch train`: one network, trained to the end and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsearch.api.showing.printing import print_json, scored, stdout_to_stderr
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import WEIGHTS, AllowSource, Compiled, Json, Network, Set


def train(
    arch: Network,
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Data set: digits, cifar10, cifar100, fashion_mnist, mnist, svhn, folder (with --root) or arrays."
        ),
    ],
    root: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of the data.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs. Sets training.epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step. Sets training.batch_size.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest learning rate. Sets training.learning_rate.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Random seed of the initial weights, the order of the images and the augmentation.",
        ),
    ] = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help=f"Initial weights: {WEIGHTS}. A classifier with another number of classes is initialised at random.",
        ),
    ] = None,
    freeze: Annotated[
        Literal["none", "trunk", "bn"] | None,
        typer.Option(
            help="trunk: train the classifier only; bn: keep scales and statistics of the norms. Sets training.freeze."
        ),
    ] = None,
    compiled: Compiled = False,
    sets: Set = None,
    allow_source: AllowSource = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder. Default: trained/NETWORK-DATA.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Trains one network and tests it; writes model.yaml, weights.safetensors and result.json to a folder.

    After Ctrl-C, the same command continues from the last checkpoint.
    """

    options = {
        "data.name": ("--data", data),
        "data.root": ("--root", root),
        "training.epochs": ("--epochs", epochs),
        "training.batch_size": ("--batch-size", batch_size),
        "training.learning_rate": ("--learning-rate", learning_rate),
        "training.freeze": ("--freeze", freeze),
    }
    from archsearch.api.driving import Audience
    from archsearch.api.networks import network_of
    from archsearch.api.training import folder_for, train_shown
    from archsearch.sources.own import allow as allow_sources
    from archsearch.space.overrides import read_train_settings

    allow_sources(allow_source or ())
    settings = read_train_settings(options, sets or [])
    network = network_of(arch)
    folder = folder_for(network, settings, output)
    with stdout_to_stderr():
        from archsearch.training.loop import Diverged
        from archsearch.training.run import TrainingRun

        run = TrainingRun(settings=settings.training, seed=seed, compiled=compiled)
        try:
            result = train_shown(network, settings, run, folder, Audience(), weights=weights)
        except Diverged as error:
            raise Failure(str(error)) from error
    if as_json:
        print_json(result)
        return
    print(f"{result['name']}: {scored(result['validation'])} on validation, "
          f"{scored(result['test'])} on test, {result['params']:,} parameters")  # fmt: skip
    if start := result["start"]:
        anew = f"; initialised anew: {', '.join(start['replaced'])}" if start["replaced"] else ""
        anew += f"; {start['changed']}" if start["changed"] else ""
        print(f"started from {start['file']} ({start['source']}): {start['loaded']} tensors loaded{anew}; "
              f"{result['frozen']['parameters']:,} parameters frozen")  # fmt: skip
    print(f"written to {folder}: model.yaml, weights.safetensors, result.json")

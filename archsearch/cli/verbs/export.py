"""`archsearch export`: a network, or a trial of an experiment, as a file or a bundle of all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.showing.printing import deliver, print_json, stdout_to_stderr, tell
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import AllowSource, Json, Root


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT|ARCH",
            help="An experiment, whose best network is exported; a network; or the folder of a trained one.",
        ),
    ],
    *,
    trial: Annotated[
        str | None, typer.Option(metavar="ID", help="A trial of the experiment: 7 or t0007. Default: the best.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="bundle: a folder with all formats; config: the architecture as YAML; python: "
            "plain PyTorch; safetensors: the trained weights (saved for the best trial and "
            "the Pareto front); onnx; torch-export. Default: bundle if -o has no suffix, else "
            "config.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|DIR",
            help="Output file or folder. Default: stdout (config and python only).",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Weights of a network: .safetensors from `train`, or .pth from torchvision or timm."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Random seed of a network's weights, if no weights are given.")
    ] = 0,
    root: Root = None,
    allow_source: AllowSource = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Also ONNX in 8-bit integers, calibrated on training images: model.int8.onnx in a bundle; "
            "with --format onnx, or -o FILE.onnx, that file alone.",
        ),
    ] = False,
    max_loss: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            min=0.0,
            help="Points of validation accuracy that 8-bit integers may lose; more is an error (exit code 1), and "
            "nothing is written. Default: 1.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Exports a network, or a trial of an experiment, to a file, or to a folder with every format.

    Every format but config and safetensors is run and compared with the network, on the validation split if its data is
    available, else on random images: a difference of 1e-4, or another top-1 class, is an error (exit code 1).
    """
    from archsearch.api.exporting import export as exported
    from archsearch.sources.own import allow as allow_sources

    allow_sources(allow_source or ())

    try:
        with stdout_to_stderr():
            document, text = exported(
                source, form=form, output=output, trial=trial, weights=weights, seed=seed, root=root, int8=int8,
                max_loss=max_loss, tell=tell,
            )  # fmt: skip
    except RuntimeError as error:
        from archsearch.export.parity import ParityLost  # which imports torch: a config needs none

        if isinstance(error, ParityLost):
            raise Failure(str(error)) from error
        raise
    if as_json:
        print_json(document)
    elif text is not None and output is None:
        deliver(text, None)

"""`archsearch export`: a network, or a trial of an experiment, as a file or a bundle of all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.showing.printing import deliver, print_json, stdout_to_stderr, tell
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import Json, Root


def export(
    source: Annotated[str, typer.Argument(metavar="EXPERIMENT|ARCH", help="An experiment: its best; or a network.")],
    *,
    trial: Annotated[
        str | None, typer.Option(metavar="ID", help="A trial of it: 7 or t0007. Left out: the best.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="bundle: a folder with all; config: a YAML file that every ARCH may name; python: plain PyTorch; "
            "safetensors: the trained weights, kept of the best trial and of the Pareto front; onnx; torch-export. "
            "Left out: bundle where -o has no ending, else config.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE|DIR", help="Left out: stdout (config and python alone)."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A network's weights: .safetensors of `train`, or .pth of torchvision or timm."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of a network's weights where none are given.")] = 0,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Writes a network, or a trial of an experiment, to a file, or to a folder with every format.

    All but config and safetensors are run as their reader will run them and compared with the network, on the
    validation split where its data is there, else on random images: a difference of 1e-4 or another first class is an
    error (exit code 1).
    """
    from archsearch.api.exporting import export as exported

    try:
        with stdout_to_stderr():
            document, text = exported(
                source, form=form, output=output, trial=trial, weights=weights, seed=seed, root=root, tell=tell
            )
    except RuntimeError as error:
        from archsearch.export.parity import ParityLost  # which imports torch: a config needs none

        if isinstance(error, ParityLost):
            raise Failure(str(error)) from error
        raise
    if as_json:
        print_json(document)
    elif text is not None and output is None:
        deliver(text, None)

"""`archsearch predict`: labels and probabilities for new images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from archsearch.api.showing.printing import deliver, stdout_to_stderr, tell
from archsearch.cli.dispatch import FAILED
from archsearch.cli.options import AllowSource, Json, OutputFile
from archsearch.reading.errors import refuse


def predict(
    source: Annotated[
        str,
        typer.Argument(
            metavar="BUNDLE|EXPERIMENT",
            help="A folder that `archsearch export` wrote, of which no code is executed; or an experiment, whose best "
            "network is used.",
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE|FOLDER|TABLE...",
            help="Image files, folders of them, and tables (CSV, TSV, JSON lines, Parquet) with a column of their "
            "paths or bytes.",
        ),
    ],
    *,
    top: Annotated[int, typer.Option(min=1, metavar="K", help="Number of most probable classes to print.")] = 3,
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda or cuda:1.")] = "auto",
    backend: Annotated[
        Literal["torch", "onnx", "int8"],
        typer.Option(help="What runs the network; onnx and int8: a bundle's model.onnx or model.int8.onnx."),
    ] = "torch",
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of an experiment's own data, if it was moved: its validation split calibrates the "
            "probabilities, once.",
        ),
    ] = None,
    allow_source: AllowSource = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a line for each file.")] = False,
    output: OutputFile = None,
    as_json: Json = False,
) -> int | None:
    """Predicts the labels of new images, with calibrated probabilities.

    Files that cannot be read are listed, and the rest is predicted: exit code 1.
    """
    from archsearch.api.predicting import predicted
    from archsearch.api.showing.predictions import counting, lines
    from archsearch.sources.own import allow

    allow(allow_source or ())
    if as_csv and as_json:
        raise refuse("--csv and --json exclude each other", allowed="one of them", file="--csv")
    with stdout_to_stderr(), counting() as on_progress:
        predictions = predicted(
            source, images, device=device, backend=backend, root=root, tell=tell, on_progress=on_progress
        )
    if as_json:
        text = json.dumps(predictions.to_dict(top), indent=2, ensure_ascii=False)
    elif as_csv:
        text = predictions.to_csv(top)
    else:
        text = lines(predictions, top)
    deliver(text, output)
    for file, problem in predictions.problems.items():
        tell(f"{file}: {problem}")
    if not predictions.problems:
        return None
    tell(f"{len(predictions.problems)} of {len(predictions.files)} files could not be read")
    return FAILED

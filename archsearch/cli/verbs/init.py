"""`archsearch init`: a search-space file from a folder or a table of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import Flops, Json, Params, Time
from archsearch.experiment.suggested import command
from archsearch.reading.errors import refuse


def init(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="A folder of images with one sub-folder per class; a table (.csv, .tsv, .jsonl, .parquet); or a "
            "folder of Parquet, tar, NumPy or idx files.",
        ),
    ],
    *,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="What a table's columns hold (data.columns.label=species) and the task (data.task=regression); "
            "repeatable.",
        ),
    ] = None,
    time: Time = None,
    flops: Flops = None,
    params: Params = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: NAME.yaml, after the folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Writes a search space that fits images, to be read and changed.

    `archsearch run IMAGES` does the same, and searches it.
    """
    from archsearch.api.initial import counts_of, initial
    from archsearch.api.subjects import ABOUT_DATA
    from archsearch.experiment import write_atomically

    if others := [override for override in sets or () if not override.strip().startswith(ABOUT_DATA)]:
        raise refuse(f"{others[0]!r:.80}", allowed="data.columns.*, data.task", hint="edit the file", file="--set")
    first = initial(images, sets or (), time=time, **counts_of(flops, params), tell=tell)
    file = output or Path(f"{first.space.name}.yaml")
    if file.exists():
        raise refuse(f"{file} already exists", hint="another -o FILE", file="--output")
    write_atomically(file, first.text)
    survey = first.survey
    if as_json:
        print_json({"file": str(file), "size": first.space.data.size, **survey.to_dict()})
        return
    print(first.text, end="")
    for problem in survey.broken[:20]:
        tell(f"cannot be read: {problem.file}")
    print(f"\nwritten to {file}\nnext:\n  {command('check', file)}\n  {command('run', file)}")

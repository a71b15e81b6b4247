"""`archsearch init`: a search-space file from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import Flops, Json, Params, Time
from archsearch.reading.errors import refuse


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images with one sub-folder per class.")],
    *,
    time: Time = None,
    flops: Flops = None,
    params: Params = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: NAME.yaml, after the folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Writes a search space that fits the images in a folder, to be read and changed.

    `archsearch run DIR` does the same, and searches it.
    """
    from archsearch.api.initial import counts_of, initial
    from archsearch.experiment import write_atomically

    first = initial(folder, time=time, **counts_of(flops, params), tell=tell)
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
    print(f"\nwritten to {file}\nnext:\n  archsearch check {file}\n  archsearch run {file}")

"""`archsearch check`: what a search-space file says, before anything is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import Json, Set, SpaceFile
from archsearch.cli.showing.page import page


def check(
    space: SpaceFile,
    *,
    sets: Set = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Random networks to count.")] = 20_000,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Times no training: no hours are foretold.")] = False,
    cluster: Annotated[
        str | None, typer.Option(metavar="NxDEVICE", help="Hours there too: 8xH100, 2x8xA100, 64xcpu.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Whether a space is valid, how large it is, what its budget leaves of it, and how long a search will take.

    A few of its networks are trained for a moment on this machine, on synthetic images: no data is needed.
    """
    from archsearch.api.spaces import load_space

    loaded = load_space(space, sets or ())
    document = loaded.check(samples=samples, probe=not no_probe, cluster=cluster, tell=tell)
    if as_json:
        print_json(document)
    else:
        print(page(loaded, document))

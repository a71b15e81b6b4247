"""`archsearch check`: what a search-space file says, before anything is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import AllowSource, Flops, Json, Params, Set, SpaceOrImages, Time
from archsearch.cli.showing.page import page


def check(
    space: SpaceOrImages,
    *,
    time: Time = None,
    flops: Flops = None,
    params: Params = None,
    sets: Set = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of random networks to count.")] = 20_000,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Skip the timing of a few trainings: no time estimate.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NxDEVICE", help="Estimate the time on a cluster too: 8xH100, 2x8xA100, 64xcpu."),
    ] = None,
    allow_source: AllowSource = None,
    as_json: Json = False,
) -> None:
    """Checks a search space: whether it is valid, how large it is, what fits its budget, how long a search will take.
    Of a folder or a table of images it checks the space that `archsearch run` would search.

    A few of its networks are timed on this machine with synthetic images; no data is needed.
    """
    from archsearch.api.initial import space_for
    from archsearch.api.spaces import load_space
    from archsearch.sources.own import allow as allow_sources

    allow_sources(allow_source or ())
    loaded = load_space(space_for(space, sets or (), time=time, flops=flops, params=params, tell=tell))
    document = loaded.check(samples=samples, probe=not no_probe, cluster=cluster, tell=tell)
    if as_json:
        print_json(document)
    else:
        print(page(loaded, document))

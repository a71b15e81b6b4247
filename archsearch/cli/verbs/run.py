"""`archsearch run`: a search from a search-space file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.api.showing.printing import percent, print_json, short, table, tell
from archsearch.cli.dispatch import DONE
from archsearch.cli.options import (
    Address,
    AllowSampler,
    AllowSource,
    Flops,
    Json,
    Params,
    RuntimeEnv,
    Set,
    SpaceOrImages,
    Time,
    TrackingUri,
)

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace


def run(
    space: SpaceOrImages,
    *,
    time: Time = None,
    flops: Flops = None,
    params: Params = None,
    trials: Annotated[int | None, typer.Option(help="Number of trials. Sets search.trials.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of the search. Sets search.seed.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the experiment. Default: the name in the file.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the experiment. Default: experiments/NAME.")
    ] = None,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Start a new experiment under the next free name, although the last one was interrupted."
        ),
    ] = False,
    warm_start: Annotated[
        str | None,
        typer.Option(
            "--warm-start",
            metavar="EXPERIMENT",
            help="Start from the results of an earlier experiment on the same data; its space may differ.",
        ),
    ] = None,
    learn_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="Learn which networks score higher from an earlier experiment, on any data; repeatable. "
            "Default: the ten newest in experiments/, none with --output.",
        ),
    ] = None,
    sets: Set = None,
    allow_sampler: AllowSampler = None,
    allow_source: AllowSource = None,
    address: Address = None,
    runtime_env: RuntimeEnv = False,
    tracking_uri: TrackingUri = None,
    rehearse: Annotated[bool, typer.Option("--dry-run", help="Show what would run, without writing anything.")] = False,
    as_json: Json = False,
) -> int:
    """Searches a space for the best network within its budget; for a folder of images, a space that fits them.

    Ctrl-C saves and exits (code 3); `archsearch resume` continues. A second Ctrl-C exits at once.
    """
    from archsearch.api.initial import space_for
    from archsearch.api.searching import begin, dry_run
    from archsearch.cli.driving import drive_and_show
    from archsearch.search.proposing.samplers.registry import allow
    from archsearch.sources.own import allow as allow_sources

    allow(allow_sampler or ())
    allow_sources(allow_source or ())
    overrides = list(sets or ())
    overrides += [f"search.trials={trials}"] if trials is not None else []
    overrides += [f"search.seed={seed}"] if seed is not None else []
    loaded = space_for(space, overrides, time=time, flops=flops, params=params, tell=tell)
    if rehearse:
        document, expected, survey = dry_run(
            loaded,
            name=name,
            output=output,
            new=new,
            warm_start=warm_start,
            learn_from=learn_from or (),
            tell=tell,
        )
        among = "all of them" if survey.whole else f"{survey.looked:,} random ones"
        if as_json:
            print_json(document)
        else:
            _show_plan(document, expected, among)
        return DONE
    search = begin(
        loaded,
        name=name,
        output=output,
        new=new,
        warm_start=warm_start,
        learn_from=learn_from or (),
        address=address,
        runtime_env=runtime_env,
        tracking_uri=tracking_uri,
        tell=tell,
    )
    return drive_and_show(search, as_json=as_json)


def _show_plan(document: dict[str, Any], space: SearchSpace, among: str) -> None:
    print(f"would run   {document['trials']} trials of at most {space.training.epochs} epochs on {space.data.name}")
    print(f"in          {document['folder']}")
    share = percent(document["share_within_budget"])
    print(f"space       {space.extent()} combinations; {share} of {among} within the budget")
    print("\nfirst proposals")
    rows = [
        (row["digest"], *(short(row[cost]) for cost in ("params", "flops", "macs"))) for row in document["proposals"]
    ]
    print(table(("digest", "params", "FLOPs", "MACs"), rows))

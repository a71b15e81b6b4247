"""`archsearch sample`: architectures of a space within its budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.api.showing.printing import short, tell
from archsearch.cli.dispatch import DONE, FAILED
from archsearch.cli.options import JsonLines, Set, SpaceFile

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture


def sample(
    space: SpaceFile,
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000_000, help="Number of architectures.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same architectures.")] = 0,
    sets: Set = None,
    as_json: JsonLines = False,
) -> int:
    """Draws random architectures of a space, all different and within its budget.

    Every combination of choices within the budget is equally likely.
    """
    from archsearch.space.loading import load_space
    from archsearch.space.many.draws import distinct

    count = 0
    for identity, network, price in distinct(load_space(space, sets or ()), number, seed=seed):
        count += 1
        if as_json:
            print(json.dumps({"digest": identity, **price.to_dict(), "architecture": network.to_dict()}))
        else:
            print(f"{identity}  {short(price.params):>6} params  {short(price.flops):>6} FLOPs  "
                  f"{short(price.macs):>6} MACs  {_shape(network)}")  # fmt: skip
    if count < number:
        tell(f"archsearch: only {count} networks: the space has no others within its budget")
        return FAILED
    return DONE


def _shape(network: Architecture) -> str:
    """Depth x width of each stage, and what its blocks are."""
    return " | ".join(
        f"{s.depth}x{s.block.growth_rate if s.block.link == 'dense' else s.width} {s.block.link} {s.block.kind}"
        for s in network.stages
    )

"""`archsearch sample`: architectures of a space within its budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.dispatch import DONE, FAILED, app_of, command
from archsearch.cli.draws import draws
from archsearch.cli.options import JsonLines, Set, SpaceFile
from archsearch.cli.printing import short, tell

if TYPE_CHECKING:
    from archsearch.architecture.cost import Cost
    from archsearch.architecture.spec import Architecture
    from archsearch.space import SearchSpace

app = app_of("sample")
PATIENCE = 10_000  # draws without anything new before the space counts as used up


@command(app)
def sample(
    space: SpaceFile,
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1_000_000, help="How many.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same architectures.")] = 0,
    sets: Set = None,
    as_json: JsonLines = False,
) -> int:
    """Random architectures of a space: different from one another, and all within its budget."""
    from archsearch.space import load_space

    found = 0
    for network, counted in _distinct(load_space(space, sets or ()), number, seed):
        found += 1
        if as_json:
            print(json.dumps({"digest": network.digest, **counted.to_dict(), "architecture": network.to_dict()}))
        else:
            print(f"{network.digest}  {short(counted.params):>6} params  {short(counted.flops):>6} FLOPs  "
                  f"{short(counted.macs):>6} MACs  {_shape(network)}")  # fmt: skip
    if found < number:
        tell(f"archsearch: {found} found; {PATIENCE:,} more draws brought nothing new within the budget")
        return FAILED
    return DONE


def _distinct(space: SearchSpace, number: int, seed: int) -> Iterator[tuple[Architecture, Cost]]:
    seen, misses = set[str](), 0
    for drawn in draws(space, seed):
        if len(seen) == number or misses == PATIENCE:
            return
        misses += 1
        if drawn is not None and space.budget.admits(drawn[1]) and (digest := drawn[0].digest) not in seen:
            seen.add(digest)
            misses = 0
            yield drawn


def _shape(network: Architecture) -> str:
    """Depth x width of each stage, and what its blocks are."""
    return " | ".join(
        f"{s.depth}x{s.block.growth_rate if s.block.link == 'dense' else s.width} {s.block.link} {s.block.kind}"
        for s in network.stages
    )

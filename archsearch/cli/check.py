"""`archsearch check`: what a search-space file says, before anything is trained."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.cli.dispatch import app_of, command
from archsearch.cli.draws import draws
from archsearch.cli.options import Json, Set, SpaceFile
from archsearch.cli.printing import percent, print_json, short, tell

if TYPE_CHECKING:
    from archsearch.architecture.cost import Cost
    from archsearch.space import SearchSpace
    from archsearch.space.budget import Bound

app = app_of("check")
BINS = 12
BAR = 40


@command(app)
def check(
    space: SpaceFile,
    *,
    sets: Set = None,
    samples: Annotated[int, typer.Option(min=1, max=1_000_000, help="Random networks to draw.")] = 2000,
    as_json: Json = False,
) -> None:
    """Whether a search space is valid, how large it is, what share of it fits the budget, and what it costs."""
    from archsearch.space import load_space

    loaded = load_space(space, sets or ())
    tell(f"drawing {samples:,} random networks")
    document = _document(loaded, space, samples)
    if as_json:
        print_json(document)
    else:
        _print(loaded, document)


def _document(space: SearchSpace, file: Path, samples: int) -> dict[str, Any]:
    from archsearch.space import facts, largest, smallest

    start = time.perf_counter()
    drawn = list(itertools.islice(draws(space, 0), samples))
    seconds = (time.perf_counter() - start) / samples
    costs = [item[1] for item in drawn if item is not None]
    fits = [counted for counted in costs if space.budget.admits(counted)]
    extent, images = space.extent(), facts(space.data).images
    median = sorted(c.flops for c in fits)[len(fits) // 2] if fits else None
    forward = 3 * (images or 0) * space.search.trials * space.training.epochs
    return {
        "file": str(file),
        "name": space.name,
        "valid": True,
        "notes": list(space.notes),
        "size": None if extent.count == math.inf else extent.count,
        "size_exact": extent.exact,
        "budget": space.budget.to_data(),
        "samples": samples,
        "within_budget": len(fits),
        "share_within_budget": len(fits) / samples,
        "seconds_per_sample": seconds,
        "flops_histogram": _histogram(costs, fits),
        "cheapest": smallest(space).cost.to_dict(),
        "dearest": largest(space).cost.to_dict(),
        "median_flops_within_budget": median,
        "trials": space.search.trials,
        "epochs": space.training.epochs,
        "training_images": images,
        # A backward pass costs about two forward passes.
        "search_flops_at_most": forward * median if median and images else None,
    }


def _histogram(costs: list[Cost], fits: list[Cost]) -> list[dict[str, int]]:
    """Bins of equal width in the logarithm."""
    if not costs:
        return []
    low, high = min(c.flops for c in costs), max(c.flops for c in costs)
    step = math.log((high + 1) / low) / BINS if low else 1.0

    def bins(some: list[Cost]) -> list[int]:
        counts = [0] * BINS
        for counted in some:
            counts[min(BINS - 1, int(math.log(counted.flops / low) / step))] += 1
        return counts

    edges = [round(low * math.exp(i * step)) for i in range(BINS + 1)]
    return [
        {"from": start, "to": end, "count": count, "within_budget": within}
        for start, end, count, within in zip(edges, edges[1:], bins(costs), bins(fits), strict=False)
    ]


def _print(space: SearchSpace, found: dict[str, Any]) -> None:
    print(f"{found['file']}: valid")
    for note in found["notes"]:
        print(f"note        {note}")
    print(f"space       {found['name']}: {space.extent()} combinations")
    print(f"budget      {_budget(space)}")
    print(f"fits        {percent(found['share_within_budget'])} of {found['samples']:,} random networks, "
          f"{1e3 * found['seconds_per_sample']:.2f} ms each")  # fmt: skip
    for word in ("cheapest", "dearest"):
        counted = found[word]
        print(f"{word:<12}{short(counted['flops'])} FLOPs, {short(counted['params'])} parameters")
    print(f"search      {found['trials']} trials of at most {found['epochs']} epochs on {space.data.name}")
    if found["search_flops_at_most"]:
        print(f"work        at most {short(found['search_flops_at_most'])} multiply-adds "
              "(median network, forward and backward); early stopping leaves a part of it")  # fmt: skip
    print("\nFLOPs of random networks (# within the budget, . beyond)")
    most = max((row["count"] for row in found["flops_histogram"]), default=1) or 1
    for row in found["flops_histogram"]:
        within = round(BAR * row["within_budget"] / most)
        beyond = round(BAR * row["count"] / most) - within
        label = f"{short(row['from']):>6} to {short(row['to']):>6}"
        print(f"  {label}  {row['count']:>6}  {'#' * within}{'.' * beyond}".rstrip())


def _budget(space: SearchSpace) -> str:
    def text(name: str, bound: Bound) -> str:
        low = f"{short(bound.low)} <= " if bound.low else ""
        return f"{low}{name}" + (f" <= {short(bound.high)}" if bound.high is not None else "")

    return ", ".join(text(name, bound) for name, bound in space.budget.bounds()) or "none"

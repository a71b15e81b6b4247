"""What a budget leaves of a space, before anything is trained: shares, the hardest bound, costs, values out of reach.

A space of few enough assignments is looked at whole, each once. Of a larger one free draws are looked at: each choice
by its own domain, as the file declares it. Counts are exact (counting.py); latency is measured later, and no part of
this. A value that no draw within the budget has is looked for: draws are made to have it, and the nearest of them are
led towards the budget, one changed choice at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.space.choices import Scalar
from archsearch.space.many.columns import BoolArray, FloatArray, IntArray
from archsearch.space.many.cost_table import by_name
from archsearch.space.many.counting import Counter
from archsearch.space.many.grid import Grid

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

COSTS = ("flops", "params", "macs", "activations", "memory")
BINS = 12
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MAX_VALUES = 64  # of a parameter whose values are looked at one by one
FORCED = (256, 4096)  # draws at least and at most that are made to have one value, where no free draw with it fits
DESCENTS, STEPS = 3, 40  # of the draws nearest to the budget, so many are led towards it, in so many steps at most

Suspect = tuple[int, int]  # a column, and the code of a value that nothing within the budget has


@dataclass(frozen=True, kw_only=True)
class BoundShare:
    """How one bound bears on the networks looked at: how many keep it, lie `below` or `above` it, and how many keep all
    other bounds (all of them, where it is the only one)."""

    name: str
    kept: int
    below: int
    above: int
    others_kept: int


@dataclass(frozen=True, kw_only=True)
class Unreachable:
    """A value that no network within the budget was found to have. `tried` had it; 0: it is never asked for."""

    word: str
    value: Scalar
    tried: int


@dataclass(frozen=True, kw_only=True)
class Survey:
    """`looked` networks, or `whole`: each of the space's assignments once. `impossible` ones run out of pixels;
    the linear widths of `other_stages` give stages that the space does not allow.

    `hardest` is the bound without which most more would fit. `unreachable` is certain where `whole`; None where nothing
    within the budget was found, so that nothing can be said of values. `passed_over`: columns of more values than 64.
    Histograms' bins are of equal width in the logarithm; quantiles are by name of the cost, of all and within budget.
    """

    looked: int
    whole: bool
    seed: int
    impossible: int
    other_stages: int
    within: int
    bounds: tuple[BoundShare, ...]
    hardest: str | None
    unmeasured: tuple[str, ...]
    histograms: Mapping[str, tuple[dict[str, int], ...]]
    quantiles: Mapping[str, Mapping[str, tuple[int, ...]]]
    unreachable: tuple[Unreachable, ...] | None
    passed_over: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the networks looked at, those within the budget."""
        return self.within / self.looked

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, shares beside the numbers."""
        return {
            **asdict(self),
            "share": self.share,
            "bounds": [
                {**asdict(b), "share": b.kept / self.looked, "share_of_others": b.others_kept / self.looked}
                for b in self.bounds
            ],
            "histograms": {name: list(bins) for name, bins in self.histograms.items()},
            "quantiles": {
                name: {kind: dict(zip(map(str, QUANTILES), values, strict=False)) for kind, values in kinds.items()}
                for name, kinds in self.quantiles.items()
            },
        }


def survey(space: SearchSpace, *, samples: int = 100_000, seed: int = 0) -> Survey:
    """Looks at `samples` free draws, or at all assignments where there are no more. Nothing is built."""
    return _Surveyor(space, seed).look(samples)


class _Surveyor:
    """Looks at one space; its generator serves all draws in turn."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._rng = np.random.default_rng(seed)
        self._grid = Grid(space.parameters)
        self._counter = Counter(self._grid, image=space.input, classes=space.classes)

    def look(self, samples: int) -> Survey:
        everything = self._grid.everything(samples)
        rows = self._grid.draw(samples, self._rng) if everything is None else everything
        costs, possible = self._counted(rows)
        bounds, fits = self._bounds(costs, possible)
        # Without its bound `others_kept` would fit. Where no bound lets more in on its own, the one that fewest keep.
        hardest = max(bounds, key=lambda b: (b.others_kept, -b.kept), default=None)
        is_whole = everything is not None
        is_derived = bool(self._space.parameters["stages"].derived_from)
        other_stages = int((~self._grid.resolve(rows).possible).sum()) if is_derived else 0
        return Survey(
            looked=len(rows),
            whole=is_whole,
            seed=self._seed,
            impossible=int((~possible).sum()) - other_stages,
            other_stages=other_stages,
            within=int(fits.sum()),
            bounds=tuple(bounds),
            hardest=hardest.name if hardest is not None and hardest.kept < len(rows) else None,
            unmeasured=tuple(name for name, _ in self._space.budget.bounds() if name not in COSTS),
            histograms={name: _histogram(costs[name][possible], fits[possible]) for name in COSTS},
            quantiles={
                name: {"all": _quantiles(costs[name][possible]), "within_budget": _quantiles(costs[name][fits])}
                for name in COSTS
            },
            unreachable=self._unreachable(rows, fits, is_whole=is_whole) if fits.any() else None,
            passed_over=tuple(c.name for c in self._grid.columns if len(c.values) > MAX_VALUES),
        )

    def _counted(self, rows: IntArray) -> tuple[dict[str, IntArray], BoolArray]:
        counts, possible = self._counter.count(rows, chunk=len(rows))
        return by_name(self._space, counts), possible

    def _bounds(self, costs: Mapping[str, IntArray], possible: BoolArray) -> tuple[list[BoundShare], BoolArray]:
        bounded = [(name, bound) for name, bound in self._space.budget.bounds() if name in costs]
        below = {n: costs[n] < b.low if b.low is not None else np.zeros(len(possible), bool) for n, b in bounded}
        above = {n: costs[n] > b.high if b.high is not None else np.zeros(len(possible), bool) for n, b in bounded}
        broken = np.zeros(len(possible), np.int64)
        for name, _ in bounded:
            broken += below[name] | above[name]
        shares = []
        for name, _ in bounded:
            outside = below[name] | above[name]
            shares.append(
                BoundShare(
                    name=name,
                    kept=int((possible & ~outside).sum()),
                    below=int((possible & below[name]).sum()),
                    above=int((possible & above[name]).sum()),
                    others_kept=int((possible & (broken - outside == 0)).sum()),
                )
            )
        return shares, possible & (broken == 0)

    # ---- values that nothing within the budget has

    def _unreachable(self, rows: IntArray, fits: BoolArray, *, is_whole: bool) -> tuple[Unreachable, ...]:
        suspects: list[Suspect] = []
        tried: list[int] = []
        for number, column in enumerate(self._grid.columns):
            if len(column.values) > MAX_VALUES:
                continue
            all_counts, fit_counts = (np.bincount(some[:, number] + 1, minlength=len(column.values) + 1)[1:]
                                      for some in (rows, rows[fits]))  # fmt: skip
            suspects += [(number, int(code)) for code in np.flatnonzero(fit_counts == 0)]
            tried += [int(all_counts[code]) for code in np.flatnonzero(fit_counts == 0)]
        reached: set[int] = set()
        if suspects and not is_whole:
            forced, reached = self._seek(suspects, len(rows))
            tried = [before + more for before, more in zip(tried, forced, strict=True)]
        columns = self._grid.columns
        return tuple(
            Unreachable(word=columns[number].name, value=columns[number].values[code], tried=count)
            for index, ((number, code), count) in enumerate(zip(suspects, tried, strict=True))
            if index not in reached
        )

    def _seek(self, suspects: list[Suspect], samples: int) -> tuple[list[int], set[int]]:
        """Draws that are made to have each suspect's value, and the nearest of them led towards the budget: how many
        had it, and the indices of the suspects that are within reach after all."""
        count = min(max(samples // len(suspects), FORCED[0]), FORCED[1])
        forced = []
        for number, code in suspects:
            codes = self._grid.draw(count, self._rng)
            codes[codes[:, number] >= 0, number] = code
            forced.append(codes)
        rows, owner = self._settled(np.concatenate(forced), np.repeat(np.arange(len(suspects)), count), suspects)
        excess = self._excess(rows)
        tried = np.bincount(owner, minlength=len(suspects))
        nearest = np.concatenate(
            [np.flatnonzero(owner == index)[np.argsort(excess[owner == index], kind="stable")[:DESCENTS]]
             for index in range(len(suspects))]
        )  # fmt: skip
        return tried.tolist(), self._descend(rows[nearest], owner[nearest], excess[nearest], suspects)

    def _descend(self, rows: IntArray, owner: IntArray, excess: FloatArray, suspects: list[Suspect]) -> set[int]:
        """Each row, whose suspect has the index `owner`, takes the one change that brings it nearest to the budget,
        until none does; the suspects whose rows come to lie within. All rows at once."""
        reached = set(owner[excess == 0].tolist())
        for _ in range(STEPS):
            active = np.array([index not in reached for index in owner.tolist()], bool) & np.isfinite(excess)
            rows, owner, excess = rows[active], owner[active], excess[active]
            if not len(rows):
                break
            changed, origin = self._changes(rows)
            settled, origin = self._settled(changed, origin, suspects, owner)
            changed_excess = self._excess(settled)
            order = np.lexsort((changed_excess, origin))
            first = order[np.unique(origin[order], return_index=True)[1]]
            better = first[changed_excess[first] < excess[origin[first]]]
            rows, owner, excess = settled[better], owner[origin[better]], changed_excess[better]
            reached |= set(owner[excess == 0].tolist())
        return reached

    def _changes(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Every row with every active choice set to every other value; and which row each comes from."""
        changed, origin = [], []
        for number, column in enumerate(self._grid.columns):
            values = range(len(column.values)) if len(column.values) <= MAX_VALUES else (0, len(column.values) - 1)
            for code in values:
                (indices,) = np.nonzero((rows[:, number] >= 0) & (rows[:, number] != code))
                copies = rows[indices]
                copies[:, number] = code
                changed.append(copies)
                origin.append(indices)
        return np.concatenate(changed), np.concatenate(origin)

    def _settled(
        self, rows: IntArray, origin: IntArray, suspects: list[Suspect], owner: IntArray | None = None
    ) -> tuple[IntArray, IntArray]:
        """The rows made canonical and their `origin`, of those that (still) have their suspect's value. A row's
        suspect has the index `owner[origin]`, or `origin` without `owner`."""
        settled = self._grid.settle(rows, self._rng)
        number, code = np.array(suspects)[origin if owner is None else owner[origin]].T
        has_value = settled[np.arange(len(settled)), number] == code
        return settled[has_value], origin[has_value]

    def _excess(self, rows: IntArray) -> FloatArray:
        """By how much (a sum of logarithms) each row lies outside of the bounds: 0 within, inf for no network."""
        costs, possible = self._counted(rows)
        excess = np.where(possible, 0.0, np.inf)
        for name, bound in self._space.budget.bounds():
            if name in costs:
                logs = np.log(np.maximum(costs[name], 1))
                if bound.high is not None:
                    excess += np.maximum(logs - np.log(max(bound.high, 1)), 0.0)
                if bound.low:
                    excess += np.maximum(np.log(bound.low) - logs, 0.0)
        return excess


def _histogram(values: IntArray, fits: BoolArray) -> tuple[dict[str, int], ...]:
    """Twelve bins of equal width in the logarithm, from the least to the most."""
    if not len(values):
        return ()
    low, high = max(int(values.min()), 1), int(values.max()) + 1
    edges = np.round(np.geomspace(low, high, BINS + 1)).astype(np.int64)
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    counts, counts_within = (np.bincount(some, minlength=BINS).tolist() for some in (bins, bins[fits]))
    return tuple(
        {"from": int(start), "to": int(end), "count": count, "within_budget": within}
        for start, end, count, within in zip(edges, edges[1:], counts, counts_within, strict=False)
    )


def _quantiles(values: IntArray) -> tuple[int, ...]:
    return tuple(int(v) for v in np.quantile(values, QUANTILES, method="inverted_cdf")) if len(values) else ()

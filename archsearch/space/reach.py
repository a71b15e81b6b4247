"""The least and the most that a space's networks cost, so that a budget that nothing fits is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.numbers import format_count
from archsearch.space.choices import Choices, RandomChoices, Recorder, Scalar, every

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

Counted = tuple[Architecture, Cost]

MAX_EXACT = 600
DRAWS = 24
STARTS = 2
MANY = 4096  # draws of a space of linear widths, whose extreme is a start
SWEEPS = 4
MAX_TRIES = 12


@dataclass(frozen=True, kw_only=True)
class Extreme:
    """The cheapest network found for one count, or the dearest; `exact` where the whole space was counted."""

    architecture: Architecture
    cost: Cost
    exact: bool


def smallest(space: SearchSpace, count: str = "flops") -> Extreme:
    """The space's network with the least of `count`: flops, params, macs or activations.

    Small spaces are counted in full. In larger ones every choice is moved on its own until nothing gets smaller,
    from several starts. Raises InputError where no network of the space can be built.
    """
    return _extreme(space, count, sign=1)


def largest(space: SearchSpace, count: str = "flops") -> Extreme:
    """The space's network with the most of `count`; see `smallest`."""
    return _extreme(space, count, sign=-1)


def refuse_if_unreachable(space: SearchSpace) -> None:
    """Raises InputError, at the budget's line, where no network of the space keeps the budget of what is counted.

    Found exactly in small spaces; in larger ones a bound is refused that lies beyond the extreme found.
    """
    bounds = [(name, bound) for name, bound in space.budget.bounds() if name in Cost().to_dict()]
    if not bounds or any(space.budget.admits(drawn) for _, drawn in _drawn(space, DRAWS)):
        return
    problems = []
    for name, bound in bounds:
        if bound.high is not None and getattr((extreme := smallest(space, name)).cost, name) > bound.high:
            problems.append(_problem(space, name, "max", bound.high, extreme))
        if bound.low is not None and getattr((extreme := largest(space, name)).cost, name) < bound.low:
            problems.append(_problem(space, name, "min", bound.low, extreme))
    if problems:
        raise InputError(*problems)
    everything = _everything(space)
    if everything is not None and not any(space.budget.admits(counted) for _, counted in everything):
        raise InputError(
            space.document.problem(
                ("budget",),
                f"no network of the space is within all limits of the budget: {space.budget}",
                allowed="limits that some network satisfies together",
                hint="widen a limit, or let more parameters vary",
            )
        )


def _problem(space: SearchSpace, name: str, end: str, limit: int, extreme: Extreme) -> Problem:
    bound = getattr(space.budget, name)
    prefix = "" if extreme.exact else "about "
    reach = getattr(extreme.cost, name)
    extreme_name, hint = (
        ("smallest", "raise the limit, or let depth, width or stages go lower")
        if end == "max"
        else ("largest", "lower the limit, or let depth, width or stages go higher")
    )
    limit_text = "at most" if end == "max" else "at least"
    return space.document.problem(
        ("budget", name, "between" if bound.between else end),
        f"budget.{name} is {limit_text} {format_count(limit)}, and the {extreme_name} that this space can reach is "
        f"{prefix}{format_count(reach)}",
        allowed=f"{reach} or {'more' if end == 'max' else 'less'}",
        hint=hint,
    )


def _extreme(space: SearchSpace, name: str, *, sign: int) -> Extreme:
    def key(item: Counted) -> int:
        return sign * int(getattr(item[1], name))

    everything = _everything(space)
    if everything is not None:
        best = min(everything, key=key, default=None)
    else:
        extremes = [_descend(space, start, key) for start in _starts(space, name, sign)]
        best = min((item for item in extremes if item is not None), key=key, default=None)
    if best is None:
        raise InputError(
            space.document.problem(
                ("space",), "no network of the space can be built", hint="try fewer stages or smaller strides"
            )
        )
    return Extreme(architecture=best[0], cost=best[1], exact=everything is not None)


def _count(space: SearchSpace, choices: Choices) -> Counted | None:
    """A drawn network and its cost; None for one whose image runs out."""
    try:
        architecture = space.architecture(choices)
        return architecture, cost(architecture)
    except InputError:
        return None


def _drawn(space: SearchSpace, number: int) -> Iterator[Counted]:
    counted = (_count(space, RandomChoices(seed)) for seed in range(number))
    return (item for item in counted if item is not None)


def _everything(space: SearchSpace) -> list[Counted] | None:
    """Every network of a small space with its cost; None for a larger one."""
    extent = space.networks()
    if not extent.exact or extent.count > MAX_EXACT:
        return None
    networks = list(islice(every(lambda choices: _count(space, choices)), 4 * MAX_EXACT + 1))
    if len(networks) > 4 * MAX_EXACT:
        return None  # sorted stages repeat combinations
    return [network for network in networks if network is not None]


def _starts(space: SearchSpace, name: str, sign: int) -> Iterator[dict[str, Scalar]]:
    if space.parameters["stages"].derived_from:
        yield from _extreme_of_many(space, name, sign)
        return
    yield {}
    for seed in range(1, STARTS):
        recorder = Recorder(RandomChoices(seed))
        if _count(space, recorder) is not None:
            yield recorder.taken


def _extreme_of_many(space: SearchSpace, name: str, sign: int) -> Iterator[dict[str, Scalar]]:
    """The extremes of many draws: of linear widths no single choice may lead from one number of stages to another."""
    import numpy as np

    from archsearch.space.many.cost_table import NAMES
    from archsearch.space.many.counting import Counter
    from archsearch.space.many.grid import Grid

    grid = Grid(space.parameters)
    rows = grid.draw(MANY, np.random.default_rng(0))
    counts, possible = Counter(grid, image=space.input, classes=space.classes).count(rows, chunk=MANY)
    order = np.argsort(sign * counts[possible, NAMES.index(name)], kind="stable")
    yield from (grid.choices(row) for row in rows[possible][order[: 2 * STARTS]])


def _descend(space: SearchSpace, start: Mapping[str, Scalar], key: Callable[[Counted], int]) -> Counted | None:
    """Moves one answer at a time to whatever lowers `key`, until no single move does."""
    answers = dict(start)
    first = _Answers(answers)
    best = _count(space, first)
    for _ in range(SWEEPS):
        before = best
        for name, options in list(first.options.items()):
            for option in options:
                trial = _Answers({**answers, name: option})
                item = _count(space, trial)
                if item is not None and (best is None or key(item) < key(best)):
                    best, answers, first = item, {**answers, name: option}, trial
        if best is before:
            break
    return best


class _Answers:
    """Choices that give the answers they have, and the first option elsewhere; notes what could be answered."""

    def __init__(self, answers: Mapping[str, Scalar]) -> None:
        self._answers = answers
        self.options: dict[str, tuple[Scalar, ...]] = {}

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        self.options[name] = tuple(options[:MAX_TRIES])
        return self._answers.get(name, options[0])

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.options[name] = (low, high)
        return int(self._answers.get(name, low) or 0)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        self.options[name] = (low, high)
        return float(self._answers.get(name, low) or 0)

"""A small space that is known whole, real enough: conditional choices, ordered and unordered ones, exact costs."""

from __future__ import annotations

import itertools

import numpy as np

from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers import Sampler
from archsearch.space.many.columns import Column
from benchmarks.finite_field import FiniteField

CHOICES: dict[str, tuple[str | int, ...]] = {
    "stage1.depth": (1, 2, 3),
    "stage2.depth": (1, 2, 3),
    "link": ("plain", "residual", "dense"),
    "width": (8, 16, 32, 64),
    "growth_rate": (4, 8, 12),
    "activation": ("post", "pre"),
}
NAMES = tuple(CHOICES)


def space() -> FiniteField:
    """162 candidates: widths but in dense networks, growth rates in those alone."""
    columns = [
        Column(
            name=name, values=values, weights=np.full(len(values), 1 / len(values)), ordered=isinstance(values[0], int)
        )
        for name, values in CHOICES.items()
    ]
    rows = set()
    for row in itertools.product(*(range(len(values)) for values in CHOICES.values())):
        codes = list(row)
        codes[4 if codes[2] < 2 else 3] = -1
        rows.add(tuple(codes))
    codes = np.array(sorted(rows), np.int32)
    depth, size = (
        codes[:, 0] + codes[:, 1] + 2,
        np.where(codes[:, 3] < 0, 6 * (codes[:, 4] + 1), 8 * 2.0 ** codes[:, 3]),
    )
    costs = {"params": (depth * size**2).astype(int), "flops": (depth * size**2 * (8 + codes[:, 0])).astype(int)}
    return FiniteField(columns, codes, costs)


def accuracy(field: FiniteField, codes: np.ndarray) -> np.ndarray:
    """(n,): more depth needs a shortcut, width helps ever less, and each network has a little luck of its own."""
    costs, places = field.costs(codes), field.places(codes)
    link = np.array([-0.02, 0.01, 0.015])[codes[:, 2]]
    tired = np.where(codes[:, 2] == 0, -0.012 * (codes[:, 0] + codes[:, 1]), 0.004 * codes[:, 1])
    luck = np.random.default_rng(5).normal(0, 0.004, len(field.codes))[places]
    return 0.7 + link + tired + 0.02 * np.log10(costs["params"]) + 0.006 * codes[:, 5] + luck


def search(
    sampler: Sampler, field: FiniteField, trials: int, seed: int = 0, objectives: int = 1, full: int = 9
) -> History:
    """So many trials one after another, all finished; fewer where the space is used up."""
    history = History.empty(len(field.columns), objectives, full)
    for number in range(trials):
        row = sampler.propose(history, field, np.random.default_rng([seed, number]))
        if row is None:
            break
        field.use(row)
        history = grown(history, field, row)
    return history


def grown(history: History, field: FiniteField, row: np.ndarray) -> History:
    """One more finished trial. The second objective, if any, is to be small: the logarithm of the parameters."""
    score = [accuracy(field, row[None])[0], -np.log10(field.costs(row[None])["params"][0])][: history.objectives]
    return History(
        codes=np.concatenate([history.codes, row[None]]),
        scores=np.concatenate([history.scores, [score]]),
        epochs=np.append(history.epochs, history.full),
        full=history.full,
    )

"""What other tools offer, on the same tables: Syne Tune's searchers, where it is installed.

They see the space's choices as one flat space, as their users write it: what a condition makes void is asked all the
same, and equal networks are trained again. NePS asks for other versions of packages that are pinned here.
"""

from __future__ import annotations

import importlib.util
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from regret_runs import Ground, Replay

from archsearch.space.choices import Recorder
from archsearch.space.many.grid import Grid
from archsearch.space.sampling import draw

SYNE_TUNE = {
    "Syne Tune, CQR": "cqr",
    "Syne Tune, KDE": "kde",
    "Syne Tune, BORE": "bore",
    "Syne Tune, evolution": "regularized_evolution",
}
TOOLS = {"NePS": "neps", "Syne Tune": "syne_tune"}


def installed() -> list[str]:
    """The samplers that can be run here."""
    return list(SYNE_TUNE) if importlib.util.find_spec("syne_tune") else []


def missing() -> list[str]:
    """The tools that are not installed."""
    return [name for name, module in TOOLS.items() if importlib.util.find_spec(module) is None]


def syne_tune(name: str, ground: Ground, seed: int, trials: int) -> np.ndarray:
    """One search: regrets after each trial, (trials,). A network that could not be trained is told as the worst."""
    from syne_tune.optimizer.schedulers.searchers.searcher_factory import searcher_cls

    logging.disable(logging.WARNING)
    random.seed(seed)  # its schedulers seed these two themselves
    np.random.seed(seed)
    words = ground.table.space.parameters
    searcher = searcher_cls(SYNE_TUNE[name])(config_space=_flat(ground), random_seed=seed)
    replay, regrets, top = Replay(ground, seed), np.full(trials, ground.truth.max()), -np.inf
    grid, rng = Grid(words), np.random.default_rng(0)
    for number in range(trials):
        config = searcher.suggest()
        recorder = Recorder(_Config(config))
        draw(words, recorder)
        row = grid.codes(recorder.taken, rng)
        assert row is not None
        score = replay.score(replay.add(int(ground.field.places(row))), ground.epochs)
        searcher.on_trial_complete(number, config, 0.0 if np.isnan(score) else -score)  # the least is the best
        if not np.isnan(score) and score > top:
            top, regrets[number:] = score, replay.regret(number)
    return regrets


def _flat(ground: Ground) -> dict[str, Any]:
    from syne_tune.config_space import choice, ordinal

    found = {}
    for column in Grid(ground.table.space.parameters).columns:
        values = list(column.values)
        found[column.name] = ordinal(values, kind="equal") if column.ordered else choice(values)
    return found


class _Config:
    """`Choices` that a configuration has made."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        return self._config[name]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._config[name])

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return float(self._config[name])

"""Bayesian optimisation: a Gaussian process over choices and exact costs says which candidate promises most."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from archsearch.analysis import ranking
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers.experience import Experience
from archsearch.search.proposing.samplers.finals import Finals, finals
from archsearch.search.proposing.samplers.gaussian_process import GaussianProcess, Inputs, Settings, embedded, learn
from archsearch.search.proposing.samplers.interface import FeasibleSet, pool, random_candidate
from archsearch.search.proposing.samplers.ranking import comparable, order
from archsearch.space.many.columns import FloatArray, IntArray

COSTS = ("params", "flops")
LARGER = 1.25  # times the median's FLOPs make a network large


@dataclass(frozen=True, kw_only=True)
class Bayes:
    """One objective: expected improvement (Jones 1998) over the best that the model believes of the trials so far.
    Several: the upper confidence bounds of a random scalarisation (Paria 2019, arXiv:1805.12168).

    The model sees choices, parameters and FLOPs, which are known exactly before anything is trained, and what
    experience expects, if there is any; from the trials it learns how much each counts, and the ranks of the scores.
    Trials of fewer epochs count as what they foretell (`finals`). A trial that runs, or failed, is believed to be as
    good as the model says, so that the next one looks elsewhere.
    """

    experience: Experience | None = None  # of earlier experiments; with one objective
    startup: int = 6  # scores before there is a model: random trials, but with one objective
    anchors: int = 3  # the first ones, which are the largest networks, apart from one another,
    anchor_pool: int = 512  # of so many candidates
    observations: int = 150  # the best half of these and a spread of the others bound the time
    pending: int = 50  # of the trials without a score, the last ones
    settings_trials: int = 60  # trials that the model's settings are learnt from
    growth: float = 1.25  # settings are learnt anew when so many times more trials are there
    uniform: int = 256  # candidates to score: uniform ones,
    parents: int = 5  # and of the best trials
    neighbours: int = 12  # so many each
    confidence: float = 1.0  # standard deviations above the mean of the upper bounds, with several objectives
    _learnt: dict[bytes, Settings] = field(default_factory=dict, compare=False, repr=False)

    def propose(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The most promising of some hundreds of candidates, uniform ones and neighbours of the best trials."""
        return next(iter(self.several(history, feasible, rng, 1)), None)

    def several(self, history: History, feasible: FeasibleSet, rng: np.random.Generator, count: int) -> list[IntArray]:
        """The `count` most promising candidates, distinct, the first being what `propose` returns; each further one is
        chosen as if those before it ran. Fewer where there is no model yet, or more than one objective, or are few
        candidates left."""
        ranked = order(history, enough=max(self.startup, self.parents))
        if len(ranked) < self.startup:
            if history.objectives == 1:
                match self.first(len(history)):
                    case "expected":
                        return _listed(self._expected(history, feasible, rng))
                    case "large":
                        return _listed(self._anchor(history, feasible, rng))
            return _listed(random_candidate(feasible, rng))
        best = history.codes[ranked[: self.parents]]
        candidates = pool(best, feasible, rng, uniform=self.uniform, neighbours=self.neighbours)
        if not len(candidates):
            return []
        inputs = self._inputs(candidates, feasible)
        models = [self._model(history, objective, feasible) for objective in range(history.objectives)]
        if len(models) == 1:
            return [candidates[index] for index in _promising(models[0], inputs, candidates, count)]
        bounds = [mean + self.confidence * spread for mean, spread in (model.predict(inputs) for model in models)]
        merit = _scalarised(np.stack(bounds, axis=1), rng.dirichlet(np.ones(len(models))))
        return [candidates[int(np.argmax(merit))]]

    def first(self, before: int) -> Literal["expected", "large", "random"]:
        """How the trial after `before` others is chosen while there is no model: with experience by that and by size
        in turns, the last of the startup at random. Of a startup of many workers, which lasts longer than one
        worker's, every other one is large."""
        if before >= self.startup:
            return "large" if before % 2 == 0 else "random"
        if self.experience is None:
            return "large" if before < self.anchors else "random"
        return "expected" if before % 2 == 0 else "large" if before < self.startup - 1 else "random"

    def is_chosen(self, before: int) -> bool:
        """Whether the trial after `before` others is not drawn at random, while there is no model."""
        return self.first(before) != "random"

    def _expected(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The network of a draw from which experience expects most, apart from every trial as `_anchor` is."""
        drawn = feasible.draw(self.anchor_pool, rng)
        if self.experience is None or not len(drawn):
            return None
        return _apart(drawn, self.experience.expected(drawn, feasible), history)

    def _anchor(self, history: History, feasible: FeasibleSet, rng: np.random.Generator) -> IntArray | None:
        """The network of most FLOPs in a draw that differs from every trial in two choices or more, if one does; any
        network where the budget is a window, in which none is much larger than the others."""
        drawn = feasible.draw(self.anchor_pool, rng)
        if not len(drawn):
            return None
        flops = feasible.costs(drawn)["flops"]
        if flops.max() < LARGER * np.median(flops):
            return drawn[0]
        return _apart(drawn, flops, history)

    def _model(self, history: History, objective: int, feasible: FeasibleSet) -> GaussianProcess:
        """The posterior of one objective's ranks, running and failed trials taken at what it predicts for them."""
        observed = _thinned(finals(history, objective), self.observations)
        inputs = self._inputs(history.codes[observed.rows], feasible)
        values, extra = _ranked(observed)
        settings = self._settings(history, objective, feasible)
        model = GaussianProcess(inputs, values, extra, settings)
        (pending,) = np.nonzero(~history.scored)
        if not len(pending):
            return model
        unscored = self._inputs(history.codes[pending[-self.pending :]], feasible)
        points = Inputs(np.concatenate([inputs.points, unscored.points]), inputs.owners)
        believed = np.concatenate([values, model.predict(unscored)[0]])
        extra = np.concatenate([extra, np.zeros(len(unscored.points))])
        return GaussianProcess(points, believed, extra, settings)

    def _inputs(self, codes: IntArray, feasible: FeasibleSet) -> Inputs:
        """Rows as points of the model: their choices, the costs of `COSTS` that are known, and what experience lets
        expect."""
        costs = feasible.costs(codes)
        known = [costs[name] for name in COSTS if name in costs]
        further = [] if self.experience is None else [self.experience.expected(codes, feasible)]
        return embedded(codes, known, feasible.columns, further)

    def _settings(self, history: History, objective: int, feasible: FeasibleSet) -> Settings:
        """Learnt from the first trials of the highest rung with enough of them: anew at 10, 12, 15, 18, ... trials."""
        chosen, scores = comparable(history, 2 * self.startup)
        count = min(self.startup, len(chosen))
        while int(count * self.growth) <= len(chosen):
            count = int(count * self.growth)
        lessons = _thinned(Finals(chosen[:count], scores[:count, objective], np.zeros(count)), self.settings_trials)
        codes = history.codes[lessons.rows]
        key = codes.tobytes() + lessons.values.tobytes()
        if key not in self._learnt:
            while len(self._learnt) >= 2 * history.objectives:
                self._learnt.pop(next(iter(self._learnt)))
            self._learnt[key] = learn(self._inputs(codes, feasible), _ranked(lessons)[0])
        return self._learnt[key]


def _listed(row: IntArray | None) -> list[IntArray]:
    return [] if row is None else [row]


def _promising(model: GaussianProcess, inputs: Inputs, candidates: IntArray, count: int) -> list[int]:
    """Indices of at most `count` different candidates, each that of the highest expected improvement, where those
    before it are believed to be as good as the model says."""
    mean, spread = model.predict(inputs)
    best, chosen = float(model.fitted.max()), list[int]()
    possible = np.ones(len(candidates), bool)
    believe = model.believing(inputs) if count > 1 else None
    while possible.any():
        merit = _improvement(mean, spread, best)
        chosen.append(int(np.argmax(np.where(possible, merit, -np.inf))))
        if believe is None or len(chosen) == count:
            break
        possible &= (candidates != candidates[chosen[-1]]).any(axis=1)
        spread = believe(chosen[-1])
    return chosen


def _apart(drawn: IntArray, merit: FloatArray | IntArray, history: History) -> IntArray:
    """The row of most merit, (n,), that differs from every trial in two choices or more, if one does."""
    ranked = drawn[np.argsort(-merit, kind="stable")]
    apart = (ranked[:, None] != history.codes).sum(axis=2).min(axis=1, initial=2)
    return ranked[int(np.argmax(apart))]


def _ranked(scores: Finals) -> tuple[FloatArray, FloatArray]:
    """Ranks of the scores, scaled to mean 0 and deviation 1, and the scores' variances in units of those; (k,) each.

    Ranks are the same for accuracy, error or its logarithm, and a network that does not learn at all does not make
    those that do look alike. A standard deviation becomes half the ranks between one below the score and one above.
    """
    levels, ranks, index = ranking.levels(scores.values)
    unit = float(ranks[index].std()) or 1.0
    heights = (ranks - ranks[index].mean()) / unit
    spread = np.sqrt(scores.variance)
    reach = np.interp(scores.values + spread, levels, heights) - np.interp(scores.values - spread, levels, heights)
    return heights[index], (reach / 2) ** 2


def _thinned(scores: Finals, limit: int) -> Finals:
    """At most `limit` of the trials: half of them the best, the other half evenly spread over the ranks below."""
    if len(scores.rows) <= limit:
        return scores
    ranked = ranking.ascending(-scores.values)
    lower = ranked[limit // 2 :]
    spread = lower[np.linspace(0, len(lower) - 1, limit - limit // 2).round().astype(int)]
    indices = np.sort(np.concatenate([ranked[: limit // 2], spread]))
    return Finals(scores.rows[indices], scores.values[indices], scores.variance[indices])


def _improvement(mean: FloatArray, spread: FloatArray, best: float) -> FloatArray:
    """Expected improvement of normal variables over `best` (Jones 1998, equation 15)."""
    z = (mean - best) / spread
    below = 0.5 * np.array([math.erfc(-value) for value in (z / math.sqrt(2)).tolist()])
    return np.asarray(spread * (z * below + np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)))


def _scalarised(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Augmented Chebyshev scalarisation (Knowles 2006, equation 2) of (n, M) to (n,), each objective from 0 to 1."""
    low, high = values.min(axis=0), values.max(axis=0)
    losses = (1 - (values - low) / np.maximum(high - low, 1e-12)) * weights
    return np.asarray(-losses.max(axis=1) - 0.05 * losses.sum(axis=1))

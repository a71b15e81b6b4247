"""How soon the search found its best, beside what random draws are expected to find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from archsearch.analysis.distributions import ExpectedBest, best_of, edf
from archsearch.analysis.report.charts import epochs
from archsearch.analysis.report.figures import Distribution, Progress, RandomDraws, Rise
from archsearch.analysis.report.reading import Reading, Score
from archsearch.experiment.objective import Objective

FEWEST_RANDOM = 6  # trials: of fewer not even the median of a single draw has an interval
NO_SAMPLE = "some of the trials drawn at random were not trained that long, so the others are no random sample"


def progress(reading: Reading) -> Progress:
    """Best so far against trials and against workers' hours: `compared` at the epochs where trials can be compared,
    `finished` of trials trained in full; and what `random` draws are expected to find."""
    level = reading.common
    rung = [score for score in reading.history if level is not None and score.level(reading.full) == level]
    return {
        "level": level,
        "full": reading.full,
        "compared": _rises(((i + 1, score) for i, score in enumerate(rung)), reading.objective),
        "finished": _rises(_finished(reading.history), reading.objective),
        "trials": len({score.trial for score in reading.history}),
        "hours": reading.lanes / 3600,
        "gpus": reading.gpus,
        "random": _random(reading),
        "random_search": _rises(_finished(reading.confirmed_random), reading.objective),
    }


def _finished(history: Sequence[Score]) -> Iterator[tuple[int, Score]]:
    """Each score of a full training with the number of trials that have any score by then."""
    trials: set[int] = set()
    for score in history:
        trials.add(score.trial)
        if score.finished:
            yield len(trials), score


def _rises(scores: Iterable[tuple[int, Score]], objective: Objective) -> list[Rise]:
    """The scores at which the best so far gets better; each comes with a number of trials."""
    rises: list[Rise] = []
    for trials, score in scores:
        if not rises or objective.better(score.value, rises[-1]["value"]):
            rises.append({"trials": trials, "hours": score.lanes / 3600, "value": score.value, "trial": score.trial})
    return rises


def _random(reading: Reading) -> RandomDraws:
    """The best of n random draws, from those of the search's trials that were drawn at random."""
    sample = reading.sample(reading.common)
    if reading.why_not_random:
        return {"why_not": reading.why_not_random, "n": 0}
    if sample is None:
        return {"why_not": NO_SAMPLE, "n": 0}
    if len(sample) < FEWEST_RANDOM:
        why_not = f"{len(sample)} of the trials drawn at random have a score to compare; {FEWEST_RANDOM} are needed"
        return {"why_not": why_not, "n": len(sample)}
    objective = reading.objective
    best = _in_its_unit(best_of([objective.key(value) for value in sample.values()]), objective)
    bounded = max(n for n, low in zip(best["n"], best["low"], strict=True) if low is not None)
    how = (
        f"the median best of n of the {len(sample)} trials that the sampler drew at random, by their {objective.label} "
        f"after {epochs(reading.common)}; the band is its exact 95 % interval (order statistics), which so many trials "
        f"allow up to n = {bounded}. Beyond n = {len(sample)} nothing is known"
    )
    hours = None
    if reading.common == reading.full:  # without early stopping a draw costs what its training took
        spent = [reading.seconds.get(number, 0.0) for number in reading.random]
        hours = sum(spent) / max(1, len(spent)) / 3600
    return {"why_not": "", "n": len(sample), "how": how, "best": best, "hours_each": hours}


def _in_its_unit(best: ExpectedBest, objective: Objective) -> ExpectedBest:
    """The best of n draws in the metric's own values, which were turned so that more is better."""
    if objective.sense == "max":
        return best
    curves: Mapping[str, Any] = best
    names = ("expected", "median", "low", "high")
    turned = {name: [None if v is None else objective.key(v) for v in curves[name]] for name in names}
    return cast(ExpectedBest, {**best, **turned, "low": turned["high"], "high": turned["low"]})


def distribution(reading: Reading) -> Distribution:
    """The EDF of the scores where trials can be compared: of the space (trials drawn at random) and of the search,
    whose trials are no independent draws: it has no band."""
    every = list(reading.scores.get(reading.common or 0, {}).values())
    sample = reading.sample(reading.common)
    drawn = list((sample or {}).values())
    return {
        "level": reading.common,
        "search": {"n": len(every), **edf(every, independent=False)} if len(every) >= FEWEST_RANDOM else None,
        "space": {"n": len(drawn), **edf(drawn)} if len(drawn) >= FEWEST_RANDOM else None,
        "all_random": len(drawn) == len(every),
        "why_not": reading.why_not_random or (NO_SAMPLE if sample is None else ""),
    }

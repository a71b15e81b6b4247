"""How soon the search found its best, beside what random draws are expected to find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archsearch.analysis.distributions import best_of, edf
from archsearch.analysis.report.charts import epochs
from archsearch.analysis.report.figures import Distribution, Progress, RandomDraws, Rise
from archsearch.analysis.report.reading import Reading, Score

FEWEST_RANDOM = 5  # trials whose expected best says something


def progress(reading: Reading) -> Progress:
    """Best so far against trials and against workers' hours: `compared` at the epochs where trials can be compared,
    `finished` of trials trained in full; and what `random` draws are expected to find."""
    level = reading.common
    rung = [score for score in reading.history if level is not None and score.level(reading.full) == level]
    return {
        "level": level,
        "full": reading.full,
        "compared": _rises((i + 1, score) for i, score in enumerate(rung)),
        "finished": _rises(_finished(reading.history)),
        "trials": len({score.trial for score in reading.history}),
        "hours": reading.lanes / 3600,
        "gpus": reading.gpus,
        "random": _random(reading, rung),
        "random_search": _rises(_finished(reading.confirmed_random)),
    }


def _finished(history: Sequence[Score]) -> Iterator[tuple[int, Score]]:
    """Each score of a full training with the number of trials that have any score by then."""
    trials: set[int] = set()
    for score in history:
        trials.add(score.trial)
        if score.finished:
            yield len(trials), score


def _rises(scores: Iterable[tuple[int, Score]]) -> list[Rise]:
    """The scores at which the best so far rises; each comes with a number of trials."""
    rises: list[Rise] = []
    for trials, score in scores:
        if not rises or score.value > rises[-1]["value"]:
            rises.append({"trials": trials, "hours": score.lanes / 3600, "value": score.value, "trial": score.trial})
    return rises


def _random(reading: Reading, rung: Sequence[Score]) -> RandomDraws:
    """The expected best of n random draws, from those of the search's trials that were drawn at random."""
    drawn = [score.value for score in rung if score.trial in reading.random]
    if reading.why_not_random:
        return {"why_not": reading.why_not_random, "n": 0}
    if len(drawn) < FEWEST_RANDOM:
        why_not = f"{len(drawn)} of the trials drawn at random have a score to compare; {FEWEST_RANDOM} are needed"
        return {"why_not": why_not, "n": len(drawn)}
    how = (
        f"the mean best of every n among the {len(drawn)} trials that the sampler drew at random, by their accuracy "
        f"after {epochs(reading.common)}; the band is a bootstrap's 95 %. Beyond n = {len(drawn)} nothing is known"
    )
    hours = None
    if reading.common == reading.full:  # without early stopping a draw costs what its training took
        spent = [reading.seconds.get(number, 0.0) for number in reading.random]
        hours = sum(spent) / max(1, len(spent)) / 3600
    return {"why_not": "", "n": len(drawn), "how": how, "best": best_of(drawn), "hours_each": hours}


def distribution(reading: Reading) -> Distribution:
    """The EDF of the scores where trials can be compared: of the space (trials drawn at random) and of the search."""
    scored = reading.scores.get(reading.common or 0, {})
    drawn = [value for number, value in scored.items() if number in reading.random]
    every = list(scored.values())
    return {
        "level": reading.common,
        "search": {"n": len(every), **edf(every)} if len(every) >= FEWEST_RANDOM else None,
        "space": {"n": len(drawn), **edf(drawn)} if len(drawn) >= FEWEST_RANDOM else None,
        "all_random": len(drawn) == len(every),
        "why_not": reading.why_not_random,
    }

"""How soon the search found its best, beside what random draws are expected to find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from archsearch.analysis.distributions import best_of, edf
from archsearch.analysis.report.reading import Known, Reading

FEWEST_RANDOM = 5  # trials whose expected best says something


def progress(reading: Reading) -> dict[str, Any]:
    """Best so far against trials and against workers' hours: `compared` at the epochs where trials can be compared,
    `finished` of trials trained in full; and what `random` draws are expected to find, with how that is known."""
    level = reading.common
    rung = [one for one in reading.known if level is not None and _level(one, reading.full) == level]
    return {
        "level": level,
        "full": reading.full,
        "compared": _best((place + 1, one.lanes / 3600, one) for place, one in enumerate(rung)),
        "finished": _best((trials, one.lanes / 3600, one) for trials, one in _running(reading.known) if one.finished),
        "trials": len({one.trial for one in reading.known}),
        "hours": reading.lanes / 3600,
        "gpus": reading.gpus,
        "random": _random(reading, rung),
        "random_search": _best(
            (trials, one.lanes / 3600, one) for trials, one in _running(reading.confirmed_random) if one.finished
        ),
    }


def _level(one: Known, full: int) -> int:
    return full if one.finished else one.epochs


def _running(known: Sequence[Known]) -> list[tuple[int, Known]]:
    """Each score with how many trials had one by then."""
    seen: set[int] = set()
    found = []
    for one in known:
        seen.add(one.trial)
        found.append((len(seen), one))
    return found


def _best(scores: Iterable[tuple[int, float, Known]]) -> list[dict[str, Any]]:
    """Where the best so far rises."""
    found: list[dict[str, Any]] = []
    for trials, hours, one in scores:
        if not found or one.value > found[-1]["value"]:
            found.append({"trials": trials, "hours": hours, "value": one.value, "trial": one.trial})
    return found


def _random(reading: Reading, rung: Sequence[Known]) -> dict[str, Any]:
    """The expected best of n random draws, from those of the search's trials that were drawn at random."""
    drawn = [one.value for one in rung if one.trial in reading.random]
    epochs = f"{reading.common} epoch{'' if reading.common == 1 else 's'}"
    if reading.why_not_random:
        return {"why_not": reading.why_not_random, "n": 0}
    if len(drawn) < FEWEST_RANDOM:
        why = f"{len(drawn)} of the trials drawn at random have a score to compare; {FEWEST_RANDOM} are needed"
        return {"why_not": why, "n": len(drawn)}
    how = (
        f"the mean best of every n among the {len(drawn)} trials that the sampler drew at random, by their accuracy "
        f"after {epochs}; the band is a bootstrap's 95 %. Beyond n = {len(drawn)} nothing is known"
    )
    hours = None
    if reading.common == reading.full:  # without early stopping a draw costs what its training took
        spent = [reading.seconds.get(number, 0.0) for number in reading.random]
        hours = sum(spent) / max(1, len(spent)) / 3600
    return {"why_not": "", "n": len(drawn), "how": how, "best": best_of(drawn), "hours_each": hours}


def distribution(reading: Reading) -> dict[str, Any]:
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

"""A narrower space to search next: each word's range in which the best networks fall (Radosavovic 2020)."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.analysis.distributions import BAND, best_rows
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.words import ABSENT, Column, columns
from archsearch.experiment.records import Scalar
from archsearch.reading import write
from archsearch.reading.errors import InputError
from archsearch.space import load_space
from archsearch.space.choices import same
from archsearch.space.many.columns import FloatArray, IntArray

FEWEST = 12  # trials with a score to compare
COSTS = ("flops", "params", "activations")
RARE = 0.025  # a value that fewer of the samples' best have is left out
ASKED = 0.05  # a choice that fewer of the samples' best were asked stays as it was
METHOD = (
    "RegNet's (Radosavovic 2020): 10,000 times a quarter of the trials is drawn with replacement and its best is kept; "
    "the range is the middle 95 % of what those bests have"
)


def narrower(reading: Reading, seed: int = 0) -> dict[str, Any]:
    """Ranges of the costs and words, and the file of the narrower space, or why there is none.

    `checked` says whether the file was read as a space; `size` is (before, after) then.
    """
    scored = reading.scores.get(reading.common or 0, {})
    nothing: dict[str, Any] = {"ranges": [], "yaml": None, "method": METHOD, "changes": [], "size": None}
    if len(scored) < FEWEST:
        return {**nothing, "why_not": f"{len(scored)} trials have a score to compare; {FEWEST} are needed"}
    trials = [reading.by_number[number] for number in scored]
    best = best_rows(np.array(list(scored.values())), seed=seed)
    table = [column for column in columns(trials) if column.varies]
    ranges = [_cost_range(name, np.array([t.cost[name] for t in trials], np.float64), best) for name in COSTS]
    ranges += [found for column in table if (found := _word_range(column, best)) is not None]
    changes = _changes(reading.resolved, table, best)
    made = _made(reading, changes)
    return {**nothing, "ranges": ranges, **made}


def _cost_range(name: str, values: FloatArray, best: IntArray) -> dict[str, Any]:
    low, middle, high = np.quantile(values[best], (BAND[0], 0.5, BAND[1]), method="inverted_cdf").tolist()
    whole = [float(values.min()), float(values.max())]
    return {"name": name, "kind": "cost", "low": low, "median": middle, "high": high, "whole": whole, "kept": None}


def _word_range(column: Column, best: IntArray) -> dict[str, Any] | None:
    codes = column.codes[best]
    asked = codes[codes != ABSENT]
    if len(asked) < ASKED * len(best):
        return None
    found: dict[str, Any] = {"name": column.name, "kind": "word", "low": None, "median": None, "high": None}
    if column.ordered:
        low, middle, high = np.quantile(asked, (BAND[0], 0.5, BAND[1]), method="inverted_cdf").astype(int)
        found |= {"low": column.levels[low], "median": column.levels[middle], "high": column.levels[high]}
    return {**found, "whole": list(column.levels), "kept": [column.levels[code] for code in _kept(column, asked)]}


def _kept(column: Column, asked: IntArray) -> list[int]:
    """Places of the values that the bests have: from the lowest to the highest where they are ordered."""
    shares = np.bincount(asked, minlength=len(column.levels)) / len(asked)
    if not column.ordered:
        return [int(code) for code in np.flatnonzero(shares >= RARE)]
    low, high = np.quantile(asked, BAND, method="inverted_cdf").astype(int)
    return list(range(int(low), int(high) + 1))


# ---- the file


def _changes(resolved: Mapping[str, Any], table: Sequence[Column], best: IntArray) -> dict[str, list[Scalar]]:
    """By word of the file, the values that are kept, of all its stages together."""
    kept: dict[str, list[Scalar]] = {}
    whole: set[str] = set()
    for column in table:
        asked = column.codes[best]
        asked = asked[asked != ABSENT]
        if len(asked) < ASKED * len(best):
            # Of a stage that the bests hardly have nothing is known; the word's other stages speak for it.
            whole |= {column.word} if not any(c.word == column.word for c in table if c is not column) else set()
            continue
        own = kept.setdefault(column.word, [])
        own += [column.levels[code] for code in _kept(column, asked) if column.levels[code] not in own]
    return {word: values for word, values in kept.items() if values and word not in whole}


def _made(reading: Reading, kept: Mapping[str, list[Scalar]]) -> dict[str, Any]:
    """The file with these changes; without `stages` where it is refused with it, for other words may count them."""
    if not reading.resolved:
        return {"why_not": reading.refused or "space.yaml cannot be read", "checked": False}
    for left_out in ((), ("stages",)):
        data: dict[str, Any] = copy.deepcopy(dict(reading.resolved))
        changes = _apply(data, {word: values for word, values in kept.items() if word not in left_out})
        if not changes:
            break
        data["name"] = f"{str(data.get('name', 'space'))[:55]}-narrow"
        text = write(data)
        if reading.space is None:
            return {"yaml": text, "changes": changes, "checked": False, "why_not": ""}
        size = _size(text)
        if size is not None:
            sizes = [_finite(reading.space.size()), _finite(size)]
            return {"yaml": text, "changes": changes, "checked": True, "size": sizes, "why_not": ""}
    return {"checked": False, "why_not": "the best networks lie all over the space: no word can be narrowed"}


def _size(text: str) -> float | None:
    """How many combinations the file allows; None where it is refused."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "narrower.yaml"
        file.write_text(text)
        try:
            return load_space(file).size()
        except InputError:
            return None


def _finite(size: float) -> float | None:
    return None if size == float("inf") else size


def _apply(data: dict[str, Any], kept: Mapping[str, list[Scalar]]) -> list[dict[str, Any]]:
    """Narrows the domains in place; what changed, in words. Conditions on values that are gone follow."""
    changes: list[dict[str, Any]] = []
    for holder, name, word in _places(data):
        domain, values = holder[name], kept.get(word)
        narrowed = _narrowed(domain, values) if values and isinstance(domain, dict) else None
        if narrowed is not None and narrowed != domain:
            changes.append({"word": word, "from": _said(domain), "to": _said(narrowed)})
            holder[name] = narrowed
    allowed = {word: _options(holder[name]) for holder, name, word in _places(data)}
    for holder, name, word in list(_places(data)):
        if (dead := _follow(holder[name], allowed)) is not None:
            del holder[name]
            changes.append({"word": word, "from": "asked where " + dead, "to": "never asked: left out"})
    return changes


def _places(data: Mapping[str, Any]) -> list[tuple[dict[str, Any], str, str]]:
    """Where each word stands, and by what name the ledger knows it."""
    found: list[tuple[dict[str, Any], str, str]] = []
    space, training = data.get("space"), data.get("training")
    if isinstance(space, dict):
        found += [(space, name, name) for name in space]
        groups = {n: v for n, v in space.items() if isinstance(v, dict) and not _is_domain(v)}
        found += [(group, name, f"{of}.{name}") for of, group in groups.items() for name in group]
    if isinstance(training, dict):
        found += [(training, name, f"training.{name}") for name in training if isinstance(training[name], dict)]
    return found


def _is_domain(value: Mapping[str, Any]) -> bool:
    return any(kind in value for kind in ("choice", "int", "float", "values"))


def _narrowed(domain: dict[str, Any], values: Sequence[Scalar]) -> dict[str, Any] | None:
    """The domain of the values alone; None where it is none that can be narrowed."""
    if "choice" in domain:
        options = [option for option in domain["choice"] if any(same(option, value) for value in values)]
        return {**domain, "choice": options} if options else None
    for kind in ("int", "float"):
        if kind in domain:
            numbers = [v for v in values if isinstance(v, int | float)]
            return {**domain, kind: [min(numbers), max(numbers)]} if numbers else None
    return None


def _options(value: Any) -> list[Scalar] | None:
    """The values that a word may still have; None where they are not listed."""
    if not isinstance(value, dict):
        return None
    return list(value["choice"]) if "choice" in value else None


def _follow(value: Any, allowed: Mapping[str, list[Scalar] | None]) -> str | None:
    """Takes values that are gone out of a word's conditions; the condition that cannot hold any more, if any."""
    when = value.get("when") if isinstance(value, dict) else None
    if not isinstance(when, dict):
        return None
    for name, wanted in list(when.items()):
        options, several = allowed.get(name), wanted if isinstance(wanted, list) else [wanted]
        if options is None:
            continue
        left = [one for one in several if any(same(one, option) for option in options)]
        if not left:
            return f"{name} is {' or '.join(map(str, several))}"
        when[name] = left[0] if len(left) == 1 else left
    return None


def _said(domain: Mapping[str, Any]) -> str:
    for kind in ("int", "float"):
        if kind in domain:
            return f"{domain[kind][0]:g} to {domain[kind][1]:g}"
    return ", ".join(map(str, domain.get("choice", ())))

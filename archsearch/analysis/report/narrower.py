"""A narrower space to search next: each parameter's range in which the best networks fall (Radosavovic 2020)."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.analysis.distributions import BAND, best_rows
from archsearch.analysis.report.choices import ABSENT, Column, columns
from archsearch.analysis.report.figures import Change, Narrower, Range
from archsearch.analysis.report.reading import Reading
from archsearch.experiment.records import Scalar
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import write
from archsearch.space.choices import same
from archsearch.space.loading import load_space
from archsearch.space.many.columns import FloatArray, IntArray
from archsearch.space.resolution import SIZE

FEWEST = 12  # trials with a score to compare
COSTS = ("flops", "params", "activations")
DOMAINS = frozenset({"choice", "int", "float", "values"})  # a key of each kind of domain
RARE = 0.025  # a value that a smaller share of the samples' best has is left out
SEEN = 0.05  # a choice that a smaller share of the samples' best has at all stays as it was
METHOD = (
    "RegNet's (Radosavovic 2020): 10,000 times a quarter of the trials is drawn with replacement and its best is kept; "
    "the range is the middle 95 % of what those bests have"
)


def narrower(reading: Reading) -> Narrower:
    """Ranges of the costs and parameters, and the file of the narrower space, or why there is none.

    `checked` says whether the file was read as a space; `size` is (before, after) then.
    """
    scored = reading.scores.get(reading.common or 0, {})
    if len(scored) < FEWEST:
        why_not = f"{len(scored)} trials have a score to compare; {FEWEST} are needed"
        return {"ranges": [], "yaml": None, "method": METHOD, "changes": [], "size": None, "why_not": why_not}
    trials = [reading.by_number[number] for number in scored]
    best = best_rows(np.array([reading.objective.key(value) for value in scored.values()]))
    table = [column for column in columns(trials) if column.varies]
    ranges = [_cost_range(name, np.array([t.cost[name] for t in trials], np.float64), best) for name in COSTS]
    ranges += [row for column in table if (row := _parameter_range(column, best)) is not None]
    return _narrowed_file(reading, _kept_values(table, best), ranges)


def _cost_range(name: str, values: FloatArray, best: IntArray) -> Range:
    low, middle, high = np.quantile(values[best], (BAND[0], 0.5, BAND[1]), method="inverted_cdf").tolist()
    extent = [float(values.min()), float(values.max())]
    return {"name": name, "kind": "cost", "low": low, "median": middle, "high": high, "whole": extent, "kept": None}


def _parameter_range(column: Column, best: IntArray) -> Range | None:
    codes = _codes(column, best)
    if codes is None:
        return None
    low = middle = high = None
    if column.ordered:
        quantiles = np.quantile(codes, (BAND[0], 0.5, BAND[1]), method="inverted_cdf").astype(int)
        low, middle, high = (column.levels[code] for code in quantiles)
    return {"name": column.name, "kind": "word", "low": low, "median": middle, "high": high,
            "whole": list(column.levels), "kept": _values(column, codes)}  # fmt: skip


def _codes(column: Column, best: IntArray) -> IntArray | None:
    """The codes of the samples' bests that have the choice; None where too few have it to say anything."""
    codes = column.codes[best]
    present = codes[codes != ABSENT]
    return present if len(present) >= SEEN * len(best) else None


def _values(column: Column, codes: IntArray) -> list[Scalar]:
    """The values that the bests have: from the lowest to the highest where they are ordered."""
    if column.ordered:
        low, high = np.quantile(codes, BAND, method="inverted_cdf").astype(int)
        return list(column.levels[low : high + 1])
    shares = np.bincount(codes, minlength=len(column.levels)) / len(codes)
    return [column.levels[code] for code in np.flatnonzero(shares >= RARE)]


# ---- the file


def _kept_values(table: Sequence[Column], best: IntArray) -> dict[str, list[Scalar]]:
    """By parameter of the file, the values that are kept, of all its stages together. A stage that too few of the
    bests have says nothing: the parameter's other stages speak for it, and without any it is left as it is."""
    kept: dict[str, list[Scalar]] = {}
    for column in table:
        codes = _codes(column, best)
        values = kept.setdefault(column.parameter, [])
        values += [] if codes is None else [value for value in _values(column, codes) if value not in values]
    return {parameter: values for parameter, values in kept.items() if values}


def _narrowed_file(reading: Reading, kept: Mapping[str, list[Scalar]], ranges: list[Range]) -> Narrower:
    """The file with these values; without `stages` where it is refused with it, for other parameters may count them."""
    if not reading.resolved:
        return _result(ranges, why_not=reading.refused or "space.yaml cannot be read")
    for excluded in ((), ("stages",)):
        data: dict[str, Any] = copy.deepcopy(dict(reading.resolved))
        changes = _apply(data, {name: values for name, values in kept.items() if name not in excluded})
        if not changes:
            break
        data["name"] = f"{str(data.get('name', 'space'))[:55]}-narrow"
        text = write(data)
        if reading.space is None:
            return _result(ranges, yaml=text, changes=changes)
        size = _size(text)
        if size is not None:
            sizes = [_finite(reading.space.size()), _finite(size)]
            return _result(ranges, yaml=text, changes=changes, size=sizes)
    return _result(ranges, why_not="the best networks lie all over the space, so no choice can be narrowed")


def _result(
    ranges: list[Range],
    *,
    yaml: str | None = None,
    changes: Sequence[Change] = (),
    size: list[float | None] | None = None,
    why_not: str = "",
) -> Narrower:
    """With a size, the file was read as a space."""
    return {"ranges": ranges, "yaml": yaml, "method": METHOD, "changes": list(changes), "size": size,
            "checked": size is not None, "why_not": why_not}  # fmt: skip


def _size(text: str) -> float | None:
    """How many combinations the file allows; None where it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "narrower.yaml"
        file.write_text(text)
        try:
            return load_space(file).size()
        except InputError:
            return None


def _finite(size: float) -> float | None:
    return None if size == float("inf") else size


def _apply(data: dict[str, Any], kept: Mapping[str, list[Scalar]]) -> list[Change]:
    """Narrows the domains in place, and the conditions on values that are gone; the changes as a person reads them."""
    changes: list[Change] = []
    for holder, name, parameter in _parameters(data):
        domain, values = holder[name], kept.get(parameter)
        narrowed = _narrowed(domain, values) if values and isinstance(domain, dict) else None
        if narrowed is not None and narrowed != domain:
            changes.append({"word": parameter, "from": _described(domain), "to": _described(narrowed)})
            holder[name] = narrowed
    allowed = {parameter: _options(holder[name]) for holder, name, parameter in _parameters(data)}
    for holder, name, parameter in _parameters(data):
        if (condition := _unfulfillable(holder[name], allowed)) is not None:
            del holder[name]
            changes.append({"word": parameter, "from": "if " + condition, "to": "left out: it never applies"})
    return changes


def _parameters(data: Mapping[str, Any]) -> list[tuple[dict[str, Any], str, str]]:
    """Each key that may hold a domain: the mapping that holds it, the key, and the parameter's name in the ledger."""
    parameters: list[tuple[dict[str, Any], str, str]] = []
    space, training, images = (data.get(key) for key in ("space", "training", "data"))
    if isinstance(space, dict):
        parameters += [(space, name, name) for name in space]
        groups = {n: v for n, v in space.items() if isinstance(v, dict) and not DOMAINS & v.keys()}
        parameters += [(group, name, f"{prefix}.{name}") for prefix, group in groups.items() for name in group]
    if isinstance(training, dict):
        parameters += [(training, name, f"training.{name}") for name in training if isinstance(training[name], dict)]
    if isinstance(images, dict) and isinstance(images.get("size"), dict):
        parameters.append((images, "size", SIZE))
    return parameters


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
    """The values that a parameter may still have; None where they are not listed."""
    return list(value["choice"]) if isinstance(value, dict) and "choice" in value else None


def _unfulfillable(value: Any, allowed: Mapping[str, list[Scalar] | None]) -> str | None:
    """Removes values that are gone from a parameter's conditions; the condition that cannot hold any more, if any."""
    when = value.get("when") if isinstance(value, dict) else None
    if not isinstance(when, dict):
        return None
    for name, condition in list(when.items()):
        options, values = allowed.get(name), condition if isinstance(condition, list) else [condition]
        if options is None:
            continue
        possible = [value for value in values if any(same(value, option) for option in options)]
        if not possible:
            return f"{name} is {' or '.join(map(str, values))}"
        when[name] = possible[0] if len(possible) == 1 else possible
    return None


def _described(domain: Mapping[str, Any]) -> str:
    for kind in ("int", "float"):
        if kind in domain:
            low, high = (f"{end:g}" for end in domain[kind])
            return low if low == high else f"{low} to {high}"
    return ", ".join(map(str, domain.get("choice", ())))

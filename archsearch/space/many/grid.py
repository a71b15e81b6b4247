"""A space's choices as columns of whole numbers, so that many candidates are drawn and counted at once.

A candidate is a row of codes: for each column the index of the value taken, or -1 where the choice is not asked (its
`when` does not hold, or the stage is not there). Rows are canonical: inactive choices are -1 and sorted words
(`order: increasing`) are sorted, so that equal rows are equal assignments. Rules are those of sampling.py; tests hold
the two together. NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archsearch.space.choices import Scalar, same
from archsearch.space.conditions import most_stages
from archsearch.space.domains import Domain, PerStage
from archsearch.space.many.columns import BoolArray, Column, FloatArray, IntArray
from archsearch.space.parameters import Parameter, vocabulary


@dataclass(frozen=True, kw_only=True)
class Part:
    """A word: the table of the values that it may have, and where a candidate's is found in it.

    `columns` holds one column a stage (`each`), a single one, or none (the word is fixed). `fixed` and `default` are
    places in the table, one a stage; words of the whole network have one.
    """

    parameter: Parameter
    table: tuple[Scalar, ...]
    columns: tuple[int, ...]
    fixed: tuple[int, ...]
    default: tuple[int, ...]
    ranks: IntArray | None

    @property
    def per_stage(self) -> bool:
        """Whether stages have it, and not the network."""
        return self.parameter.term.per_stage


@dataclass(kw_only=True)
class Resolved:
    """Every word's place in its table, for each candidate: a list, one array a stage, or a single array."""

    stages: IntArray
    parameters: dict[str, list[IntArray]]


class Grid:
    """The columns of a space, and the rules between them."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.most = most_stages(parameters["stages"])
        self.columns: tuple[Column, ...] = ()
        self.parts: dict[str, Part] = {}
        for parameter in parameters.values():
            self.parts[parameter.name] = self._part(parameter)
        self._sorted = [p for p in self.parts.values() if p.ranks is not None and len(p.columns) > 1]
        self._in_sorted = {column for part in self._sorted for column in part.columns}

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(count, columns): every choice drawn by its own domain; of a sorted word every sorted order as likely as
        any other (Polya's urn: the j-th of k draws repeats an earlier one with probability j / (values + j))."""
        codes = np.empty((len(self.columns), count), np.int32)
        for number, column in enumerate(self.columns):
            codes[number] = column.draw(count, rng)
        for part in self._sorted:
            size, every = len(self.columns[part.columns[0]].values), np.arange(count)
            drawn = codes[list(part.columns)]
            for turn in range(1, len(drawn)):
                place = rng.integers(0, size + turn, count)
                drawn[turn] = np.where(place < size, place, drawn[np.maximum(place - size, 0), every])
            codes[list(part.columns)] = drawn
        return self._settled(codes, None).T

    def settle(self, codes: IntArray, rng: np.random.Generator) -> IntArray:
        """(n, columns), canonical. A choice that is asked and has no code gets a drawn one."""
        return self._settled(np.ascontiguousarray(codes.T, np.int32), rng).T

    def resolve(self, codes: IntArray) -> Resolved:
        """What canonical rows say of every word."""
        return self._resolve(np.ascontiguousarray(codes.T), None)

    def choices(self, row: Sequence[int] | IntArray) -> dict[str, Scalar]:
        """The active choices by name: what the ledger keeps, and what `RecordedChoices` replays."""
        pairs = zip(self.columns, row, strict=True)
        return {column.name: column.values[code] for column, code in pairs if code >= 0}

    def codes(self, choices: Mapping[str, Scalar], rng: np.random.Generator) -> IntArray | None:
        """The inverse of `choices`: a canonical row; None where a value is none of its column."""
        row = np.full(len(self.columns), -1, np.int32)
        for number, column in enumerate(self.columns):
            if column.name in choices:
                code = column.code(choices[column.name])
                if code is None:
                    return None
                row[number] = code
        settled: IntArray = self.settle(row[None], rng)[0]
        return settled

    def everything(self, limit: int) -> IntArray | None:
        """Every canonical row, where there are at most `limit`; None where there are more."""
        codes = np.full((len(self.columns), 1), -1, np.int32)
        for name, part in self.parts.items():
            for stage, column in enumerate(part.columns):
                width = len(self.columns[column].values)
                found = self._resolve(codes, None, until=name)
                asked = self._asked(part, found, stage if len(part.columns) > 1 else None, codes.shape[1])
                repeats = np.where(asked, width, 1)
                if repeats.sum() > limit:
                    return None
                starts = np.repeat(np.cumsum(repeats) - repeats, repeats)
                number = np.arange(len(starts)) - starts
                codes, again = np.repeat(codes, repeats, axis=1), np.repeat(asked, repeats)
                codes[column] = np.where(again, number, -1)
                codes = codes[:, self._keeps_order(part, codes, stage)]
        return codes.T

    def log_weights(self, codes: IntArray) -> FloatArray:
        """log of the probability that `draw` gives each canonical row."""
        found = self._log_sorted(codes >= 0)
        for number, column in enumerate(self.columns):
            if number not in self._in_sorted:
                logs = np.append(np.log(column.weights), 0.0)
                found += logs[codes[:, number]]  # the code -1 takes the last: log 1
        return found

    def log_least(self, active: BoolArray) -> FloatArray:
        """log of the least probability of rows with these active columns, (n, columns) -> (n,)."""
        found = self._log_sorted(active)
        for number, column in enumerate(self.columns):
            if number not in self._in_sorted:
                found += active[:, number] * np.log(column.weights.min())
        return found

    def _log_sorted(self, active: BoolArray) -> FloatArray:
        """Of the sorted words alone: k of n values can be sorted in C(n + k - 1, k) ways, each as likely."""
        found = np.zeros(len(active))
        for part in self._sorted:
            size = len(self.columns[part.columns[0]].values)
            ways = np.log([math.comb(size + k - 1, k) for k in range(len(part.columns) + 1)])
            found -= ways[active[:, list(part.columns)].sum(1)]
        return found

    # ---- how words become columns

    def _part(self, parameter: Parameter) -> Part:
        domain, term = parameter.domain, parameter.term
        stages = self.most if term.per_stage else 1
        values: list[Scalar] = []
        fixed: tuple[int, ...] = ()
        columns: tuple[int, ...] = ()
        ranks = None
        if domain is None or isinstance(domain, PerStage):
            assert not isinstance(parameter.value, Domain) or isinstance(parameter.value, PerStage)
            own = parameter.value.values if isinstance(parameter.value, PerStage) else (parameter.value,) * stages
            fixed = tuple(_place(values, own[stage]) for stage in range(stages))
        else:
            names = [f"stage{i + 1}.{parameter.name}" for i in range(stages)] if parameter.each else [parameter.name]
            columns = tuple(range(len(self.columns), len(self.columns) + len(names)))
            self.columns += tuple(Column.of(name, domain) for name in names)
            values = list(self.columns[-1].values)
            if domain.order and parameter.each:
                sign = -1 if domain.order == "decreasing" else 1
                ranks = sign * np.array(values)
        # A required word is always asked; in a stage that is not there any value will do.
        default = tuple(0 if term.required else _place(values, term.default(stage)) for stage in range(stages))
        return Part(
            parameter=parameter, table=tuple(values), columns=columns, fixed=fixed, default=default, ranks=ranks
        )

    # ---- the rules

    def _settled(self, codes: IntArray, rng: np.random.Generator | None) -> IntArray:
        self._resolve(codes, rng, write=True)
        return codes

    def _resolve(
        self, codes: IntArray, rng: np.random.Generator | None, *, write: bool = False, until: str = ""
    ) -> Resolved:
        """Walks the words in the order in which they are asked; with `write` the codes become canonical."""
        count = codes.shape[1]
        found = Resolved(stages=np.zeros(count, np.int32), parameters={})
        for name, part in self.parts.items():
            if name == until:
                break
            if part.columns and write:
                self._write(part, codes, found, rng)
            found.parameters[name] = self._places(part, codes, found)
            if name == "stages":
                table = np.array(part.table, np.int32)
                found.stages = table[found.parameters[name][0]]
        return found

    def _places(self, part: Part, codes: IntArray, found: Resolved) -> list[IntArray]:
        """The word's places in its table, one array a stage (the same array where stages do not differ). Stages
        that are not there have their default's."""
        stages = self.most if part.per_stage else 1
        several = len(part.columns) > 1
        alike = part.per_stage and not several and len(set(part.default)) == 1 and len(set(part.fixed)) <= 1
        alike = alike and all(self._is_shared(name, found) for name, _ in part.parameter.conditions)
        places: list[IntArray] = []
        for stage in range(stages):
            if alike and stage:
                places.append(places[0])
                continue
            if part.columns:
                code = codes[part.columns[stage if several else 0]]
                asked = code >= 0
            else:
                code = np.full(codes.shape[1], part.fixed[stage], np.int32)
                asked = np.ones(codes.shape[1], bool)
            if part.parameter.conditions and not several:
                asked = asked & self._holds(part, found, stage if part.per_stage else None, codes.shape[1])
            plain = not part.parameter.conditions and not several
            places.append(code if plain else np.where(asked, code, np.int32(part.default[stage])))
        return places

    def _is_shared(self, name: str, found: Resolved) -> bool:
        """Whether a word that a condition names says the same in all stages."""
        if name not in self.parts:
            return len({vocabulary()[name].default(stage) for stage in range(self.most)}) == 1
        places = found.parameters[name]
        return all(own is places[0] for own in places)

    def _write(self, part: Part, codes: IntArray, found: Resolved, rng: np.random.Generator | None) -> None:
        several = len(part.columns) > 1
        asked = []
        for stage, column in enumerate(part.columns):
            mask = self._asked(part, found, stage if several else None, codes.shape[1])
            row = codes[column]
            if rng is not None and (missing := mask & (row < 0)).any():
                row[missing] = self.columns[column].draw(int(missing.sum()), rng)
            row[~mask] = -1
            asked.append(mask)
        if part.ranks is not None and several:
            _sort(codes, part, np.array(asked))

    def _asked(self, part: Part, found: Resolved, stage: int | None, count: int) -> BoolArray:
        """Whether a column's question is put: its stage is there and the word's conditions hold in it; a column
        that stages share, where they hold in some stage."""
        if not part.per_stage:
            return self._holds(part, found, None, count)
        if stage is not None:
            return (found.stages > stage) & self._holds(part, found, stage, count)
        if not part.parameter.conditions:
            return np.ones(count, bool)
        holds = [(found.stages > i) & self._holds(part, found, i, count) for i in range(self.most)]
        return _some(holds)

    def _holds(self, part: Part, found: Resolved, stage: int | None, count: int) -> BoolArray:
        """Whether a word's conditions hold in a stage; with None, for the network: in some stage."""
        conditions = part.parameter.conditions
        if stage is None and any(len(found.parameters.get(name, ())) > 1 for name, _ in conditions):
            there = [(found.stages > i) & self._holds(part, found, i, count) for i in range(self.most)]
            return _some(there)
        holds = np.ones(count, bool)
        for name, wanted in conditions:
            if name in self.parts:
                own, places = self.parts[name], found.parameters[name]
                allowed = np.array([any(same(value, one) for one in wanted) for value in own.table])
                holds = holds & allowed[places[(stage or 0) if len(places) > 1 else 0]]
            elif not any(same(vocabulary()[name].default(stage or 0), one) for one in wanted):
                holds = np.zeros(count, bool)
        return holds

    def _keeps_order(self, part: Part, codes: IntArray, stage: int) -> BoolArray:
        """Of a sorted word: whether this stage's value does not come before that of an earlier stage."""
        keeps = np.ones(codes.shape[1], bool)
        if part.ranks is None or len(part.columns) == 1:
            return keeps
        own = codes[part.columns[stage]]
        for earlier in part.columns[:stage]:
            before = codes[earlier]
            keeps &= (own < 0) | (before < 0) | (part.ranks[before] <= part.ranks[own])
        return keeps


def _some(masks: list[BoolArray]) -> BoolArray:
    found: BoolArray = np.logical_or.reduce(masks)
    return found


def _sort(codes: IntArray, part: Part, asked: BoolArray) -> None:
    """Sorts the codes of the stages that ask, in place, (stages, n); the others keep their -1."""
    assert part.ranks is not None
    by_rank = np.argsort(part.ranks, kind="stable")
    place = np.empty(len(by_rank), np.int32)
    place[by_rank] = np.arange(len(by_rank))
    own = codes[list(part.columns)]
    ordered = np.sort(np.where(asked, place[own], np.int32(2**30)), axis=0)
    position = np.cumsum(asked, axis=0) - 1
    moved = by_rank[np.minimum(np.take_along_axis(ordered, np.maximum(position, 0), axis=0), len(by_rank) - 1)]
    codes[list(part.columns)] = np.where(asked, moved, -1)


def _place(values: list[Scalar], value: Scalar) -> int:
    for index, own in enumerate(values):
        if same(own, value):
            return index
    values.append(value)
    return len(values) - 1

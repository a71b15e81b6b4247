"""A space's choices as columns of whole numbers, so that many candidates are drawn and counted at once.

A candidate is a row of codes: for each column the index of the value taken, or -1 where the choice is not asked (its
`when` does not hold, or the stage is not there). Rows are canonical: inactive choices are -1 and the codes of ordered
parameters (`order: increasing`) are in order, so that equal rows are equal assignments. The rules are rules.py's. NumPy
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from archsearch.space.choices import Odometer, Scalar, same
from archsearch.space.conditions import most_stages
from archsearch.space.linear_widths import GROUP
from archsearch.space.many.columns import BoolArray, Column, FloatArray, IntArray
from archsearch.space.many.linear import WIDEST
from archsearch.space.many.resolved import Encoding, Resolved
from archsearch.space.parameters import Parameter
from archsearch.space.rules import ordered_combinations
from archsearch.space.stage_domains import PerStage, StageChoices


class Grid:
    """The columns of a space, and the rules between them."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.most_stages = most_stages(parameters["stages"])
        self.columns: tuple[Column, ...] = ()
        self.encodings: dict[str, Encoding] = {}
        for parameter in parameters.values():
            self.encodings[parameter.name] = self._encoding(parameter)
        self._ordered = [encoding for encoding in self.encodings.values() if encoding.ranks is not None]
        ordered_columns = {column for encoding in self._ordered for column in encoding.columns}
        self._independent = [number for number in range(len(self.columns)) if number not in ordered_columns]

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """(count, columns): every choice drawn by its own domain; of an ordered parameter every order as likely as
        any other (Polya's urn: the j-th of k draws repeats an earlier one with probability j / (values + j))."""
        codes = np.empty((len(self.columns), count), np.int32)
        for number, column in enumerate(self.columns):
            codes[number] = column.draw(count, rng)
        for encoding in self._ordered:
            values, rows = len(self.columns[encoding.columns[0]].values), np.arange(count)
            drawn = codes[list(encoding.columns)]
            for turn in range(1, len(drawn)):
                ball = rng.integers(0, values + turn, count)
                drawn[turn] = np.where(ball < values, ball, drawn[np.maximum(ball - values, 0), rows])
            codes[list(encoding.columns)] = drawn
        self._resolve(codes, write=True)
        return codes.T

    def settle(self, codes: IntArray, rng: np.random.Generator) -> IntArray:
        """(n, columns), canonical. A choice that is asked and has no code gets a drawn one."""
        columns = np.array(codes.T, np.int32, order="C")  # a copy: the caller's rows stay as they are
        self._resolve(columns, rng, write=True)
        return columns.T

    def resolve(self, codes: IntArray) -> Resolved:
        """What canonical rows, (n, columns), say of every parameter."""
        return self._resolve(np.ascontiguousarray(codes.T))

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
        for name, encoding in self.encodings.items():
            if name == "stages" and encoding.parameter.derived_from:
                codes = codes[:, self._resolve(codes, until="depth").possible]
            for question, column in enumerate(encoding.columns):
                values = len(self.columns[column].values)
                asked = self._resolve(codes, until=name).is_asked(encoding.parameter, question)
                repeats = np.where(asked, values, 1)
                if repeats.sum() > limit:
                    return None
                starts = np.repeat(np.cumsum(repeats) - repeats, repeats)
                code = np.arange(len(starts)) - starts
                codes = np.repeat(codes, repeats, axis=1)
                codes[column] = np.where(np.repeat(asked, repeats), code, -1)
                codes = codes[:, _is_in_order(encoding, codes, question)]
        return codes.T

    def log_weights(self, codes: IntArray) -> FloatArray:
        """(n,): log of the probability that `draw` gives each canonical row."""
        logs = self._log_ordered(codes >= 0)
        for number in self._independent:
            weights = np.append(np.log(self.columns[number].weights), 0.0)
            logs += weights[codes[:, number]]  # the code -1 takes the last: log 1
        return logs

    def log_least(self, active: BoolArray) -> FloatArray:
        """(n,): log of the least probability of rows with these active columns, (n, columns)."""
        logs = self._log_ordered(active)
        for number in self._independent:
            logs += active[:, number] * np.log(self.columns[number].weights.min())
        return logs

    def _log_ordered(self, active: BoolArray) -> FloatArray:
        """Of the ordered parameters alone: every combination in order is as likely as any other."""
        logs = np.zeros(len(active))
        for encoding in self._ordered:
            values = len(self.columns[encoding.columns[0]].values)
            ways = np.log([ordered_combinations(values, stages) for stages in range(len(encoding.columns) + 1)])
            logs -= ways[active[:, list(encoding.columns)].sum(1)]
        return logs

    # ---- how parameters become columns

    def _encoding(self, parameter: Parameter) -> Encoding:
        domain, term = parameter.domain, parameter.term
        stages = self.most_stages if term.per_stage else 1
        questions = parameter.questions(stages)
        table: list[Scalar] = []
        fixed: tuple[int, ...] = ()
        columns: tuple[int, ...] = ()
        ranks = None
        indices: tuple[IntArray, ...] = ()
        if parameter.is_first_width:
            table = list(self.encodings["width"].table)
        elif parameter.derived_from:
            table = list(range(1, self._most(parameter) + 1))
        elif domain is None or isinstance(domain, PerStage):
            values = [parameter.ask(question, Odometer()) for question in questions]
            fixed = tuple(_index(table, values[stage if parameter.each else 0]) for stage in range(stages))
        else:
            columns = tuple(range(len(self.columns), len(self.columns) + len(questions)))
            new = tuple(Column.of(question, domain.of_stage(stage)) for stage, question in enumerate(questions))
            self.columns += new
            table = list(new[0].values)
            if isinstance(domain, StageChoices):
                indices = tuple(np.array([_index(table, value) for value in column.values], np.int32) for column in new)
            if parameter.direction and len(columns) > 1:
                ranks = parameter.direction * np.array(table)
        # A required parameter is always asked; in a stage that is not there any value will do.
        defaults = tuple(0 if term.required else _index(table, term.default(stage)) for stage in range(stages))
        return Encoding(
            parameter=parameter, table=tuple(table), columns=columns, fixed=fixed, defaults=defaults, ranks=ranks,
            indices=indices,
        )  # fmt: skip

    def _most(self, parameter: Parameter) -> int:
        """The largest value that a derived parameter may have."""
        if parameter.name == "stages":
            return self.most_stages
        return int(max(self.encodings[f"{GROUP}.depth"].table)) if parameter.name == "depth" else WIDEST  # type: ignore[type-var, arg-type]

    # ---- the rules, (columns, n) codes

    def _resolve(
        self, codes: IntArray, rng: np.random.Generator | None = None, *, write: bool = False, until: str = ""
    ) -> Resolved:
        """Takes the parameters in the order in which they are asked; with `write` the codes become canonical."""
        resolved = Resolved(self.encodings, self.most_stages, codes.shape[1])
        for name, encoding in self.encodings.items():
            if name == until:
                break
            if write:
                self._write(encoding, codes, resolved, rng)
            derived = bool(encoding.parameter.derived_from)
            resolved.indices[name] = resolved.derive(encoding) if derived else _indices(encoding, codes, resolved)
            if name == "stages":
                resolved.stages = np.array(encoding.table, np.int32)[resolved.index(name, 0)]
        return resolved

    def _write(self, encoding: Encoding, codes: IntArray, resolved: Resolved, rng: np.random.Generator | None) -> None:
        """Makes a parameter's codes canonical, those of the parameters before it being so."""
        masks = []
        for question, column in enumerate(encoding.columns):
            asked = resolved.is_asked(encoding.parameter, question)
            row = codes[column]
            if rng is not None and (missing := asked & (row < 0)).any():
                row[missing] = self.columns[column].draw(int(missing.sum()), rng)
            row[~asked] = -1
            masks.append(asked)
        if encoding.ranks is not None:
            columns = list(encoding.columns)
            codes[columns] = _sorted(codes[columns], encoding.ranks, np.array(masks))


def _indices(encoding: Encoding, codes: IntArray, resolved: Resolved) -> list[IntArray]:
    """The parameter's indices in its table as canonical codes say them. Stages that are not there have their
    default's."""
    parameter, count = encoding.parameter, codes.shape[1]
    conditions, by_stage = parameter.conditions, encoding.by_stage
    alike = encoding.per_stage and not by_stage and len(set(encoding.defaults)) == 1 and len(set(encoding.fixed)) <= 1
    alike = alike and all(resolved.is_uniform(name) for name, _ in conditions)
    indices: list[IntArray] = []
    for stage in range(resolved.most_stages if encoding.per_stage else 1):
        if alike and stage:
            indices.append(indices[0])
            continue
        if encoding.indices:
            code = codes[encoding.columns[stage]]
            code = np.where(code < 0, np.int32(-1), encoding.indices[stage][code])
        elif encoding.columns:
            code = codes[encoding.columns[stage if by_stage else 0]]
        else:
            code = np.full(count, encoding.fixed[stage], np.int32)
        if not conditions and not by_stage:
            indices.append(code)
            continue
        active = code >= 0
        if conditions and not by_stage:
            active = active & resolved.holds(parameter, stage if encoding.per_stage else None)
        indices.append(np.where(active, code, np.int32(encoding.defaults[stage])))
    return indices


def _is_in_order(encoding: Encoding, codes: IntArray, question: int) -> BoolArray:
    """Whether an ordered parameter's value in this stage does not come before that of an earlier stage."""
    in_order = np.ones(codes.shape[1], bool)
    if encoding.ranks is not None:
        code = codes[encoding.columns[question]]
        for column in encoding.columns[:question]:
            earlier = codes[column]
            in_order &= (code < 0) | (earlier < 0) | (encoding.ranks[earlier] <= encoding.ranks[code])
    return in_order


def _sorted(codes: IntArray, ranks: IntArray, asked: BoolArray) -> IntArray:
    """(stages, n) codes of the stages that are asked, sorted by their values' ranks; -1 in the others."""
    by_rank = np.argsort(ranks, kind="stable")
    position = np.empty(len(by_rank), np.int32)
    position[by_rank] = np.arange(len(by_rank))
    positions = np.sort(np.where(asked, position[codes], np.int32(2**30)), axis=0)
    turn = np.maximum(np.cumsum(asked, axis=0) - 1, 0)  # which of the sorted ones an asked stage gets
    positions = np.minimum(np.take_along_axis(positions, turn, axis=0), len(by_rank) - 1)
    return np.where(asked, by_rank[positions], -1)


def _index(table: list[Scalar], value: Scalar) -> int:
    """The value's index in the table, which gets it where it lacks it."""
    for index, entry in enumerate(table):
        if same(entry, value):
            return index
    table.append(value)
    return len(table) - 1

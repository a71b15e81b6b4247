"""pydantic's verdict in plain words: where, what was found, what is allowed, and a hint.

One Problem a place: whatever pydantic says about the members of a union becomes one sentence, taken from the
model's own annotation, so what is allowed is written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archsearch.reading.allowed import Annotation, describe, fields_of, key_of, literals, step_into
from archsearch.reading.document import Document, Loc, shorten
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.model import WRITTEN
from archsearch.reading.nearest import did_you_mean

MAX_PROBLEMS = 20

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], source: Document | dict[str, Any]) -> M:
    """The model that a document or a plain dict describes.

    Raises InputError with every problem at its line and column, in order, at most 20.
    """
    document = source if isinstance(source, Document) else Document(data=source, file="")
    result, problems = try_validate(model, document)
    if result is None:
        raise InputError(*ordered(problems))
    return result


def try_validate(model: type[M], document: Document, loc: Loc = (), **context: Any) -> tuple[M | None, list[Problem]]:
    """The model that the value at `loc` describes, or None and the problems that keep it from being one. `context` is
    what validators of the model read, besides that it is written."""
    try:
        return model.model_validate(document.at(loc), context=WRITTEN | context), []
    except ValidationError as error:
        return None, _explain(error, model, document, loc)
    except RecursionError:
        return None, [document.problem(loc, "values nested too deep", allowed="shallower values")]


def ordered(problems: list[Problem]) -> list[Problem]:
    """Problems by file, line and column; the twenty first, and how many more there are."""
    by_position = sorted(problems, key=lambda p: (p.line == 0, p.line, p.column))
    if len(by_position) > MAX_PROBLEMS:
        remaining = len(by_position) - MAX_PROBLEMS + 1
        last = by_position[MAX_PROBLEMS - 1]
        omitted = Problem(message=f"and {remaining} more problems", file=last.file, line=last.line, column=last.column)
        return [*by_position[: MAX_PROBLEMS - 1], omitted]
    return by_position


def _explain(error: ValidationError, model: type[BaseModel], document: Document, prefix: Loc) -> list[Problem]:
    """One Problem for each place that pydantic complains about in the value at `prefix`."""
    data = document.at(prefix)
    at: dict[Loc, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        at.setdefault(_in_data(detail, data), []).append(detail)
    # What is wrong inside a value says more than that the value is wrong.
    deepest = [loc for loc in at if not any(len(o) > len(loc) and o[: len(loc)] == loc for o in at)]
    return [_problem(loc, at[loc][0], model, document, prefix) for loc in deepest]


def _in_data(detail: ErrorDetails, data: Any) -> Loc:
    """pydantic's loc without the names of union members and validators, which stand in no file."""
    loc: list[str | int] = []
    *_, last = detail["loc"] or ("",)
    for key in detail["loc"]:
        in_dict = isinstance(data, dict) and key in data
        in_list = isinstance(data, list | tuple) and isinstance(key, int) and key < len(data)
        if in_dict or in_list:
            data = data[key]
        elif not (key is last and detail["type"] == "missing" and isinstance(key, str)):
            continue
        loc.append(key)
    return tuple(loc)


def _problem(loc: Loc, detail: ErrorDetails, model: type[BaseModel], document: Document, prefix: Loc) -> Problem:
    """What pydantic says of the value at `loc` below `prefix`."""
    full, kind = (*prefix, *loc), detail["type"]
    annotation, around = step_into(model, loc), step_into(model, loc[:-1])
    if kind == "extra_forbidden":
        return unknown_field(document, full, [name for name, _ in fields_of(around)])
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return unknown_field(document, full, [str(o) for o in literals(key_of(around))])
    if kind == "missing" and loc and loc[-1] == detail["loc"][-1]:
        message = f"the key {loc[-1]} is missing" + (f" in {dotted(full[:-1])}" if full[:-1] else "")
        return document.problem(full[:-1], message, allowed=f"{loc[-1]}: {describe(annotation)}", key=True)
    value = document.at(full)
    if kind in ("value_error", "assertion_error"):
        return _refused_by_model(full, detail, document, value, annotation)
    return wrong_value(document, full, value, annotation)


def unknown_field(document: Document, loc: Loc, names: list[str]) -> Problem:
    """The Problem of a key that no model has, at the key."""
    where = f" in {dotted(loc[:-1])}" if loc[:-1] else ""
    return document.problem(
        loc,
        f"unknown key {shorten(loc[-1])}{where}",
        allowed=", ".join(names) or "no keys",
        hint=did_you_mean(loc[-1], names),
        key=True,
    )


def wrong_value(document: Document, loc: Loc, value: Any, annotation: Annotation | None) -> Problem:
    """The Problem of a value that its annotation does not take, at the value."""
    if value is None and not loc:
        message = "an empty file"
    else:
        message = f"{dotted(loc)} is {shorten(value)}" if loc else f"found {shorten(value)}"
    return document.problem(loc, message, allowed=describe(annotation), hint=_hint(value, annotation))


def dotted(loc: Loc) -> str:
    """A loc as people write it: stages[0].block.kind."""
    text = ""
    for key in loc:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _refused_by_model(
    loc: Loc, detail: ErrorDetails, document: Document, value: Any, annotation: Annotation | None
) -> Problem:
    """A model's own verdict: an InputError's problem, or the text `found; allowed: ...` of a ValueError."""
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, InputError) and error.problems:
        problem = error.problems[0]
        message, allowed, hint = problem.message, problem.allowed, problem.hint
    else:
        message, _, allowed = str(error).partition("; allowed: ")
        hint = ""
    if isinstance(value, dict):
        # Words that are wrong together are the fault of the one that was set last, on the command line.
        children = [(*loc, key) for key in value]
        loc = next((at for at in children if document.position(at).file != document.file), loc)
    elif loc and not isinstance(value, list | tuple):
        message = f"{dotted(loc)} is {shorten(value)}"
    return document.problem(loc, message, allowed=allowed or describe(annotation), hint=hint)


def _hint(value: Any, annotation: Annotation | None) -> str:
    options = literals(annotation)
    texts = [option for option in options if isinstance(option, str)]
    if texts:
        return did_you_mean(value, texts)
    if isinstance(value, str):
        if value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return "write true or false"
        try:
            float(value)
        except ValueError:
            return ""
        return "write the number without quotes"
    if isinstance(value, float) and value.is_integer() and "integer" in describe(annotation):
        return f"write it as {int(value)}"
    if isinstance(value, Mapping) and not fields_of(annotation):
        return "this takes a plain value, not a mapping"
    return ""

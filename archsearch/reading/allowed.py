"""What a model allows, in words, from its annotations and constraints.

Error messages and the reference of the words share it.
"""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Allowed:
    """Metadata for an annotation that words of its own describe better than its type."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A type and the constraints on it."""

    kind: Any
    constraints: tuple[Any, ...] = field(default=())


def of_field(info: FieldInfo) -> Annotation:
    """The annotation of a model's field."""
    return Annotation(kind=info.annotation, constraints=tuple(info.metadata))


def fields_of(annotation: Annotation | None) -> list[tuple[str, FieldInfo]]:
    """The words of a model, as written in files; none for anything else. Of a union, those of its models."""
    if annotation is None:
        return []
    kind = annotation.kind
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [(info.alias or name, info) for name, info in kind.model_fields.items()]
    fields: dict[str, FieldInfo] = {}
    for member in members(annotation):
        fields.update(fields_of(member))
    return list(fields.items())


def members(annotation: Annotation) -> list[Annotation]:
    """The members of a union, or of an Annotated; none for anything else."""
    kind = annotation.kind
    if get_origin(kind) in (Union, types.UnionType):
        return [Annotation(kind=arg, constraints=annotation.constraints) for arg in get_args(kind)]
    if get_origin(kind) is Annotated:
        inner, *constraints = get_args(kind)
        return [Annotation(kind=inner, constraints=(*annotation.constraints, *constraints))]
    return []


def step_into(model: Any, loc: tuple[str | int, ...]) -> Annotation | None:
    """The annotation of what stands at `loc` within a model; None where the model knows nothing there."""
    current: Annotation | None = Annotation(kind=model)
    for key in loc:
        current = _step(current, key) if current else None
    return current


def _step(annotation: Annotation, key: str | int) -> Annotation | None:
    kind = annotation.kind
    for name, info in fields_of(annotation):
        if name == key:
            return of_field(info)
    args = get_args(kind)
    match get_origin(kind):
        case origin if origin is tuple and isinstance(key, int):
            if len(args) == 2 and args[1] is Ellipsis:
                return Annotation(kind=args[0])
            return Annotation(kind=args[key]) if key < len(args) else None
        case origin if origin is list:
            return Annotation(kind=args[0])
        case origin if origin is dict:
            return Annotation(kind=args[1])
    for member in members(annotation):
        if (inner := _step(member, key)) is not None:
            return inner
    return None


def key_of(annotation: Annotation | None) -> Annotation | None:
    """The annotation of a mapping's keys."""
    if annotation is not None and get_origin(annotation.kind) is dict:
        return Annotation(kind=get_args(annotation.kind)[0])
    return None


def literals(annotation: Annotation | None) -> list[Any]:
    """Every literal value that an annotation takes."""
    if annotation is None:
        return []
    if get_origin(annotation.kind) is Literal:
        return list(get_args(annotation.kind))
    return [value for member in members(annotation) for value in literals(member)]


def describe(annotation: Annotation | None) -> str:
    """What an annotation takes, as an error message says it: "an integer from 1 to 256"."""
    if annotation is None:
        return "no value here"
    for constraint in annotation.constraints:
        if isinstance(constraint, Allowed):
            return constraint.text
    kind, args = annotation.kind, get_args(annotation.kind)
    if inner := members(annotation):
        return " or ".join(dict.fromkeys(describe(member) for member in inner))
    if get_origin(kind) is Literal:
        return ", ".join(str(arg).lower() if isinstance(arg, bool) else str(arg) for arg in args)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "a mapping with the keys " + ", ".join(name for name, _ in fields_of(annotation))
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return ("an integer" if kind is int else "a number") + _range(annotation.constraints)
    if kind is str:
        pattern = next((p for c in annotation.constraints if (p := getattr(c, "pattern", None))), None)
        return f"a text that matches {pattern}" if pattern else "a text"
    if kind in (None, type(None)):
        return "null"
    match get_origin(kind):
        case origin if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
            uniform = len(set(args)) == 1
            return f"a list of {len(args)}" + (f", each {describe(Annotation(kind=args[0]))}" if uniform else "")
        case origin if origin in (tuple, list):
            return f"a list{_length(annotation.constraints)}, each {describe(Annotation(kind=args[0]))}"
        case origin if origin is dict:
            return f"a mapping of {describe(Annotation(kind=args[0]))} to {describe(Annotation(kind=args[1]))}"
    return "any value"


def _bounds(constraints: tuple[Any, ...], *names: str) -> list[Any]:
    bounds = {name: getattr(c, name) for c in constraints for name in names if hasattr(c, name)}
    return [bounds.get(name) for name in names]


def _range(constraints: tuple[Any, ...]) -> str:
    at_least, above, at_most, below = _bounds(constraints, "ge", "gt", "le", "lt")
    if at_least is not None and at_most is not None:
        return f" from {at_least} to {at_most}"
    phrases = (("of at least", at_least), ("above", above), ("at most", at_most), ("below", below))
    parts = [f"{phrase} {bound}" for phrase, bound in phrases if bound is not None]
    return " " + " and ".join(parts) if parts else ""


def _length(constraints: tuple[Any, ...]) -> str:
    shortest, longest = _bounds(constraints, "min_length", "max_length")
    if shortest is not None and longest is not None:
        return f" of {shortest} to {longest}"
    return f" of at least {shortest}" if shortest else f" of at most {longest}" if longest else ""

"""The JSON Schema of search-space files, generated from the models, for editors and other checkers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from archsearch.space.domains import Choice, Domain, Integers, PerStage, Reals
from archsearch.space.loading import SpaceFile
from archsearch.space.parameters import Term, groups, vocabulary
from archsearch.space.trainings import training_vocabulary

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. What depends on several words at once, `load_space` alone checks."""
    schema = _schema_of(SpaceFile)
    schema["properties"]["space"] = _space()
    schema["properties"]["training"]["properties"] |= {t.field: _word(t) for t in training_vocabulary().values()}
    return {
        "$schema": DIALECT,
        "title": "archsearch search space",
        "description": "A search-space file of archsearch, format version 1.",
        **schema,
    }


def _space() -> dict[str, Any]:
    words = vocabulary().values()
    properties = {term.name: _word(term) for term in words if not term.group}
    for group, model in groups().items():
        properties[group] = {
            "type": "object",
            "description": (model.__doc__ or "").split("\n")[0],
            "properties": {term.field: _word(term) for term in words if term.group == group},
            "additionalProperties": False,
        }
    return {
        "type": "object",
        "description": "The words of the architectures, each a plain value or a domain.",
        "properties": properties,
        "required": ["stages", "depth"],
        "additionalProperties": False,
    }


def _word(term: Term) -> dict[str, Any]:
    plain = _plain(term)
    description = plain.pop("description", "")
    default = plain.pop("default", None)
    kinds: list[type[Domain]] = [Choice]
    options = plain.get("anyOf", [plain])
    if any(option.get("type") == "integer" for option in options):
        kinds.append(Integers)
    if any(option.get("type") == "number" for option in options):
        kinds += [Integers, Reals]
    if term.per_stage:
        kinds.append(PerStage)
    schema: dict[str, Any] = {"description": description}
    if default is not None:
        schema["default"] = default
    return {**schema, "anyOf": [plain, *(_domain(kind, term, plain) for kind in kinds)]}


def _plain(term: Term) -> dict[str, Any]:
    schema = term.owner.model_json_schema()["properties"][term.field]
    return {key: value for key, value in schema.items() if key != "title"}


def _domain(kind: type[Domain], term: Term, plain: dict[str, Any]) -> dict[str, Any]:
    schema = _schema_of(kind)
    properties = schema["properties"]
    for name in ("choice", "values"):
        if name in properties:
            properties[name]["items"] = plain
    for name in ("int", "float"):
        if name in properties:
            properties[name]["prefixItems"] = [plain, plain]
    if not term.per_stage:
        del properties["each"], properties["order"]
    if term.required:
        del properties["when"]
    if kind is PerStage:
        del properties["order"]
    return schema


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without the titles that pydantic makes up, and with every part where it is used."""
    schema = model.model_json_schema(by_alias=True)
    parts = schema.pop("$defs", {})
    inlined = _inline(schema, parts)
    assert isinstance(inlined, dict)
    return inlined


def _inline(value: Any, parts: dict[str, Any]) -> Any:
    match value:
        case {"$ref": str(ref), **rest}:
            # The field's own description says more than the class's.
            return {**_inline(parts[ref.rsplit("/", 1)[-1]], parts), **_inline(rest, parts)}
        case {"properties": dict(properties), **rest}:
            inner = {name: _inline(schema, parts) for name, schema in properties.items()}
            return {**_inline(rest, parts), "properties": inner}
        case dict():
            return {
                key: _inline(item, parts)
                for key, item in value.items()
                if not (key == "title" and isinstance(item, str))
            }
        case list():
            return [_inline(item, parts) for item in value]
        case _:
            return value

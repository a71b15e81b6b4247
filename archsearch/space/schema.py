"""The JSON Schema of search-space files, generated from the models, for editors and other checkers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from archsearch.space.domains import Choice, Domain, Integers, Reals
from archsearch.space.linear_widths import GROUP
from archsearch.space.loading import SpaceFile
from archsearch.space.parameters import SAME_AS_FIRST_STAGE, Term, groups, network_terms, vocabulary
from archsearch.space.resolution import SIZE
from archsearch.space.stage_domains import PerStage, SameAs, StageChoices
from archsearch.space.trainings import training_vocabulary

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. What depends on several fields at once, `load_space` alone checks."""
    schema = _schema_of(SpaceFile)
    schema["properties"]["space"] = _space()
    schema["properties"]["training"]["properties"] |= {
        t.field: _schema_of_term(t) for t in training_vocabulary().values()
    }
    schema["properties"]["data"]["properties"]["size"] = _schema_of_term(network_terms()[SIZE])
    schema["required"] = [name for name in schema["required"] if name != "space"]
    schema["anyOf"] = [{"required": ["space"]}, {"required": ["start"]}]  # without space, it follows from start
    return {
        "$schema": DIALECT,
        "title": "archsearch search space",
        "description": "A search-space file of archsearch, format version 1.",
        **schema,
    }


def _space() -> dict[str, Any]:
    terms = vocabulary().values()
    properties = {term.name: _schema_of_term(term) for term in terms if not term.group}
    for group, model in groups().items():
        properties[group] = {
            "type": "object",
            "description": (model.__doc__ or "").split("\n")[0],
            "properties": {term.field: _schema_of_term(term) for term in terms if term.group == group},
            "additionalProperties": False,
        }
    return {
        "type": "object",
        "description": "Parameters of the architectures, each a plain value or a domain.",
        "properties": properties,
        "required": ["stages"],
        "oneOf": [{"required": ["depth"]}, {"required": [GROUP]}],
        "additionalProperties": False,
    }


def _schema_of_term(term: Term) -> dict[str, Any]:
    field = term.owner.model_json_schema()["properties"][term.field]
    plain_schema = {key: value for key, value in field.items() if key != "title"}
    description = plain_schema.pop("description", "")
    default = plain_schema.pop("default", None)
    kinds: list[type[Domain]] = [Choice]
    options = plain_schema.get("anyOf", [plain_schema])
    if any(option.get("type") == "integer" for option in options):
        kinds.append(Integers)
    if any(option.get("type") == "number" for option in options):
        kinds += [Integers, Reals]
    if term.per_stage:
        kinds += [PerStage, StageChoices]
    if term.name == SAME_AS_FIRST_STAGE:
        kinds.append(SameAs)
    schema: dict[str, Any] = {"description": description}
    if default is not None:
        schema["default"] = default
    return {**schema, "anyOf": [plain_schema, *(_domain(kind, term, plain_schema) for kind in kinds)]}


def _domain(kind: type[Domain], term: Term, plain_schema: dict[str, Any]) -> dict[str, Any]:
    schema = _schema_of(kind)
    properties = schema["properties"]
    for name in ("choice", "values"):
        if name in properties:
            properties[name]["items"] = plain_schema
    if kind is StageChoices:
        properties["choices"]["items"]["items"] = plain_schema
    for name in ("int", "float"):
        if name in properties:
            properties[name]["prefixItems"] = [plain_schema, plain_schema]
    if not term.per_stage:
        del properties["each"], properties["order"]
    if term.required or kind is SameAs:
        del properties["when"]
    if kind in (PerStage, StageChoices):
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
        case {"$ref": str(ref), **remaining}:
            # The field's own description says more than the class's.
            return {**_inline(parts[ref.rsplit("/", 1)[-1]], parts), **_inline(remaining, parts)}
        case {"properties": dict(properties), **remaining}:
            inner = {name: _inline(schema, parts) for name, schema in properties.items()}
            return {**_inline(remaining, parts), "properties": inner}
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

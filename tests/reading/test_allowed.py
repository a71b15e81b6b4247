"""What a model allows, from its annotations: what stands at a location, and the sentence of an error message."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BeforeValidator, Field, StringConstraints, create_model

from archsearch.reading.allowed import Allowed, Annotation, describe, key_of, step_into
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.model import StrictModel
from archsearch.reading.validation import MAX_PROBLEMS, ordered, validate
from archsearch.reading.yaml import read

AS_TUPLE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)


class Inner(StrictModel):
    """A group below another."""

    size: int = Field(1, ge=1)
    table: dict[Literal["third"], float] = Field(default_factory=dict)


class Model(StrictModel):
    """Annotations of every kind that settings have."""

    pair: Annotated[tuple[int, str], AS_TUPLE] = (1, "a")
    bounds: Annotated[tuple[float, float] | None, AS_TUPLE] = None
    many: tuple[int, ...] = ()
    names: list[int] = Field(default_factory=list)
    table: dict[Literal["first", "second"], float] = Field(default_factory=dict)
    inner: Inner | None = None
    other: Annotated[int, Allowed("a prime")] = 2


def at(*loc: str | int) -> Any:
    annotation = step_into(Model, loc)
    return annotation and annotation.kind


def test_a_location_leads_to_its_annotation() -> None:
    assert [at("pair", 0), at("pair", 1), at("pair", 2)] == [int, str, None]
    assert [at("bounds", 0), at("bounds", 1), at("bounds", 2)] == [float, float, None]
    assert [at("many", 0), at("many", 1), at("many", 5)] == [int, int, int]
    assert [at("names", 0), at("names", 3)] == [int, int]
    assert [at("table", "first"), at("inner", "size"), at("inner", "absent")] == [float, int, None]
    assert [at("absent"), at("absent", "below"), at("pair", "first")] == [None, None, None]


def test_only_a_mapping_has_keys() -> None:
    assert key_of(None) is None
    assert key_of(step_into(Model, ("many",))) is None
    assert key_of(step_into(Model, ("table",))) == Annotation(kind=Literal["first", "second"])


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (tuple[int, int], "a list of 2, each an integer"),
        (tuple[int, str], "a list of 2"),
        (tuple[int, ...], "a list, each an integer"),
        (list[float], "a list, each a number"),
        (Annotated[list[int], Field(min_length=2)], "a list of at least 2, each an integer"),
        (Annotated[list[int], Field(max_length=3)], "a list of at most 3, each an integer"),
        (Annotated[list[int], Field(min_length=2, max_length=3)], "a list of 2 to 3, each an integer"),
        (dict[str, bool], "a mapping of a text to true or false"),
        (Annotated[int, Field(gt=1)], "an integer above 1"),
        (Annotated[int, Field(lt=9)], "an integer below 9"),
        (Annotated[int, Field(ge=0)], "an integer of at least 0"),
        (Annotated[float, Field(gt=0, lt=1)], "a number above 0 and below 1"),
        (Annotated[float, Field(ge=0, lt=1)], "a number of at least 0 and below 1"),
        (Annotated[str, StringConstraints(pattern="^a+$")], "a text that matches ^a+$"),
        (Annotated[int, Allowed("a prime")], "a prime"),
        (Literal[True, "auto"], "true, auto"),
        (Inner | None, "a mapping with the keys size, table or null"),
        (object, "any value"),
    ],
)
def test_an_annotation_in_words(kind: Any, sentence: str) -> None:
    assert describe(step_into(create_model("Any", value=(kind, ...)), ("value",))) == sentence


def test_nothing_is_allowed_where_no_annotation_is() -> None:
    assert describe(None) == "no value here"


@pytest.mark.parametrize(
    ("text", "position", "message", "allowed", "hint"),
    [
        ("pair: [1, 2]", (1, 11), "pair[1] is 2", "a text", ""),
        ("pair: ['1', b]", (1, 8), "pair[0] is '1'", "an integer", "write the number without quotes"),
        ("pair: [1, b, c]", (1, 7), "pair is [1, 'b', 'c']", "a list of 2", ""),
        ("bounds: [1, high]", (1, 13), "bounds[1] is 'high'", "a number", ""),
        ("bounds: {low: 1}", (1, 9), "bounds is {low: 1}", "a list of 2, each a number or null",
         "this takes a plain value, not a mapping"),
        ("inner: {size: Yes}", (1, 15), "inner.size is 'Yes'", "an integer of at least 1", "write true or false"),
        ("inner: {size: 2.0}", (1, 15), "inner.size is 2.0", "an integer of at least 1", "write it as 2"),
        ("inner: {size: 2.5}", (1, 15), "inner.size is 2.5", "an integer of at least 1", ""),
        ("table: {First: 1}", (1, 9), "unknown key 'First' in table", "first, second", "did you mean first?"),
        ("table: {zzz: 1}", (1, 9), "unknown key 'zzz' in table", "first, second", ""),
        ("inner: {table: {3rd: 1}}", (1, 17), "unknown key '3rd' in inner.table", "third", ""),
        ("In-Ner: {}", (1, 1), "unknown key 'In-Ner'", "pair, bounds, many, names, table, inner, other",
         "did you mean inner?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_problem(
    text: str, position: tuple[int, int], message: str, allowed: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        validate(Model, read(text))
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == position
    assert (problem.message, problem.allowed, problem.hint) == (message, allowed, hint)


def test_problems_without_a_line_come_last_and_twenty_are_shown_whole() -> None:
    problems = [Problem(message=str(line), line=line) for line in range(MAX_PROBLEMS)]
    assert ordered(problems) == [*problems[1:], problems[0]]
    more = [*problems, Problem(message="last", file="f", line=90, column=3), Problem(message="too many", line=91)]
    *shown, omitted = ordered(more)
    assert shown == problems[1:]
    assert omitted == Problem(message="and 3 more problems", file="f", line=90, column=3)

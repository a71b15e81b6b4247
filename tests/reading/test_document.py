"""Positions of values, values set from elsewhere, and values as one short line."""

import pytest

from archsearch.reading.document import Position, shorten
from archsearch.reading.errors import InputError, Problem, refuse
from archsearch.reading.yaml import MAX_BYTES, read, write


def test_a_value_set_from_elsewhere_stands_at_its_origin() -> None:
    document = read("a: {b: {c: 1}, d: 2}\ne: 3\n")
    changed = document.with_value(("a", "b", "c"), 9, "--set")
    assert changed.data == {"a": {"b": {"c": 9}, "d": 2}, "e": 3}
    assert document.data["a"]["b"]["c"] == 1
    assert changed.position(("a", "b", "c")) == changed.position(("a", "b", "c"), key=True) == Position(file="--set")
    assert changed.position(("a", "b")) == Position(file="<text>", line=1, column=8)
    assert changed.position(("e",)) == Position(file="<text>", line=2, column=4)


def test_mappings_on_the_way_are_made_and_what_lies_below_is_forgotten() -> None:
    document = read("a: {b: 1}\n")
    made = document.with_value(("x", "y", "z"), 1, "--set")
    assert made.data == {"a": {"b": 1}, "x": {"y": {"z": 1}}}
    assert {made.position(loc, key=True).file for loc in (("x",), ("x", "y"), ("x", "y", "z"))} == {"--set"}
    replaced = document.with_value(("a",), {}, "--set")
    assert replaced.data == {"a": {}}
    assert replaced.position(("a", "b")) == Position(file="--set")


def test_a_value_cannot_go_into_what_is_no_mapping() -> None:
    with pytest.raises(InputError) as caught:
        read("a: {b: 1}\n").with_value(("a", "b", "c"), 2, "--set")
    assert caught.value.problems == (
        Problem(
            message="a.b is 1, which has no keys below it",
            allowed="keys that hold a mapping",
            hint="set a.b as a whole",
            file="--set",
        ),
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        ([], "[]"),
        ({}, "{}"),
        ([1, [2, [3]]], "[1, [2, [...]]]"),
        ({"a": {"b": {"c": 1}}}, "{a: {b: {...}}}"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, "a huge integer"),
        (-(2**64), "a huge integer"),
        (1e300, "1e+300"),
        ("x" * 58, "'" + "x" * 58 + "'"),
        ("x" * 59, "'" + "x" * 56 + "..."),
        (object(), "a Python object of type object"),
    ],
)
def test_a_value_in_one_short_line(value: object, text: str) -> None:
    assert shorten(value) == text


def test_a_problem_names_its_file_line_and_column_as_far_as_they_are_known() -> None:
    assert str(Problem(message="m")) == "<input>: m"
    assert str(Problem(message="m", file="f", line=3)) == "f:3: m"
    problem = Problem(message="m", allowed="a", hint="h", file="f", line=3, column=4)
    assert str(problem) == "f:3:4: m; allowed: a\n  hint: h"
    assert str(refuse("m")) == "archsearch: m"
    assert str(refuse("m", file="f")) == "f: m"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1", "indent with spaces; YAML takes no tabs"),
        ("a: b: c", 'unexpected ": ": check the indentation, or quote the text'),
        ("a: 1\n  b: 2", 'unexpected ": ": check the indentation, or quote the text'),
        ("- 1\nb: 2", "check the indentation of this line and of the lines above"),
        ("a: [1, 2", "a comma or a closing bracket is missing"),
        ("a: &", ""),
    ],
)
def test_a_broken_text_gets_the_hint_of_its_fault(text: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    (problem,) = caught.value.problems
    assert problem.hint == hint
    assert problem.message.startswith("not readable as YAML: ")


@pytest.mark.parametrize(
    ("value", "written"),
    [("null", "'null'"), ("true", "'true'"), ("12", "'12'"), ("0x1F", "'0x1F'"), (".inf", "'.inf'"), ("word", "word")],
)
def test_a_text_is_quoted_where_it_would_be_read_as_another_value(value: str, written: str) -> None:
    assert write({"a": value}).strip("{}\n") == f"a: {written}"


@pytest.mark.parametrize(
    ("text", "value"),
    [(str(2**63 - 1), 2**63 - 1), (str(1 - 2**63), 1 - 2**63), ("0" * 63 + "7", 7), (str(2**63), None),
     (str(-(2**63)), None), ("0" * 64 + "7", None)],
)  # fmt: skip
def test_integers_below_two_to_the_63_in_at_most_64_digits(text: str, value: int | None) -> None:
    if value is not None:
        assert read(text).data == value
        return
    with pytest.raises(InputError, match=r"integers below 2\^63"):
        read(text)


def test_a_file_of_the_largest_size_is_read(tmp_path) -> None:
    largest = "# " + "x" * (MAX_BYTES - 8) + "\na: 1\n"
    (tmp_path / "a.yaml").write_text(largest[:2] + largest[3:])
    assert (tmp_path / "a.yaml").stat().st_size == MAX_BYTES - 1
    assert read(tmp_path / "a.yaml").data == {"a": 1}
    (tmp_path / "a.yaml").write_text(largest)
    assert read(tmp_path / "a.yaml").data == {"a": 1}
    (tmp_path / "a.yaml").write_text("#" + largest)
    with pytest.raises(InputError, match="larger than 256 KiB"):
        read(tmp_path / "a.yaml")

"""The strict reader: YAML 1.2's values, exact places, and a clean refusal of everything else."""

import random
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.reading.document import Loc
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import MAX_BYTES, read, write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("none", "none"),
        ("1e-3", 0.001),
        ("5E4", 50000.0),
        (".5", 0.5),
        ("-1.", -1.0),
        ("012", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0xff", 255),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("40M", "40M"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("<<", "<<"),
        ("=", "="),
        ("|\n  12\n", "12\n"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    data = read(f"key: {text}").data["key"]
    assert data == value
    assert type(data) is type(value)


REFUSED = {
    "alias": ("a: &x 1\nb: *x", 1, 4, "anchor"),
    "alias without anchor": ("a: 1\nb: *x", 2, 4, "alias"),
    "alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", 1, 4, "anchor"),
    "duplicate key": ("a: 1\nb: 2\na: 3", 3, 1, "second time"),
    "duplicate key, quoted": ('{a: 1, "a": 2}', 1, 8, "second time"),
    "python tag": ("a: !!python/object/apply:os.system ['true']", 1, 4, "tag"),
    "standard tag": ("a: !!str 1", 1, 4, "tag"),
    "tag !": ("a: ! 1", 1, 4, "tag"),
    "second document": ("a: 1\n---\nb: 2", 2, 1, "second document"),
    "key that is a number": ("a: 1\n2: b", 2, 1, "the key 2"),
    "key that is a list": ("? [1]\n: 2", 1, 3, "the key"),
    "key that is null": ("~: 1", 1, 1, "the key"),
    "nan": ("a: [1, .nan]", 1, 8, ".nan"),
    "infinity": ("a: -.inf", 1, 4, "-.inf"),
    "overflow": ("a: 1e999", 1, 4, "1e999"),
    "huge integer": ("a: 99999999999999999999", 1, 4, "99999999"),
    "integer of 5000 digits": ("a: " + "9" * 5000, 1, 4, "9999"),
    "tab": ("a:\n\tb: 1", 2, 1, "YAML"),
    "open bracket": ("a: [1, 2\nb: 3", 2, 2, "YAML"),
    "colon in a value": ("a: b: c", 1, 5, "YAML"),
    "control character": ("a: 1\nb: \x07", 2, 4, "#x0007"),
    "lone surrogate": ("a: \ud800", 1, 4, "#xd800"),
    "21 levels": ("[" * 21, 1, 21, "20 levels"),
    "10,000 levels": ("[" * 10_000, 1, 21, "20 levels"),
    "10,000 mappings": ("{a: " * 10_000, 1, 81, "20 levels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_at_the_line_and_column_within_a_second(name: str) -> None:
    text, line, column, found = REFUSED[name]
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        read(text)
    assert time.process_time() - started < 1
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("<text>", line, column)
    assert found in str(problem)
    assert problem.allowed
    assert str(problem).count("\n") <= 1


def test_limits_hold_just_within_and_not_beyond() -> None:
    assert read("[" * 20 + "]" * 20).data
    assert len(read("[" + "1," * 9_999 + "]").data) == 9_999
    with pytest.raises(InputError, match="10,000 values"):
        read("[" + "1," * 10_000 + "]")
    assert read("a: " + "x" * (MAX_BYTES - 3)).data
    with pytest.raises(InputError, match="256 KiB"):
        read("a: " + "x" * (MAX_BYTES - 2))
    with pytest.raises(InputError, match="256 KiB"):
        read("é" * (MAX_BYTES // 2 + 1))


@pytest.mark.parametrize(
    "text", ["#\n" * (MAX_BYTES // 2), "a: |\n" + " x\n" * 80_000, "x: " + "y\n  " * 60_000, "\n" * MAX_BYTES]
)
def test_the_largest_texts_are_read_within_two_seconds_of_work(text: str) -> None:
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 2


def test_every_value_knows_its_position() -> None:
    document = read("a: 1\nb:\n  - x\n  - {c: 2,\n     d: [3, 44]}\n")

    def at(loc: Loc, *, key: bool = False) -> tuple[int, int]:
        position = document.position(loc, key=key)
        return position.line, position.column

    assert at(()) == (1, 1)
    assert at(("a",)) == (1, 4)
    assert at(("b", 0)) == (3, 5)
    assert at(("b", 1, "d", 1)) == (5, 13)
    assert at(("b", 1, "d"), key=True) == (5, 6)
    assert at(("b", 1, "absent", "below")) == at(("b", 1)) == (4, 5)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    cases = {tmp_path / "none.yaml": "no such file", tmp_path: "folder", latin: "UTF-8", large: "256 KiB"}
    for path, found in cases.items():
        with pytest.raises(InputError, match=found) as caught:
            read(path)
        assert caught.value.problems[0].file == str(path)
    with pytest.raises(InputError) as caught:
        read(latin)
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == (2, 7)
    with pytest.raises(InputError):
        read(Path("x\0y"))


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read(path).data == {"a": 1}


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
    | st.sampled_from(["1e-3", "08", "0o7", "yes", "1_0", ".5", "~", "", ".inf", "1:30", "<<", "=", "null"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdef01", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
@settings(max_examples=100, deadline=None)
def test_read_is_the_inverse_of_write(data: object) -> None:
    assert read(write(data)).data == data


def test_written_strings_stay_strings_where_pyyaml_would_turn_them() -> None:
    assert read(yaml.safe_dump({"name": "1e-3"})).data == {"name": 0.001}
    assert read(write({"name": "1e-3"})).data == {"name": "1e-3"}


def test_mutated_files_give_a_document_or_an_input_error() -> None:
    text = (Path(__file__).parents[2] / "search_spaces" / "digits.yaml").read_text()
    draw = random.Random(0)
    pieces = [
        "&a ",
        "*a",
        "!!python/name:os.system ",
        "\t",
        "{",
        "[",
        "]",
        "}",
        ": ",
        "- ",
        "'",
        '"',
        "\0",
        "%",
        "---\n",
    ]
    for _ in range(150):
        at, to = sorted(draw.randrange(len(text)) for _ in range(2))
        piece = draw.choice([*pieces, text[at : at + 40]]) * draw.choice([1, 1, 2, 30])
        mutated = text[:at] + piece + text[draw.choice([at, at + 1, to]) :]
        try:
            read(mutated)
        except InputError as error:
            assert error.problems[0].line > 0 or "not readable" in str(error)

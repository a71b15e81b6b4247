"""The JSON Schema takes what the loader takes, and refuses what can be seen without it; the reference is whole."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from archsearch.reading.yaml import read
from archsearch.space.parameters import vocabulary
from archsearch.space.schema import json_schema
from scripts.pages import search_space

from .test_broken_files import BROKEN, GOOD
from .test_loading import SPACES

SCHEMA = Draft202012Validator(json_schema())

# What only the loader can see: it depends on several words, on the disk, or on the networks themselves.
UNSEEN = {
    "option twice",
    "range reversed",
    "range off its step",
    "order without each",
    "order of words",
    "even kernel",
    "when of an unknown key",
    "when of a bad value",
    "when in a circle",
    "when on itself",
    "width missing",
    "values for other stages",
    "options for other stages",
    "options of a stage twice",
    "budget empty",
    "budget reversed",
    "budget both ways",
    "budget out of reach",
    "budget above reach",
    "share above one",
    "missing folder",
}
UNREADABLE = {"alias", "alias bomb", "duplicate key", "tab", "deep nesting", "not a number", "python tag"}


def test_it_is_a_schema_of_draft_2020_12() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_the_shipped_spaces_are_valid(path: Path) -> None:
    assert [error.message for error in SCHEMA.iter_errors(read(path).data)] == []


def test_resolved_spaces_are_valid(tmp_path: Path) -> None:
    from archsearch.space.loading import load_space

    for path in SPACES:
        assert [error.message for error in SCHEMA.iter_errors(read(load_space(path).to_yaml()).data)] == []


@pytest.mark.parametrize("name", sorted(set(BROKEN) - UNREADABLE))
def test_a_broken_file_is_invalid_where_a_schema_can_see_it(name: str) -> None:
    old, new, *_ = BROKEN[name]
    assert SCHEMA.is_valid(read(GOOD.replace(old, new, 1)).data) == (name in UNSEEN)


def test_every_word_has_a_description_and_its_default() -> None:
    words = json_schema()["properties"]["space"]["properties"]
    assert words["cardinality"]["default"] == 1
    for name, term in vocabulary().items():
        word = words[term.group]["properties"][term.field] if term.group else words[name]
        assert word["description"] == term.info.description


def test_the_reference_names_every_word_with_its_description() -> None:
    text = search_space.page()
    for term in vocabulary().values():
        assert f"| `{term.field if term.group else term.name}` |" in text
        assert (term.info.description or "") in text
    for heading in ("## data", "## search", "## training", "## resources", "## budget", "### survival"):
        assert f"\n{heading}\n" in text

"""The pages of docs/ that are made from the code are what it makes, and the grammar's shows every family."""

from collections.abc import Callable

import pytest

from archsearch import zoo
from scripts.pages import commands, grammar, python, search_space, timm
from scripts.pages.__main__ import DOCS
from scripts.pages.lineage import families

SPECIMENS = [specimen for family in families() for specimen in family.specimens if specimen.name]


@pytest.mark.parametrize(
    "name, page",
    [
        ("cli.md", commands.page),
        ("search-space.md", search_space.page),
        ("grammar.md", grammar.page),
        ("python.md", python.page),
        ("timm.md", timm.page),
    ],
)
def test_a_page_made_from_the_code_is_up_to_date(name: str, page: Callable[[], str]) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == page(), f"docs/{name} is old: python -m scripts.pages"


def test_each_family_of_the_zoo_is_on_the_page() -> None:
    shown = {zoo.entry(specimen.name).family for specimen in SPECIMENS}
    assert {entry.family for entry in zoo.entries()} == shown

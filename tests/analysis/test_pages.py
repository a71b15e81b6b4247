"""docs/grammar.md and docs/search-space.md are what the code makes, and the first shows every family."""

from pathlib import Path

from archsearch import zoo
from archsearch.analysis import grammar
from archsearch.analysis.lineage import families
from archsearch.space import reference

DOCS = Path(__file__).parent.parent.parent / "docs"
SPECIMENS = [each for family in families() for each in family.specimens if each.name]


def test_the_grammars_page_is_the_codes() -> None:
    assert (DOCS / "grammar.md").read_text(encoding="utf-8") == grammar.page(), (
        "docs/grammar.md is old; write it anew: python -m archsearch.analysis.grammar > docs/grammar.md"
    )


def test_the_reference_of_search_spaces_is_the_codes() -> None:
    assert (DOCS / "search-space.md").read_text(encoding="utf-8") == reference(), (
        "docs/search-space.md is old; write it anew: python -m archsearch.space.manual > docs/search-space.md"
    )


def test_each_family_of_the_zoo_is_on_the_page() -> None:
    shown = {zoo.entry(specimen.name).family for specimen in SPECIMENS}
    assert {entry.family for entry in zoo.entries()} == shown

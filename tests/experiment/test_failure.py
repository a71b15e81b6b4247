"""A failure between the code, which reads its kind, and the ledger, which keeps a line."""

import pytest

from archsearch.experiment import Failure
from archsearch.experiment.failure import LONGEST


@pytest.mark.parametrize("text", ["its worker died", "one: two: three", "", "two\nlines"])
def test_a_failure_is_read_back_from_its_line(text: str) -> None:
    failure = Failure("crashed", text)
    assert str(failure) == f"crashed: {text}"
    assert Failure.parse(str(failure)) == failure


def test_a_line_that_is_no_failure_has_no_kind_that_is_tried_again() -> None:
    assert Failure.parse("interrupted") == Failure("interrupted", "")


def test_a_long_text_is_cut_where_it_is_written() -> None:
    line = str(Failure("ValueError", "x" * 1000))
    assert len(line) == LONGEST and line.startswith("ValueError: xxx")

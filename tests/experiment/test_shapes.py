"""What a JSON text in a ledger may hold, at its limits."""

import pytest

from archsearch.experiment.checks import is_number, is_time
from archsearch.experiment.shapes import decoded


def test_a_number_in_a_text_reaches_to_two_to_the_63rd() -> None:
    for number in (2**63, -(2**63), 2.0**63):
        assert decoded(f'{{"a": [{number!r}]}}', deep=True) == {"a": [number]}
    for number in (2**63 + 1, -(2**63) - 1, 2.0**64):
        with pytest.raises(ValueError, match="out of range"):
            decoded(f'{{"a": [{number!r}]}}', deep=True)
    assert decoded(str(2**64)) == 2**64, "where only what is shallow is asked for"


def test_the_limits_of_plain_fields() -> None:
    assert is_number(-(2.0**63)) and is_number(2**63 - 1) and not is_number(2**63) and not is_number(-(2**63) - 1)
    assert not is_number(True) and not is_number("1") and not is_number(float("nan"))
    assert is_time(0.0) and not is_time(-1e-9) and not is_time(1e11) and not is_time(0)

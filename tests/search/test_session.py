"""How a driver's session takes signals."""

from __future__ import annotations

import signal
import sys

import pytest

from archsearch.search.session import _terminable


def test_a_sigterm_that_ray_answers_is_an_interruption_too() -> None:
    """While Ray starts, its own handler is in place: it ends Python with the signal's number."""

    def rays(number: int, _: object) -> None:
        sys.exit(number)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _terminable():
        signal.signal(signal.SIGTERM, rays)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_exit_stays_what_it_is() -> None:
    with pytest.raises(SystemExit, match="2"), _terminable():
        sys.exit(2)

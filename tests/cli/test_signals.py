"""SIGTERM while a verb is at work is taken like Ctrl-C: a word and exit code 3, and nothing half-done."""

import os
import signal

import pytest

from archsearch.cli import main


def test_sigterm_is_an_interruption_and_the_handler_before_is_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def terminated() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("archsearch.zoo.entries", terminated)
    assert main(["zoo", "--json"]) == 3
    assert capsys.readouterr().err == "archsearch: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before

"""What a verb's error becomes: a line on stderr and an exit code."""

import errno
from pathlib import Path

import pytest
import typer

from archsearch.cli.dispatch import Failure, dispatch
from archsearch.cli.table import find
from archsearch.experiment import DriverRunning
from archsearch.reading.errors import refuse
from archsearch.search.running.environment import HeadGone, RayFailed

CASES = [
    (refuse("the word x", allowed="y", file="--z"), 2, ["--z: the word x; allowed: y"]),
    (DriverRunning(Path("experiments/a"), pid=7, host="h", since=0.0), 4, ["process 7 on h", "archsearch status"]),
    (KeyboardInterrupt(), 3, ["archsearch: interrupted\n"]),
    (Failure("no trial finished"), 1, ["archsearch: no trial finished\n"]),
    (RayFailed("Ray did not start"), 1, ["archsearch: Ray did not start\n  hint: `archsearch doctor`"]),
    (HeadGone("the head is gone"), 1, ["archsearch: the head is gone\n  hint: `archsearch doctor`"]),
    (RuntimeError("odd\nlines"), 1, ["archsearch: internal error: RuntimeError: odd (with --debug"]),
    (OSError(errno.EACCES, "Permission denied", "f"), 1, ["archsearch: [Errno 13] Permission denied: 'f'\n"]),
    *((OSError(number, "full", "f"), 1, ["no space left for f", "archsearch resume"]) for number in
      (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
    (typer.Exit(5), 5, []),
]  # fmt: skip


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("error", "code", "texts"), CASES, ids=lambda value: type(value).__name__)
def test_an_error_is_a_line_and_an_exit_code(error, code, texts, debug, monkeypatch, capsys) -> None:
    def zoo() -> None:
        raise error

    monkeypatch.setattr("archsearch.cli.verbs.zoo.zoo", zoo)
    verb = find("zoo")
    assert verb is not None
    assert dispatch(verb, [], debug=debug) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert all(text in captured.err for text in texts)
    assert ("Traceback" in captured.err) == (debug and code != 5)


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_verb_returns_is_the_exit_code(returned, code, monkeypatch) -> None:
    def zoo() -> int | None:
        return returned

    monkeypatch.setattr("archsearch.cli.verbs.zoo.zoo", zoo)
    verb = find("zoo")
    assert verb is not None
    assert dispatch(verb, [], debug=False) == code

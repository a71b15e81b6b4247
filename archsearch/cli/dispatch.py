"""One verb, run: its arguments are read by Typer, and whatever goes wrong becomes a line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer

from archsearch.cli.table import Verb, find
from archsearch.experiment import DriverRunning
from archsearch.reading.errors import InputError
from archsearch.search.running.environment import HeadGone, RayFailed

DONE, FAILED, BAD_INPUT, INTERRUPTED, DRIVEN = range(5)


class Failure(RuntimeError):
    """What was asked for failed, and why is known: exit code 1."""


def app_of(word: str) -> typer.Typer:
    """An empty Typer app; `command` puts the verb into it. Plain help: rich would cost a second."""
    return typer.Typer(name=word, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def command(app: typer.Typer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function is the app's verb, and its help ends with the verb's example."""
    verb = find(app.info.name or "")
    assert verb is not None, "a verb is in the table"
    return app.command(
        epilog=f"\b\nExample:\n  {verb.example}\n",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def dispatch(verb: Verb, arguments: Sequence[str], *, debug: bool) -> int:
    """The exit code. Prints to stderr what went wrong; a traceback with `debug` alone."""
    try:
        module = import_module(f"archsearch.cli.verbs.{verb.word}")
        parsed = typer.main.get_command(module.app)
        with parsed.make_context(f"archsearch {verb.word}", list(arguments)) as context:
            code = parsed.invoke(context)
        sys.stdout.flush()
        return DONE if code is None else int(code)
    except typer.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        # The reader (`head`, `less`) has left: so that Python does not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (KeyboardInterrupt, Exception) as error:
        if debug:
            traceback.print_exc()
        return _explain(verb, error)


def _explain(verb: Verb, error: BaseException) -> int:
    text, code = _words(verb, error)
    print(text, file=sys.stderr)
    return code


def _words(verb: Verb, error: BaseException) -> tuple[str, int]:
    match error:
        case InputError():
            return str(error), BAD_INPUT
        case DriverRunning():
            hint = f"archsearch status {error.folder} shows how it stands"
            return f"archsearch: {error}\n  hint: {hint}", DRIVEN
        case KeyboardInterrupt():
            return "archsearch: interrupted", INTERRUPTED
        case Failure():
            return f"archsearch: {error}", FAILED
        case typer.TyperException():
            hint = f"archsearch {verb.word} --help; for example: {verb.example}"
            return f"archsearch {verb.word}: {error.format_message()}\n  hint: {hint}", BAD_INPUT
        case RayFailed() | HeadGone():
            hint = "`archsearch doctor` looks at the machine; the experiment is kept for `archsearch resume`"
            return f"archsearch: {error}\n  hint: {hint}", FAILED
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "what is written is whole; make space, then `archsearch resume` goes on with a search"
            return f"archsearch: no space left for {error.filename or 'a file'}\n  hint: {hint}", FAILED
        case OSError():
            return f"archsearch: {error}", FAILED
        case _:
            what = f"{type(error).__name__}: {error}".strip().split("\n")[0][:300]
            return f"archsearch: internal error: {what} (the whole of it: the same with --debug)", FAILED

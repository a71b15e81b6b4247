"""Runs one verb: Typer reads its arguments, and an error becomes a line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer

from archsearch.cli.table import Verb
from archsearch.experiment import DriverRunning
from archsearch.experiment.processes import set_waiting
from archsearch.experiment.suggested import command
from archsearch.reading.errors import InputError
from archsearch.reading.escaping import escaped_output
from archsearch.reading.nearest import did_you_mean
from archsearch.reading.packages import missing_package
from archsearch.search.running.environment import HeadGone, RayFailed
from archsearch.search.running.interrupts import interruptible

DONE, FAILED, BAD_INPUT, INTERRUPTED, DRIVEN = range(5)


class Failure(RuntimeError):
    """A verb failed for the reason that the message tells: exit code 1, and no traceback."""


def command_of(verb: Verb) -> Any:
    """The verb's function as a Typer command, whose help ends with the verb's example and is plain: rich takes a
    second."""
    app = typer.Typer(name=verb.name, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(
        epilog=f"\b\nExample:\n  {verb.example}\n",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )(getattr(import_module(f"archsearch.cli.verbs.{verb.name}"), verb.name))
    return typer.main.get_command(app)


def dispatch(verb: Verb, arguments: Sequence[str], *, debug: bool) -> int:
    """Runs the verb and returns the exit code. An error is printed to stderr; with `debug` its traceback too. Once the
    verb is imported, SIGTERM is taken like Ctrl-C.

    No control character of a name or a text reaches the terminal."""
    with escaped_output():
        return _dispatched(verb, arguments, debug)


def _dispatched(verb: Verb, arguments: Sequence[str], debug: bool) -> int:
    set_waiting()  # before the verb imports torch
    try:
        command = command_of(verb)
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as of a shell's background job
        with (
            interruptible(signal.SIGTERM, *([] if ignored else [signal.SIGINT])),
            command.make_context(f"archsearch {verb.name}", list(arguments)) as context,
        ):
            code = command.invoke(context)
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
        text, code = _message(verb, error)
        print(text, file=sys.stderr)
        return code


def _message(verb: Verb, error: BaseException) -> tuple[str, int]:
    match error:
        case InputError():
            return str(error), BAD_INPUT
        case DriverRunning():
            hint = f"`{command('status', error.folder)}` shows its progress"
            return f"archsearch: {error}\n  hint: {hint}", DRIVEN
        case ModuleNotFoundError() if (missing := missing_package(error)) is not None:
            return str(missing), BAD_INPUT
        case KeyboardInterrupt():
            return "archsearch: interrupted", INTERRUPTED
        case Failure():
            return f"archsearch: {error}", FAILED
        case typer.TyperException():
            return _usage(verb, error), BAD_INPUT
        case RayFailed() | HeadGone():
            hint = "`archsearch doctor` checks the machine; `archsearch resume` continues the experiment"
            return f"archsearch: {error}\n  hint: {hint}", FAILED
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = (
                "all files written so far are complete; free some space, then continue a search "
                "with `archsearch resume`"
            )
            return f"archsearch: no space left for {error.filename or 'a file'}\n  hint: {hint}", FAILED
        case OSError():
            return f"archsearch: {error}", FAILED
        case _:
            message = f"{type(error).__name__}: {error}".strip().split("\n")[0][:300]
            return f"archsearch: internal error: {message} (with --debug: the traceback)", FAILED


def _usage(verb: Verb, error: typer.TyperException) -> str:
    """The message of a command line that Typer refuses, with the nearest option or choice as its hint."""
    text, hint = error.format_message().replace("Value error, ", ""), ""
    if text.startswith("No such option") and (option := getattr(error, "option_name", None)):
        text = f"no option {option}"
        hint = did_you_mean(option, [name for each in command_of(verb).params for name in each.opts])
    elif choice := re.search(r"'([^']*)' is not one of (.*)", text):
        hint = did_you_mean(choice[1], re.findall(r"'([^']*)'", choice[2]))
    hint = hint or f"archsearch {verb.name} --help; for example: {verb.example}"
    return f"archsearch {verb.name}: {text}\n  hint: {hint}"

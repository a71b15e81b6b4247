"""The command line: one file a verb, no logic. Only the verb that is asked for is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from archsearch.cli.table import SYNONYMS, VERBS, find, overview

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb that `argv` (sys.argv's by default) names and returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = os.environ.get("ARCHSEARCH_DEBUG", "") not in ("", "0")
    if "--debug" in arguments:
        arguments, debug = [argument for argument in arguments if argument != "--debug"], True
    first, remaining = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if first in ("--help", "-h"):
        print(overview(colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
        return 0
    if first == "--version":
        import archsearch

        print(f"archsearch {archsearch.__version__}")
        return 0
    verb = find(first)
    if verb is None:
        return _unknown(first)
    try:
        from archsearch.cli.dispatch import dispatch
    except ModuleNotFoundError as error:  # Typer's own, in an installation with no requirements at all
        from archsearch.reading.packages import missing_package

        missing = missing_package(error)
        if missing is None:
            raise
        print(missing, file=sys.stderr)
        return 2
    return dispatch(verb, remaining, debug=debug)


def _unknown(name: str) -> int:
    from archsearch.reading.nearest import did_you_mean

    commands = {verb.name: f"archsearch {verb.name}" for verb in VERBS}
    hint = did_you_mean(name, (), aliases={**SYNONYMS, **commands}) or "archsearch --help lists what each command does"
    print(f"archsearch: no command {name!r:.60}; allowed: {', '.join(commands)}\n  hint: {hint}", file=sys.stderr)
    return 2

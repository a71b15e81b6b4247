"""`archsearch doctor`: whether this machine can do what archsearch asks of it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from archsearch.api.showing.printing import print_json
from archsearch.cli.options import Json

if TYPE_CHECKING:
    from archsearch.search.running.readiness import Finding

COLOURS = {"ok": "32", "warn": "33", "problem": "31"}


def doctor(*, as_json: Json = False) -> int:
    """Checks Python, packages, GPUs, memory, disk and data, and says how to fix what is wrong.

    Exit code 1 if there is a problem; warnings do not count.
    """
    from archsearch.search.running.readiness import findings

    lines = list(findings())
    level = next((lv for lv in ("problem", "warn") if any(line.level == lv for line in lines)), "ok")
    if as_json:
        print_json({"level": level, "findings": [line._asdict() for line in lines]})
    else:
        for line in lines:
            _print(line)
    return 1 if level == "problem" else 0


def _print(finding: Finding) -> None:
    level = f"{finding.level:<7}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        level = f"\033[{COLOURS[finding.level]}m{level}\033[0m"
    advice = f"; {finding.advice}" if finding.advice else ""
    print(f"{level}  {finding.name:<13} {finding.found}{advice}")

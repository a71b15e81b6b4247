"""What one section has shown so far, in a file that is whole after each change."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Row:
    """Figures, marks and what was left out of a section that has to end at the Unix time `until`."""

    def __init__(self, name: str, until: float, file: Path | None = None) -> None:
        self.name, self.until, self._file = name, until, file
        self.began = time.time()
        self.figures: dict[str, Any] = {}
        self.marks: dict[str, dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.device: dict[str, Any] | None = None
        self.ended = self.rehearsed = False

    @property
    def state(self) -> str:
        """passed, failed, or running while it has not ended. In a rehearsal only errors count."""
        marks = [] if self.rehearsed else self.marks.values()
        if self.errors or not all(mark["passed"] for mark in marks):
            return "failed"
        return "passed" if self.ended else "running"

    def to_dict(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("state", "figures", "marks", "left_out", "errors", "device")}
        return kept | {"seconds": round(time.time() - self.began, 1)}

    def figure(self, name: str, value: Any) -> None:
        """A number, or a mapping of numbers, that is reported."""
        self.figures[name] = value
        self._changed(f"{name}: {shortened(value)}")

    def mark(self, name: str, value: Any, target: str, *, passed: bool) -> None:
        """A value that has to reach a target."""
        self.marks[name] = {"value": value, "target": target, "passed": bool(passed)}
        self._changed(f"{name}: {shortened(value)} ({target}): {'passed' if passed else 'FAILED'}")

    def leave_out(self, what: str, why: str) -> None:
        self.left_out[what] = why
        self._changed(f"{what} left out: {why}")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of the section: an error ends it alone, and is a failure of the section."""
        try:
            yield
        except Exception as error:  # any: the other parts still count
            self.failed(name, error)

    def needs(self, seconds: float) -> None:
        """Raises NoTime where fewer seconds remain."""
        if self.remaining() < seconds:
            raise NoTime(f"{self.remaining():.0f} s remain, and it takes {seconds:.0f}")

    def failed(self, name: str, error: BaseException) -> None:
        trace = [] if isinstance(error, NoTime) else traceback.format_exception(error)[-4:]
        self.errors[name] = f"{type(error).__name__}: {str(error)[:600]}" + "".join(["\n", *trace] if trace else [])
        self._changed(f"{name} FAILED: {type(error).__name__}: {str(error)[:300]}")

    def remaining(self) -> float:
        return self.until - time.time()

    def end(self) -> None:
        self.ended = True
        self._changed(self.state)

    def _changed(self, line: str) -> None:
        print(f"    {time.time() - self.began:6.1f} s  {self.name}: {line}", file=sys.stderr, flush=True)
        if self._file is not None:
            write(self._file, self.to_dict())


class NoTime(Exception):
    """Too little time remains for a part."""


def write(file: Path, document: Any) -> None:
    """JSON, whole at any time; what JSON does not have, as text."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1, default=str))
    os.replace(partial, file)  # noqa: PTH105


def shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."

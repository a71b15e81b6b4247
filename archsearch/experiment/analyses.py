"""What `archsearch analyze` has left in an experiment's folder: of each kind a page, and its figures beside it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.experiment.folder import ExperimentFolder
from archsearch.reading.errors import InputError

# Figures that say what was analysed, and how: the same question has the same values.
SETTINGS = ("analysis", "digest", "data", "split", "images", "seed", "draws", "max_loss", "points", "survival")


@dataclass(frozen=True, kw_only=True)
class AnalysisFiles:
    """An analysis of an experiment's network: its `kind`, its page, and its `figures`, the JSON that
    `archsearch analyze --json` prints, written at `ended` (Unix seconds)."""

    kind: str
    page: Path
    figures: Mapping[str, Any]
    ended: float

    @property
    def settings(self) -> dict[str, str]:
        """What was analysed, and how."""
        return {name: str(self.figures[name]) for name in SETTINGS if name in self.figures}

    @property
    def key(self) -> str:
        """16 hex digits that are the same for the same settings."""
        return _digest(self.settings)[:16]

    @property
    def figures_digest(self) -> str:
        """The SHA-256 of all figures."""
        return _digest(self.figures)

    @property
    def numbers(self) -> dict[str, float]:
        """The finite numbers among the results, those of a group as GROUP_NAME; lists and texts are left out."""
        results: dict[str, float] = {}
        for name, value in self.figures.items():
            group = value if isinstance(value, Mapping) else {"": value}
            for inner, number in group.items():
                if name in SETTINGS or isinstance(number, bool) or not isinstance(number, int | float):
                    continue
                with suppress(OverflowError):  # of 2^n paths
                    if math.isfinite(float(number)):
                        results[f"{name}_{inner}".rstrip("_")] = float(number)
        return results

    @property
    def remark(self) -> str:
        """What it says first of the network; empty where it says nothing."""
        remarks = self.figures.get("remarks")
        return str(remarks[0]) if isinstance(remarks, list) and remarks else ""


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(value), sort_keys=True).encode()).hexdigest()


def analyses(folder: ExperimentFolder) -> Iterator[AnalysisFiles]:
    """Those whose page and figures are both there and can be read, by their kinds."""
    for page in sorted((folder.path / "analysis").glob("*.html")):
        with suppress(InputError, OSError, ValueError):
            file = page.with_suffix(".json")
            figures = folder.read_json(file)
            if isinstance(figures, dict):
                yield AnalysisFiles(kind=page.stem, page=page, figures=figures, ended=file.stat().st_mtime)

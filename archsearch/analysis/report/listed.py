"""What the winner gets wrong, as the document has it: with the names of the images' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from archsearch.analysis.mistakes import Mistake, Mistakes
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.residuals import Miss, Residuals


def mistakes_of(reading: Reading) -> Mistakes | None:
    """The winner's mistakes, with the files' names where they are known."""
    figures = reading.mistakes
    if figures is None:
        return None
    suspects, worst = (cast(list[Mistake], _named(reading, figures[key])) for key in ("suspects", "worst"))
    return {**figures, "suspects": suspects, "worst": worst}


def residuals_of(reading: Reading) -> Residuals | None:
    """The errors of numbers, with the files' names where they are known."""
    figures = reading.residuals
    return None if figures is None else {**figures, "worst": cast(list[Miss], _named(reading, figures["worst"]))}


def _named(reading: Reading, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = reading.pictures.names
    return [{**row, "name": names.get((row["split"], row["image"]))} for row in rows]

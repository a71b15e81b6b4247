"""The networks that the searches of a comparison were confirmed with: their winners, the zoo's, and guests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsearch.analysis.report.certainty import spreads
from archsearch.analysis.report.document import TRAINED
from archsearch.analysis.report.figures import ConfirmedRow
from archsearch.analysis.report.html import paragraph, section, table
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.tradeoff import amount
from archsearch.experiment.objective import Objective

HEAD = ("", "network", "validation", "test", "FLOPs", "parameters", "")
NOTE = "Retrained by archsearch confirm: means over seeds with half of a 95 % interval; of few seeds, each one's value."


def retrained(reading: Reading) -> list[ConfirmedRow]:
    """The confirmed winner and the networks that it was compared with; none where there is no confirmation."""
    rows = (reading.confirmed or {}).get("rows", ())
    return [_shown(row) for row in rows if row["winner"] or row["kind"] in TRAINED]


def rows_of(*sides: tuple[Objective, Sequence[ConfirmedRow]]) -> list[tuple[str, ...]]:
    """A row under HEAD for each of these networks, of the search A with its objective, then of B."""
    return [
        (letter, row["name"], *spreads(row, objective), amount("flops", row["flops"]),
         amount("params", row["params"]), row["note"])
        for letter, (objective, rows) in zip("AB", sides, strict=True)
        for row in rows
    ]  # fmt: skip


def retrained_section(rows: Sequence[tuple[str, ...]]) -> str:
    """The part of the page with these rows; nothing where there is none, neither search being confirmed."""
    if not rows:
        return ""
    return section(
        "retrained", "What they were confirmed with", table(HEAD, rows, left=(0, 1), wide=(6,)), paragraph(NOTE, "note")
    )


def _shown(row: Mapping[str, object]) -> ConfirmedRow:
    return {key: row.get(key) for key in ConfirmedRow.__annotations__ if key in row}  # type: ignore[return-value]

"""`archsearch compare`: two searches beside one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json
from archsearch.cli.printing import deliver, percent, print_json, short, table

app = app_of("compare")


@command(app)
def compare(
    a: Annotated[str, typer.Argument(metavar="A", show_default=False, help="An experiment's name, or its folder.")],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False, help="Another one.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="The comparison as an HTML page too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tells whether two searches differ by more than chance: distributions, Pareto fronts, and three tests.

    They compare after the highest number of epochs that most trials of both had.
    """
    from archsearch.analysis.report import read_experiment
    from archsearch.analysis.report.comparing import compare as compared
    from archsearch.analysis.report.comparing import comparison_page
    from archsearch.experiment import find

    found = compared(read_experiment(find(a)), read_experiment(find(b)))
    if output is not None:
        deliver(comparison_page(found), output)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    from archsearch.analysis.report.comparing import figures_of

    rows = []
    for name in ("a", "b"):
        side = found[name]
        best = side["best"] or {}
        cells = (percent(best.get("value")), short(best.get("flops")), str(len(side["front"])))
        rows.append((name.upper(), side["experiment"], side["state"], str(side["trials"]), *cells))
    print(table(("", "experiment", "state", "trials", "best", "FLOPs", "on its front"), rows, left=(0, 1, 2)))
    if found["tests"] is None:
        print(f"\nthey do not compare: {found['why_not']}")
        return
    if not found["same_data"]:
        print("\nwarning: their images are not the same; no score of theirs compares")
    print(f"\nafter {found['epochs']} epochs: {found['verdict']}\n")
    print(table(("test", "statistic", "", "asks"), figures_of(found), left=(0, 3)))

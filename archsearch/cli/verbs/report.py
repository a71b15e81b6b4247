"""`archsearch report`: what a search found, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.reporting import write_report
from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import Experiment, Json
from archsearch.experiment import find


def report(
    experiment: Experiment,
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Left out: report.html in its folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Writes what a search found as one HTML page that opens anywhere, without a network: also while it runs.

    With --json the page's figures go to stdout as well.
    """

    folder = find(experiment)
    path, figures = write_report(folder, output)
    if as_json:
        print_json({**figures, "file": str(path)})
    else:
        tell(f"wrote {path}")

"""`archsearch report`: what a search found, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archsearch.api.reporting import write_report
from archsearch.api.showing.printing import print_json, tell
from archsearch.cli.options import AllowSource, Experiment, Json
from archsearch.experiment import find


def report(
    experiment: Experiment,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Output file. Default: report.html in the experiment's folder."
        ),
    ] = None,
    no_images: Annotated[
        bool,
        typer.Option("--no-images", help="Leave out the pictures of images that the network gets wrong (at most 24)."),
    ] = False,
    allow_source: AllowSource = None,
    as_json: Json = False,
) -> None:
    """Writes the results of a search as one HTML file that needs no network; also while the search runs.

    With --json, the figures are printed to stdout too.
    """

    from archsearch.sources.own import allow as allow_sources

    allow_sources(allow_source or ())
    folder = find(experiment)
    path, figures = write_report(folder, output, images=not no_images)
    if as_json:
        print_json({**figures, "file": str(path)})
    else:
        tell(f"wrote {path}")

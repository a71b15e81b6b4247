"""`archsearch compare`: two searches, or two spaces, beside one another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.api.showing.printing import deliver, print_json, short, table
from archsearch.cli.dispatch import DONE, INTERRUPTED, Failure
from archsearch.cli.options import AllowSource, Json
from archsearch.experiment.objective import Objective
from archsearch.experiment.suggested import command

if TYPE_CHECKING:
    from archsearch.analysis.report.comparing import Comparison


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Name or folder of an experiment, or a search-space file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another experiment or search-space file.")],
    *,
    trials: Annotated[
        int, typer.Option(min=5, max=1_000_000, help="For a space: number of networks drawn at random and trained.")
    ] = 50,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="For a space: epochs of each network. Default: a third of the space's full training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For a space: random seed of the draw.")] = 0,
    allow_source: AllowSource = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the comparison as an HTML file too.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Compares two searches by their distributions and Pareto fronts, and two spaces by tests of significance too.

    Searches are compared after the highest number of epochs that most trials of both reached, without a test, since
    their trials are not independent draws. From a search-space file, networks are drawn at random within its budget and
    trained alike, in a separate experiment: this compares the spaces whatever the sampler (RegNet's method). Ctrl-C
    saves and exits (code 3); the same command continues.
    """
    from archsearch.analysis.report.comparing import comparison_page
    from archsearch.api.comparing import SampleFailed
    from archsearch.api.comparing import compare as compared
    from archsearch.cli.driving import audience_of_a_command
    from archsearch.sources.own import allow as allow_sources

    allow_sources(allow_source or ())
    parts = [a, b, "--trials", str(trials), "--seed", str(seed)]
    parts += ["--epochs", str(epochs)] if epochs is not None else []
    parts += [part for name in allow_source or () for part in ("--allow-source", name)]
    parts += ["-o", str(output)] if output is not None else []
    try:
        with audience_of_a_command() as audience:
            go_on = command("compare", *parts)
            comparison = compared((a, b), audience, trials=trials, epochs=epochs, seed=seed, go_on=go_on)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SampleFailed as error:
        raise Failure(str(error)) from error
    if output is not None:
        deliver(comparison_page(comparison), output)
    if as_json:
        print_json(comparison)
    else:
        _show(comparison)
    return DONE


def _show(comparison: Comparison) -> None:
    from archsearch.analysis.report.charts import epochs
    from archsearch.analysis.report.comparing import figures_of, retrained_rows, why_not
    from archsearch.analysis.report.retrained import HEAD, NOTE

    rows, objective = [], Objective.of(comparison)
    for name, side in (("a", comparison["a"]), ("b", comparison["b"])):
        best = side["best"]
        figures = (None, None) if best is None else (best["value"], best["flops"])
        value = "-" if figures[0] is None else Objective.of(side).named(figures[0])
        cells = (value, short(figures[1]), str(len(side["front"])))
        rows.append((name.upper(), side["experiment"], side["state"], str(side["trials"]), *cells))
    print(table(("", "experiment", "state", "trials", "best", "FLOPs", "on its front"), rows, flush_left=(0, 1, 2)))
    if retrained := retrained_rows(comparison):
        shown = table(HEAD, retrained, flush_left=(0, 1, 6)).replace(" ± ", " +- ")
        print(f"\n{shown}\n\n{NOTE}")
    if comparison["tests"] is None:
        print(f"\n{why_not(comparison)}")
        return
    print(f"\nAfter {epochs(comparison['epochs'])}: {comparison['verdict']}\n")
    head = ("test", "statistic", "adjusted p, or 95 % interval", "what it asks")
    print(table(head, figures_of(comparison["tests"], objective), flush_left=(0, 3)))

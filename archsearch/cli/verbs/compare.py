"""`archsearch compare`: two searches, or two spaces, beside one another."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.dispatch import DONE, INTERRUPTED, Failure
from archsearch.cli.options import Json
from archsearch.cli.reporting import drawn_at_random
from archsearch.cli.showing.printing import deliver, percent, print_json, short, table, tell
from archsearch.experiment import ExperimentFolder, find
from archsearch.experiment.summary import summarise

if TYPE_CHECKING:
    from archsearch.analysis.report.comparing import Comparison
    from archsearch.space.space import SearchSpace

FILES = (".yaml", ".yml")


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An experiment's name, or its folder; or a search-space file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    *,
    trials: Annotated[
        int, typer.Option(min=5, max=1_000_000, help="Of a space: networks that are drawn at random and trained.")
    ] = 50,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Of a space: epochs of each; left out: a third of the space's full training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a space: of what is drawn.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="The comparison as an HTML page too.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Tells whether two searches, or two spaces, differ by more than chance: distributions, Pareto fronts, three tests.

    Searches compare after the highest number of epochs that most trials of both had. Of a search-space file networks
    are drawn at random within its budget and trained alike, in an experiment of their own: what the space is worth,
    whoever searches it (RegNet's method). Ctrl-C saves and leaves (exit code 3); the same command goes on.
    """
    from archsearch.analysis.report import read_experiment
    from archsearch.analysis.report.comparing import compare as compared
    from archsearch.analysis.report.comparing import comparison_page

    parts = ["archsearch", "compare", a, b, "--trials", str(trials), "--seed", str(seed)]
    parts += ["--epochs", str(epochs)] if epochs is not None else []
    parts += ["-o", str(output)] if output is not None else []
    sides = _sides((a, b), trials=trials, epochs=epochs, seed=seed, command=shlex.join(parts))
    if sides is None:
        return INTERRUPTED
    comparison = compared(*(read_experiment(side, drawn_at_random(side)) for side in sides))
    if output is not None:
        deliver(comparison_page(comparison), output)
    if as_json:
        print_json(comparison)
    else:
        _show(comparison)
    return DONE


def _sides(
    sides: tuple[str, str], *, trials: int, epochs: int | None, seed: int, command: str
) -> list[ExperimentFolder] | None:
    """Both sides' experiments, A's first; those of search-space files are drawn and trained. None after Ctrl-C.

    Raises InputError for either side before anything is trained."""

    paths = {side: Path(side) for side in sides}
    files = {side: path for side, path in paths.items() if path.suffix in FILES and not path.is_dir()}
    folders = {side: find(side) for side in sides if side not in files}
    if files:
        from archsearch.search.confirming.random_sample import sample_of, short_epochs
        from archsearch.space.loading import load_space

        epochs = epochs or short_epochs(*map(load_space, files.values()))
        samples = {side: sample_of(file, trials=trials, epochs=epochs, seed=seed) for side, file in files.items()}
        for side, sample in samples.items():
            folder = _trained(sample, command)
            if folder is None:
                return None
            folders[side] = folder
    return [folders[side] for side in sides]


def _trained(sample: SearchSpace, command: str) -> ExperimentFolder | None:
    """The experiment of the sample, which is trained where it has not finished yet. None after Ctrl-C."""
    from archsearch.cli.driving import drive_shown
    from archsearch.data.datasets import load_images
    from archsearch.search.confirming.random_sample import experiment_of
    from archsearch.search.session import Session

    images = load_images(sample.data, progress=tell)  # before there is a folder: it may not be there
    folder = experiment_of(sample)
    if summarise(folder)["state"] == "finished":
        tell(f"{folder.name} was drawn and trained before: {folder.path}")
        return folder
    tell(f"{sample.search.trials} networks of {sample.name}, {sample.training.epochs} epochs each, in {folder.path}")
    summary = drive_shown(sample, Session(folder=folder, images=images, test=False), go_on=command)
    if summary is not None and summary["state"] != "finished":
        raise Failure(f"{folder.name}: {summary.get('reason') or 'no trial finished'}")
    return None if summary is None else folder


def _show(comparison: Comparison) -> None:
    from archsearch.analysis.report.charts import epochs
    from archsearch.analysis.report.comparing import figures_of

    rows = []
    for name, side in (("a", comparison["a"]), ("b", comparison["b"])):
        best = side["best"]
        figures = (None, None) if best is None else (best["value"], best["flops"])
        cells = (percent(figures[0]), short(figures[1]), str(len(side["front"])))
        rows.append((name.upper(), side["experiment"], side["state"], str(side["trials"]), *cells))
    print(table(("", "experiment", "state", "trials", "best", "FLOPs", "on its front"), rows, flush_left=(0, 1, 2)))
    if comparison["tests"] is None:
        print(f"\nthey do not compare: {comparison['why_not']}")
        return
    if not comparison["same_data"]:
        print("\nwarning: their images are not the same; no score of theirs compares")
    print(f"\nafter {epochs(comparison['epochs'])}: {comparison['verdict']}\n")
    print(table(("test", "statistic", "", "asks"), figures_of(comparison["tests"]), flush_left=(0, 3)))

"""`archsearch compare`: two searches, or two spaces, beside one another."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.cli.dispatch import DONE, INTERRUPTED, Failure, app_of, command
from archsearch.cli.options import Json
from archsearch.cli.showing.printing import deliver, percent, print_json, short, table, tell

if TYPE_CHECKING:
    from archsearch.experiment import ExperimentFolder
    from archsearch.space import SearchSpace

app = app_of("compare")
FILES = (".yaml", ".yml")


@command(app)
def compare(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", show_default=False, help="An experiment's name, or its folder; or a search-space file."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", show_default=False, help="Another one.")],
    *,
    trials: Annotated[
        int, typer.Option(min=5, max=1_000_000, help="Of a space: networks that are drawn at random and trained.")
    ] = 50,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default=False,
            help="Of a space: epochs of each; left out: a third of the space's full training.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of a space: of what is drawn.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="The comparison as an HTML page too."),
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
    from archsearch.cli.reporting import drawn_at_random

    words = ["archsearch", "compare", a, b, "--trials", str(trials), "--seed", str(seed)]
    words += ["--epochs", str(epochs)] if epochs is not None else []
    words += ["-o", str(output)] if output is not None else []
    sides = _sides((a, b), trials=trials, epochs=epochs, seed=seed, again=shlex.join(words))
    if sides is None:
        return INTERRUPTED
    found = compared(*(read_experiment(side, drawn_at_random(side)) for side in sides))
    if output is not None:
        deliver(comparison_page(found), output)
    if as_json:
        print_json(found)
    else:
        _show(found)
    return DONE


def _sides(
    words: tuple[str, str], *, trials: int, epochs: int | None, seed: int, again: str
) -> list[ExperimentFolder] | None:
    """Both experiments; those of files drawn and trained first. None where somebody pressed Ctrl-C meanwhile.

    Whatever can be refused is, before anything is trained."""
    from archsearch.experiment import find

    files = {word: Path(word) for word in words if Path(word).suffix in FILES and not Path(word).is_dir()}
    found = {word: find(word) for word in words if word not in files}
    if files:
        from archsearch.search.confirming.random_sample import sample_of, short_epochs
        from archsearch.space import load_space

        epochs = epochs or short_epochs(*map(load_space, files.values()))
        samples = {word: sample_of(file, trials=trials, epochs=epochs, seed=seed) for word, file in files.items()}
        for word, sample in samples.items():
            folder = _drawn(sample, again)
            if folder is None:
                return None
            found[word] = folder
    return [found[word] for word in words]


def _drawn(sample: SearchSpace, again: str) -> ExperimentFolder | None:
    """The experiment that drew and trained them, now or earlier."""
    from archsearch.cli.driving import drive_shown
    from archsearch.data.datasets import load_images
    from archsearch.experiment.summary import summarise
    from archsearch.search.confirming.random_sample import experiment_of

    images = load_images(sample.data, progress=tell)  # before there is a folder: it may not be there
    folder = experiment_of(sample)
    if summarise(folder)["state"] == "finished":
        tell(f"{folder.name} was drawn and trained before: {folder.path}")
        return folder
    tell(f"{sample.search.trials} networks of {sample.name}, {sample.training.epochs} epochs each, in {folder.path}")
    summary = drive_shown(sample, folder, go_on=again, images=images, test=False)
    if summary is not None and summary["state"] != "finished":
        raise Failure(f"{folder.name}: {summary.get('reason') or 'no trial finished'}")
    return None if summary is None else folder


def _show(found: dict[str, Any]) -> None:
    from archsearch.analysis.report.comparing import after_epochs, figures_of

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
    print(f"\n{after_epochs(found['epochs'])}: {found['verdict']}\n")
    print(table(("test", "statistic", "", "asks"), figures_of(found), left=(0, 3)))

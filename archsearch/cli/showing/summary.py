"""What came of a search, as a person reads it: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from archsearch.cli.showing.printing import duration, percent, short
from archsearch.experiment import ExperimentFolder
from archsearch.experiment.records import spell


def show(summary: dict[str, Any]) -> None:
    """The search's figures and what to do next, on stdout."""
    lines, commands = _lines(summary), _next(summary)
    title = f"{summary['experiment']}: {summary['state']}"
    if sys.stdout.isatty():
        _panel(title, lines, commands)
        return
    print(title)
    for word, text in lines:
        print(f"  {word:<12}{text}")
    print("next:")
    for line in commands:
        print(f"  {line}")


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    trials, best = summary["trials"], summary["best"]
    words = ("finished", *(["paused"] if trials["paused"] else []), "stopped", "failed", "running")
    counts = ", ".join(f"{trials[word]} {word}" for word in words)
    lines = [
        ("trials", f"{trials['total']} of {trials['planned'] or '?'}: {counts}".replace("stopped", "stopped early")),
        *(("rung" if not number else "", _rung(rung)) for number, rung in enumerate(summary["rungs"])),
        *([("space", "used up: no further network within the budget")] if summary["used_up"] else []),
        ("time", duration(summary["seconds"])),
    ]
    if best is None:
        why = [("reason", summary["reason"])] if summary["reason"] else []
        return [("best", "no trial has finished"), *why, *lines]
    tested = best["test_accuracy"]
    accuracy = f"{percent(best['value'])} on validation"
    accuracy += f", {percent(tested)} on test (looked at once)" if tested is not None else ", not tested"
    return [
        ("best", f"trial {best['trial']}, digest {best['digest']}"),
        ("accuracy", accuracy),
        *([("training", spell(best["training"], digits=4))] if "training" in best else []),
        ("cost", f"{best['params']:,} parameters ({short(best['params'])}), {best['flops']:,} FLOPs "
                 f"({short(best['flops'])}), {best['macs']:,} MACs"),
        *((("pareto" if not number else ""), _member(row)) for number, row in enumerate(summary["pareto"] or ())),
        *lines,
        ("written to", str(ExperimentFolder(Path(summary["folder"])).best_yaml)),
    ]  # fmt: skip


def _member(row: dict[str, Any]) -> str:
    """One of the Pareto front's trials."""
    return (
        f"trial {row['trial']}: {percent(row['value'])} on validation, {short(row['params'])} parameters, "
        f"{short(row['flops'])} FLOPs"
    )


def _rung(rung: dict[str, Any]) -> str:
    """How many reached it and went on, and whether its order is that of the next rung."""
    place = f"{rung['epochs']} epoch{'s' if rung['epochs'] != 1 else ''}"
    place += f" (bracket {rung['bracket'] + 1})" if rung["bracket"] else ""
    text = f"{place}: {rung['trials']} trials, {rung['promoted']} promoted"
    if rung["correlation"] is None:
        return text
    text += f"; rank correlation with the next {rung['correlation']:.2f} (n = {rung['n']})"
    return text if rung["corrected"] is None else f"{text}, {rung['corrected']:.2f} corrected for the choice"


def _next(summary: dict[str, Any]) -> list[str]:
    """Commands that can be pasted."""
    import shlex

    folder = Path(summary["folder"])
    what = shlex.quote(ExperimentFolder(folder).argument)
    best = shlex.quote(str(ExperimentFolder(folder).best_yaml))
    commands = []
    if summary["state"] in ("interrupted", "failed"):
        commands.append(f"archsearch resume {what}")
    if summary["best"] is not None:
        commands += [
            f"archsearch train {best} --data {_data(folder, summary['best'].get('training', {}))}",
            f"archsearch profile {best}",
            f"archsearch export {what} -o bundle",
        ]
        if members := summary["pareto"]:
            member = members[min(1, len(members) - 1)]["trial"]  # the first is the best, which needs no --trial
            commands.append(f"archsearch export {what} --trial {member} --format safetensors -o {member}.safetensors")
        if summary["state"] == "finished":
            commands.append(f"archsearch confirm {what} --top 5 --seeds 3")
    return [*commands, f"archsearch status {what}", f"archsearch ui {what}"]


def _data(folder: Path, chosen: dict[str, Any]) -> str:
    """What `train` has to be told to train as the search did, from the space as resolved; of the words of the training
    that vary, as `chosen`."""
    import json
    import shlex

    from archsearch.reading import read, validate
    from archsearch.reading.errors import InputError
    from archsearch.space.settings import DataSettings, TrainingSettings
    from archsearch.space.trainings import GROUP, read_trainings

    try:
        found, _ = read_trainings(read(ExperimentFolder(folder).space_yaml))
        words = found.fixed.data
        data, base = validate(DataSettings, words["data"]), validate(TrainingSettings, words["training"])
        choices = {f"{GROUP}.{word}": value for word, value in chosen.items()}
        training = base.with_overrides(found.trainings(base).overrides(choices))
    except (InputError, KeyError, TypeError):
        return "NAME"
    said = [data.name, *(["--root", data.root] if data.name != "digits" else []), "--epochs", str(training.epochs)]
    others = {f"data.{word}": value for word, value in data.to_dict().items() if word not in ("name", "root")}
    others |= {f"training.{word}": value for word, value in training.to_dict().items() if word != "epochs"}
    said += [word for key, value in others.items() for word in ("--set", f"{key}={json.dumps(value).strip(chr(34))}")]
    return shlex.join(said)


def _panel(title: str, lines: list[tuple[str, str]], commands: list[str]) -> None:
    from rich.console import Console, Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    figures = Table.grid(padding=(0, 2))
    for word, text in lines:
        figures.add_row(Text(word, style="dim"), Text(text))
    follow = Text("\n".join(f"  {line}" for line in commands), style="cyan")
    body = Group(figures, Text("\nnext", style="dim"), follow)
    Console(highlight=False).print(Panel(body, title=Text(title, style="bold"), title_align="left", expand=False))

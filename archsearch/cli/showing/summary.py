"""A search's summary for a person: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from archsearch.api.showing.printing import print_json, short
from archsearch.experiment import Counts, ExperimentFolder
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.records import FEWEST_RANKED, spell
from archsearch.experiment.remarks import NONE_BEGAN
from archsearch.experiment.suggested import command, command_of, permissions
from archsearch.experiment.summary import learned, looked_at
from archsearch.reading.durations import spell_duration
from archsearch.reading.errors import InputError

LABEL = 11  # letters of a label
PLAIN = re.compile(r"(?!(true|false|null|yes|no|on|off)$)[a-z_][\w./-]*", re.I)  # a string that YAML reads as one
CHOSEN = {
    "search": "",
    "finish": ", trained longer after the search",
    "confirm": ", confirmed over seeds",
}  # who chose the winner


def show(summary: dict[str, Any], *, as_json: bool) -> None:
    """Prints the summary on stdout: as JSON, or the search's figures and commands for what to do next."""
    if as_json:
        print_json(summary)
        return
    lines, commands = _lines(summary), _next(summary)
    title = f"{summary['experiment']}: {summary['state']}"
    if sys.stdout.isatty():
        _panel(title, lines, commands)
        return
    print(title)
    for label, text in lines:
        print(f"  {label:<12}{text}")
    print("next:")
    for line in commands:
        print(f"  {line}")


def _lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    trials, best, leader, objective = summary["trials"], summary["best"], summary["best_so_far"], Objective.of(summary)
    lines = [
        ("trials", Counts.read(trials).text(trials["planned"])),
        *(("rung" if not number else "", _rung(rung)) for number, rung in enumerate(summary["rungs"])),
        *([("space", "exhausted: it has no other network within the budget")] if summary["used_up"] else []),
        ("time", spell_duration(summary["seconds"])),
        *([("experience", learned(summary["learned_from"]))] if summary["learned_from"] else []),
    ]
    if best is None:
        reason = [("reason", summary["reason"])] if summary["reason"] else []
        so_far = "no trial has a score" if leader is None else f"{_so_far(leader, objective)}; none has finished"
        return [("best", so_far), *reason, *lines]
    tested = best["test_value"]
    value = f"{objective.text(best['value'])} on validation"
    looks = looked_at(best["test_looks"])
    value += f", {objective.text(tested)} on test ({looks})" if tested is not None else ", not tested"
    seeds, folds = best["seeds"], best.get("folds")
    repeated = [f"{folds} folds on validation"] if folds else []
    repeated += [f"{seeds} seeds"] if seeds > 1 else []
    value += f"; means over {' and '.join(repeated)}" if repeated else ""
    return [
        *((("note" if not number else ""), sentence) for number, sentence in enumerate(summary["remarks"])),
        ("best", f"trial {best['trial']}{CHOSEN[best['of']]}, digest {best['digest']}"),
        (_label(objective), value if len(objective.label) <= LABEL else f"{objective.label} {value}"),
        *([("ahead", f"{_so_far(leader, objective)}; not finished")]
          if leader and leader["state"] != "finished" else []),
        *([("baselines", text)] if summary["floor"] and (text := _floor(summary["floor"], objective)) else []),
        *([("training", spell(best["training"], digits=4))] if "training" in best else []),
        ("cost", f"{best['params']:,} parameters ({short(best['params'])}), {best['flops']:,} FLOPs "
                 f"({short(best['flops'])}), {best['macs']:,} MACs"),
        *((("pareto" if not number else ""), _member(row, objective))
          for number, row in enumerate(summary["pareto"] or ())),
        *lines,
        ("written to", str(ExperimentFolder(Path(summary["folder"])).best_yaml)),
    ]  # fmt: skip


def _label(objective: Objective) -> str:
    """What stands before the winner's value: the metric where it is short enough for the column of labels."""
    return objective.label if len(objective.label) <= LABEL else "value"


def _so_far(leader: dict[str, Any], objective: Objective) -> str:
    """A trial that goes on, with the best score so far."""
    value = objective.named(leader["value"])
    return f"trial {leader['trial']} so far, {value} on validation after {_epochs(leader['epochs'])}"


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' if number != 1 else ''}"


def _floor(floor: dict[str, Any], objective: Objective) -> str:
    """What simple models reach on the same images, in a line; empty where none was measured by the search's metric."""
    names = {"random_forest": "random forest", "logistic_regression": "logistic regression",
             "commonest_class": "the commonest class"}  # fmt: skip
    if objective.name != ACCURACY:
        names |= {"logistic_regression": "linear model", "commonest_class": "the same answer for all"}
    models = []
    if floor.get("metric", ACCURACY) == objective.name:
        models = [f"{label} {objective.text(floor[name])}" for name, label in names.items() if floor[name] is not None]
    if reference := floor["reference"]:
        early = f" (stopped after {_epochs(reference['epochs'])})" if reference["stopped"] else ""
        models.insert(0, f"{reference['name']} {objective.named(reference[objective.name])}{early}")
    return ", ".join(models) + " on validation" if models else ""


def _member(row: dict[str, Any], objective: Objective) -> str:
    """A trial of the Pareto front, in a line."""
    return (
        f"trial {row['trial']}: {objective.named(row['value'])} on validation, {short(row['params'])} parameters, "
        f"{short(row['flops'])} FLOPs"
    )


def _rung(rung: dict[str, Any]) -> str:
    """How many trials reached the rung and went on, and the rank correlation with the next rung, in a line: the one
    that is corrected for the choice of those that went on, where there is one, and none of few trials."""
    level = _epochs(rung["epochs"])
    level += f" (bracket {rung['bracket'] + 1})" if rung["bracket"] else ""
    text = f"{level}: {rung['promoted']} of {rung['trials']} trials went on"
    agreement = rung["correlation"] if rung["corrected"] is None else rung["corrected"]
    if agreement is None or rung["n"] < FEWEST_RANKED:
        return text
    return f"{text}; their ranking agrees with that at the next rung: {agreement:.2f} (1: the same; {rung['n']} trials)"


def _next(summary: dict[str, Any]) -> list[str]:
    """Commands for what to do next, as they are typed."""
    folder = ExperimentFolder(Path(summary["folder"]))
    commands = []
    if summary["state"] in ("interrupted", "failed") and summary["reason"] != NONE_BEGAN:
        commands.append(command_of(folder, "resume"))
    if summary["best"] is not None:
        data = _data(folder, summary["best"])
        commands += filter(None, [(summary["pretrained"] or {}).get("command")])
        commands += [
            command("train", folder.best_yaml, "--data", *data, *permissions(folder, "train")),
            command("profile", folder.best_yaml),
            command_of(folder, "export", "-o", "bundle"),
        ]
        if members := summary["pareto"]:
            member = members[min(1, len(members) - 1)]["trial"]  # the first is the best, which needs no --trial
            weights = ("--format", "safetensors", "-o", f"{member}.safetensors")
            commands.append(command("export", folder.argument, "--trial", member, *weights))
        if summary["state"] == "finished" and summary["best"]["of"] != "confirm":
            commands.append(command_of(folder, "confirm", "--top", 5, "--seeds", 3))
    return [*commands, command_of(folder, "status"), command_of(folder, "ui")]


def _data(folder: ExperimentFolder, best: dict[str, Any]) -> list[str]:
    """The value of --data and the options with which `train` trains the best as the search did: by space.yaml, by what
    was chosen for training settings that vary, and from the weights with which it began. NAME where space.yaml cannot
    be read."""
    import json

    from archsearch.architecture.spec import Architecture
    from archsearch.reading.validation import validate
    from archsearch.reading.yaml import read
    from archsearch.shrinking.kept import start_of
    from archsearch.space.optimization_settings import PARENT
    from archsearch.space.settings import DataSettings, TrainingSettings
    from archsearch.space.trainings import GROUP, read_trainings

    try:
        trainings, _ = read_trainings(read(folder.space_yaml))
        document = trainings.fixed.data
        if isinstance(document["data"].get("size"), dict):  # searched: `train` takes that of the network
            document = {**document, "data": {key: value for key, value in document["data"].items() if key != "size"}}
        data, base = validate(DataSettings, document["data"]), validate(TrainingSettings, document["training"])
        choices = {f"{GROUP}.{name}": value for name, value in best.get("training", {}).items()}
        training = base.with_overrides(trainings.trainings(base).overrides(choices))
        if training.teacher == PARENT:
            training = training.with_overrides({"teacher": str(folder.path / "parents" / "0")})
        start = start_of(folder, Architecture.from_dict(best["architecture"]))
        if start is None:
            training = training.with_overrides({"freeze": "none"})
    except (InputError, KeyError, TypeError):
        return ["NAME"]
    root = ["--root", data.root] if data.name != "digits" else []
    arguments = [data.name, *root, "--epochs", str(training.epochs)]
    arguments += [] if start is None else ["--weights", str(start)]
    left_out = ["name", "root", "metrics"]  # metrics of a person's own would need --allow-source
    left_out += [] if "size" in document["data"] else ["size"]
    overrides = {f"data.{name}": value for name, value in data.to_dict().items() if name not in left_out}
    overrides |= {f"training.{name}": value for name, value in training.to_dict().items() if name != "epochs"}
    for key, value in overrides.items():
        plain = isinstance(value, str) and PLAIN.fullmatch(value)
        arguments += ["--set", f"{key}={value if plain else json.dumps(value)}"]
    return arguments


def _panel(title: str, lines: list[tuple[str, str]], commands: list[str]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    figures = Table.grid(padding=(0, 2))
    for label, text in lines:
        figures.add_row(Text(label, style="dim"), Text(text))
    console = Console(highlight=False)
    console.print(Panel(figures, title=Text(title, style="bold"), title_align="left", expand=False))
    console.print("next", style="dim")  # outside of the panel, whose lines would break them: they are copied
    for line in commands:
        console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)

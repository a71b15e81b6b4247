"""The report's figures, worked out from what was read of the experiment: the page draws them, `--json` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from archsearch.analysis.intervals import wilson
from archsearch.analysis.report.choices import columns
from archsearch.analysis.report.facts import facts
from archsearch.analysis.report.figures import (
    Baseline,
    BoundUse,
    Confirmation,
    Document,
    FailureGroup,
    Spent,
    TrialRow,
    Winner,
)
from archsearch.analysis.report.importance import importance
from archsearch.analysis.report.listed import mistakes_of, residuals_of
from archsearch.analysis.report.narrower import narrower
from archsearch.analysis.report.progress import distribution, progress
from archsearch.analysis.report.reading import Reading
from archsearch.architecture.cost import cost
from archsearch.experiment import Trial, TrialState
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.pareto import undominated
from archsearch.experiment.records import trial_id
from archsearch.experiment.remarks import NONE_BEGAN
from archsearch.experiment.suggested import command, command_of

TOP = 5  # networks that are drawn
TRAINED = ("baseline", "pretrained")  # kinds of networks that confirm trains beside those of the searches


def document(reading: Reading) -> Document:
    """All figures of the report, as plain JSON values."""
    scored = reading.scores.get(reading.common or 0, {})
    table = [c for c in columns([reading.by_number[number] for number in scored]) if c.varies]
    winner = _winner(reading)
    return {
        "experiment": reading.name,
        "folder": str(reading.folder.path),
        "state": reading.summary["state"],
        "reason": reading.summary["reason"],
        "trials": reading.summary["trials"],
        "winner": winner,
        "pretrained": reading.summary["pretrained"],
        "remarks": reading.summary["remarks"],
        "floor": reading.summary["floor"],
        "budget": _budget(reading, winner),
        "spent": _spent(reading),
        "picked": _picked(reading),
        "next": commands(reading),
        "mlflow": reading.context.page,
        "analyses": list(reading.context.analyses),
        "metric": reading.objective.to_dict(),
        "objectives": dict(reading.meta.get("objectives", {"accuracy": "max"})),
        "full": reading.full,
        "common": reading.common,
        "rows": [_row(reading, trial) for trial in reading.trials],
        "front": front(reading, "flops"),
        "pareto": reading.summary["pareto"],
        "baselines": _baselines(reading),
        "rungs": reading.summary["rungs"],
        "progress": progress(reading),
        "importance": importance(table, np.array(list(scored.values()), np.float64)),
        "distribution": distribution(reading),
        "top": [trial_id(number) for number in _top(reading)],
        "failures": _failures(reading),
        "confirmed": _confirmed(reading),
        "narrower": narrower(reading),
        "mistakes": mistakes_of(reading),
        "residuals": residuals_of(reading),
        "why_no_mistakes": reading.outputs if isinstance(reading.outputs, str) else "",
        "facts": facts(reading),
    }


def score(reading: Reading, trial: Trial) -> tuple[float, int] | None:
    """A trial's value and the epochs behind it: at its end, or at the highest rung that it paused at."""
    if trial.state is TrialState.FINISHED and trial.value is not None:
        return trial.value, trial.epochs
    levels = [level for level, scores in reading.scores.items() if trial.number in scores]
    return (reading.scores[levels[-1]][trial.number], levels[-1]) if levels else None


def front(reading: Reading, name: str) -> list[str]:
    """Finished trials that no other beats in the search's metric and this cost, the cheapest first."""
    key = reading.objective.key
    return cheapest_first(
        (t.id, t.cost[name], key(t.value or 0.0)) for t in reading.finished if t.cost.get(name) is not None
    )


def cheapest_first(points: Iterable[tuple[str, float, float]]) -> list[str]:
    """The Pareto front of (name, cost, score), where more of a score is better: the names from the cheapest up, of
    equal points the first alone."""
    ordered = sorted(points, key=lambda point: (point[1], -point[2]))
    stays = undominated(np.array([(score, -cost) for _, cost, score in ordered], np.float64).reshape(-1, 2))
    members = {point[1:]: point[0] for point, on_front in zip(ordered[::-1], stays[::-1], strict=True) if on_front}
    return list(members.values())[::-1]


def _row(reading: Reading, trial: Trial) -> TrialRow:
    value, epochs = score(reading, trial) or (None, None)
    return {
        "trial": trial.id,
        "state": trial.state.value,
        "value": value,
        "epochs": epochs,
        "trained": trial.epochs,
        "seconds": round(reading.seconds.get(trial.number, 0.0), 2),
        "cost": dict(trial.cost),
        "choices": dict(trial.choices),
        "curve": sorted(reading.curves.get(trial.number, {}).items()),
        "random": trial.number in reading.random,
        "attempts": trial.attempts,
        "digest": trial.digest,
        "seed": trial.seed,
        "training_curve": sorted(reading.training_curves.get(trial.number, {}).items()),
    }


def _top(reading: Reading) -> list[int]:
    """The numbers of the best trials that finished; where none has, of the best at the highest rung reached."""
    if reading.finished:
        return [trial.number for trial in reading.finished[:TOP]]
    key = reading.objective.key
    ranked = [(s[1], key(s[0]), -t.number) for t in reading.trials if (s := score(reading, t)) is not None]
    return [-number for _, _, number in sorted(ranked, reverse=True)[:TOP]]


# ---- the headline


def _winner(reading: Reading) -> Winner | None:
    """The winner: confirmation's where there is one, else the best finished trial. `low` and `high` are over seeds,
    where it was retrained; else of the validation images alone (Wilson 1927), which says nothing of other seeds."""
    confirmed, best = _confirmed(reading), reading.summary["best"]
    rows = confirmed["rows"] if confirmed is not None and best is not None and best["of"] == "confirm" else ()
    row = next((row for row in rows if row.get("winner")), None)
    if row is not None and (validation := row.get("validation")):
        trial = reading.by_number.get(row.get("trial") or 0)
        return {
            "trial": row["name"], "value": validation["mean"], "half": validation["half"],
            "low": validation["low"], "high": validation["high"],
            "of": seeds_of(validation, reading.objective),
            "test": row["test"], "confirmed": True, "digest": row["digest"],
            "cost": dict(trial.cost) if trial else {"params": row["params"], "flops": row["flops"],
                                                    "macs": row["macs"]},
            "training": row.get("training", {}),
        }  # fmt: skip
    if best is None:
        return None
    images = _validation_images(reading)
    share = reading.objective.name == ACCURACY and 0 <= best["value"] <= 1
    low, high = wilson(round(best["value"] * images), images) if images and share else (None, None)
    tested = best["test_value"]
    return {
        "trial": best["trial"], "value": best["value"], "half": None, "low": low, "high": high,
        "of": f"{images:,} validation images" if images else "", "confirmed": best["of"] == "confirm",
        "digest": best["digest"],
        "test": None if tested is None else {"mean": tested, "half": None, "n": 1},
        "cost": dict(reading.by_number[int(best["trial"][1:])].cost), "training": best.get("training", {}),
    }  # fmt: skip


def seeds_of(mean: Mapping[str, Any], objective: Objective) -> str:
    """How many seeds a mean is of; where it has no interval, their values too."""
    seeds = "1 seed" if mean["n"] == 1 else f"{mean['n']} seeds"
    if mean["half"] is not None or mean["n"] == 1 or not mean.get("values"):
        return seeds
    return f"{seeds}: {', '.join(map(objective.text, mean['values']))}"


def _validation_images(reading: Reading) -> int | None:
    """How many images a value was measured on; None where it is not known."""
    data = reading.resolved.get("data")
    validation = data.get("validation") if isinstance(data, Mapping) else None
    if not isinstance(validation, int | float) or isinstance(validation, bool):
        return None
    from archsearch.space import datasets

    if validation >= 1:
        return datasets.validation_images(validation, 0)
    images = None if reading.space is None else datasets.facts(reading.space.data).images
    return None if images is None else datasets.validation_images(validation, images)


def _budget(reading: Reading, winner: Winner | None) -> list[BoundUse]:
    """Each bound, and what the winner uses of it."""
    rows: list[BoundUse] = []
    for name, bound in reading.space.budget.bounds() if reading.space is not None else ():
        used = None if winner is None else winner["cost"].get(name)
        rows.append({"name": name, "low": bound.low, "high": bound.high, "used": used})
    return rows


def _spent(reading: Reading) -> Spent:
    return {
        "seconds": reading.summary["seconds"],
        "lane_hours": reading.lanes / 3600,
        "gpu_hours": reading.lanes / 3600 * reading.gpus if reading.gpus else None,
        "epochs": sum(trial.epochs for trial in reading.trials),
        "training_hours": sum(reading.seconds.values()) / 3600,
    }


def _picked(reading: Reading) -> str:
    """How the winner was picked, in sentences."""
    confirmed, best = _confirmed(reading), reading.summary["best"]
    trials = reading.summary["trials"]
    if best is None:
        return "No trial was trained to its end, so there is no winner."
    if best["of"] == "confirm" and confirmed is not None and confirmed["chosen"]:
        return str(confirmed["chosen"])
    tested, metric = best["test_value"] is not None, reading.objective.label
    longer = " It was trained anew for more epochs when the search had ended." if best["of"] == "finish" else ""
    text = (
        f"The best validation {metric} of {trials['finished']} trials that were trained to their end, out of "
        f"{trials['total']:,}. Each was trained once, so a part of its lead is chance. "
    )
    if not tested:
        text += f"Its test {metric} was not measured. "
    elif earlier := sum(note.kind == "tested" for note in reading.notes) - 1:
        times = "once" if earlier == 1 else f"{earlier} times"
        text += f"Test {metric} was measured once for it, and {times} for earlier winners. "
    else:
        text += f"Test {metric} was measured once, for it alone. "
    return text.strip() + longer + " `archsearch confirm` retrains the best with new seeds and measures that chance."


def _confirmed(reading: Reading) -> Confirmation | None:
    confirmed = reading.confirmed
    if confirmed is None or confirmed.get("state") not in ("chosen", "confirmed"):
        return None
    rows = [{k: v for k, v in row.items() if k not in ("architecture", "runs")} for row in confirmed["rows"]]
    return cast(Confirmation, {**{key: confirmed.get(key) for key in Confirmation.__annotations__}, "rows": rows})


def commands(reading: Reading) -> list[str]:
    """What to do next, to be pasted."""
    folder = reading.folder
    lines = []
    if reading.summary["state"] in ("interrupted", "failed") and reading.summary["reason"] != NONE_BEGAN:
        lines.append(command_of(folder, "resume"))
    if reading.summary["best"] is not None:
        lines += filter(None, [(reading.summary["pretrained"] or {}).get("command")])
        if reading.summary["best"]["of"] != "confirm" and reading.summary["state"] == "finished":
            lines.append(command_of(folder, "confirm", "--top", 5, "--seeds", 3))
        lines.append(command("profile", folder.best_yaml))
        lines.append(command_of(folder, "export", "-o", "bundle"))
    return [*lines, command_of(folder, "ui")]


# ---- the literature, and failures


def _baselines(reading: Reading) -> list[Baseline]:
    """The literature's networks: what confirmation trained here; published figures where the images are the same; else
    their costs alone."""
    confirmed = [row for row in (reading.confirmed or {}).get("rows", ()) if row.get("kind") in TRAINED]
    rows: list[Baseline] = [
        {"name": row["name"], "cost": {"flops": row["flops"], "params": row["params"]}, "kind": "trained",
         "value": row["validation"]["mean"]}
        for row in confirmed if row.get("validation")
    ]  # fmt: skip
    named = {row["name"] for row in rows}
    data = reading.resolved.get("data")
    if reading.objective.name == ACCURACY and isinstance(data, Mapping) and data.get("name") == "cifar10":
        return rows + [row for row in _published(reading) if row["name"] not in named]
    costs = [(name, dict(cost)) for name, cost in reading.context.baselines.items() if name not in named]
    return rows + [{"name": name, "cost": cost, "kind": "cost", "value": None} for name, cost in costs]


def _published(reading: Reading) -> list[Baseline]:
    """The zoo's CIFAR-10 networks with a published test error, of at most three times the costliest trial's FLOPs."""
    from archsearch import zoo

    most = 3 * max((trial.cost["flops"] for trial in reading.trials), default=0)
    rows: list[Baseline] = []
    for entry in zoo.entries():
        if entry.published_error_percent is None or entry.architecture.input != (3, 32, 32):
            continue
        if re.search(r"(164|1001|1202|1192|28_10)", entry.name):  # deep or wide: slow to count, and far above
            continue
        counted = cost(entry.architecture)
        if counted.flops <= most:
            value = 1 - entry.published_error_percent / 100
            costs = {"flops": counted.flops, "params": counted.params}
            rows.append({"name": entry.name, "cost": costs, "kind": "published", "value": value})
    return rows


def _failures(reading: Reading) -> list[FailureGroup]:
    """Failed trials by their reason, the commonest first."""
    groups: dict[str, list[Trial]] = {}
    for trial in reading.trials:
        if trial.state is TrialState.FAILED:
            pattern = re.sub(r"\d+(\.\d+)?", "N", (trial.reason or "no reason was recorded").splitlines()[0])
            groups.setdefault(pattern, []).append(trial)
    ranked = sorted(groups.values(), key=lambda group: -len(group))
    return [
        {"reason": (group[0].reason or "no reason was recorded").splitlines()[0], "count": len(group),
         "trials": [trial.id for trial in group[:20]], "epochs": sum(trial.epochs for trial in group)}
        for group in ranked
    ]  # fmt: skip

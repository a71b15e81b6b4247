"""Everything that the report says, as plain JSON: the page draws it, `--json` prints it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from archsearch.analysis.intervals import wilson
from archsearch.analysis.report.importance import importance
from archsearch.analysis.report.narrower import narrower
from archsearch.analysis.report.progress import distribution, progress
from archsearch.analysis.report.reading import Reading
from archsearch.analysis.report.words import columns
from archsearch.architecture.cost import cost
from archsearch.experiment import Trial, TrialState
from archsearch.experiment.folder import EXPERIMENTS
from archsearch.experiment.pareto import undominated
from archsearch.experiment.records import trial_id

TOP = 5  # networks that are drawn


def document(reading: Reading) -> dict[str, Any]:
    """The report's figures. Plain JSON values; times are Unix seconds, hours are workers' added up."""
    scored = reading.scores.get(reading.common or 0, {})
    table = [c for c in columns([reading.by_number[number] for number in scored]) if c.varies]
    return {
        "experiment": reading.name,
        "folder": str(reading.folder.path),
        "state": reading.summary["state"],
        "reason": reading.summary["reason"],
        "trials": reading.summary["trials"],
        "winner": _winner(reading),
        "budget": _budget(reading),
        "spent": _spent(reading),
        "picked": _picked(reading),
        "next": commands(reading),
        "mlflow": reading.beside.page,
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
        "facts": _facts(reading),
    }


def score(reading: Reading, trial: Trial) -> tuple[float, int] | None:
    """A trial's accuracy and the epochs behind it: at its end, or at the highest rung that it paused at."""
    if trial.state is TrialState.FINISHED and trial.value is not None:
        return trial.value, trial.epochs
    at = [(level, own[trial.number]) for level, own in reading.scores.items() if trial.number in own]
    return (at[-1][1], at[-1][0]) if at else None


def front(reading: Reading, name: str) -> list[str]:
    """Finished trials that no other beats in accuracy and this cost, the cheapest first."""
    return cheapest_first(
        (t.id, t.cost[name], t.value or 0.0) for t in reading.finished if t.cost.get(name) is not None
    )


def cheapest_first(points: Iterable[tuple[str, float, float]]) -> list[str]:
    """The Pareto front of (name, cost, accuracy): the names from the cheapest up, of equal points the first alone."""
    ordered = sorted(points, key=lambda point: (point[1], -point[2]))
    stays = undominated(np.array([(accuracy, -cost) for _, cost, accuracy in ordered], np.float64).reshape(-1, 2))
    members = {point[1:]: point[0] for point, on_front in zip(ordered[::-1], stays[::-1], strict=True) if on_front}
    return list(members.values())[::-1]


def _row(reading: Reading, trial: Trial) -> dict[str, Any]:
    found = score(reading, trial)
    return {
        "trial": trial.id,
        "state": trial.state.value,
        "value": None if found is None else found[0],
        "epochs": None if found is None else found[1],
        "trained": trial.epochs,
        "seconds": round(reading.seconds.get(trial.number, 0.0), 2),
        "cost": dict(trial.cost),
        "choices": dict(trial.choices),
        "curve": sorted(reading.curves.get(trial.number, {}).items()),
        "random": trial.number in reading.random,
        "attempts": trial.attempts,
        "digest": trial.digest,
        "seed": trial.seed,
    }


def _top(reading: Reading) -> list[int]:
    """The best that finished, else the best at a rung, the highest first."""
    if reading.finished:
        return [trial.number for trial in reading.finished[:TOP]]
    found = [(s[1], s[0], -t.number) for t in reading.trials if (s := score(reading, t)) is not None]
    return [-number for _, _, number in sorted(found, reverse=True)[:TOP]]


# ---- the headline


def _winner(reading: Reading) -> dict[str, Any] | None:
    """The winner: confirmation's where there is one, else the best finished trial. `low` and `high` are over seeds,
    where it was retrained; else of the validation images alone (Wilson 1927), which says nothing of other seeds."""
    confirmed = _confirmed(reading)
    row = next((row for row in (confirmed or {}).get("rows", ()) if row.get("winner")), None)
    if row is not None and row.get("validation"):
        trial = reading.by_number.get(row.get("trial") or 0)
        validation = row["validation"]
        return {
            "trial": row["name"], "value": validation["mean"], "half": validation["half"],
            "low": validation["low"], "high": validation["high"], "of": f"{validation['n']} seeds",
            "test": row["test"], "confirmed": True, "digest": row["digest"],
            "cost": dict(trial.cost) if trial else {k: row[k] for k in ("params", "flops", "macs") if k in row},
            "training": row.get("training", {}),
        }  # fmt: skip
    best = reading.summary["best"]
    if best is None:
        return None
    images = _validation_images(reading)
    low, high = wilson(round(best["value"] * images), images) if images and 0 <= best["value"] <= 1 else (None, None)
    tested = best["test_accuracy"]
    return {
        "trial": best["trial"], "value": best["value"], "half": None, "low": low, "high": high,
        "of": f"{images:,} validation images" if images else "", "confirmed": False, "digest": best["digest"],
        "test": None if tested is None else {"mean": tested, "half": None, "n": 1},
        "cost": dict(reading.by_number[int(best["trial"][1:])].cost), "training": best.get("training", {}),
    }  # fmt: skip


def _validation_images(reading: Reading) -> int | None:
    """How many images an accuracy is a share of; None where it is not known."""
    data = reading.resolved.get("data")
    wanted = data.get("validation") if isinstance(data, Mapping) else None
    if not isinstance(wanted, int | float) or isinstance(wanted, bool):
        return None
    from archsearch.space.datasets import facts, validation_images

    if wanted >= 1:
        return validation_images(wanted, 0)
    images = None if reading.space is None else facts(reading.space.data).images
    return None if images is None else validation_images(wanted, images)


def _budget(reading: Reading) -> list[dict[str, Any]]:
    """Each bound, and what the winner uses of it."""
    winner = _winner(reading)
    found = []
    for name, bound in reading.space.budget.bounds() if reading.space is not None else ():
        used = (winner or {"cost": {}})["cost"].get(name)
        found.append({"name": name, "low": bound.low, "high": bound.high, "used": used})
    return found


def _spent(reading: Reading) -> dict[str, Any]:
    return {
        "seconds": reading.summary["seconds"],
        "lane_hours": reading.lanes / 3600,
        "gpu_hours": reading.lanes / 3600 * reading.gpus if reading.gpus else None,
        "epochs": sum(trial.epochs for trial in reading.trials),
        "training_hours": sum(reading.seconds.values()) / 3600,
    }


def _picked(reading: Reading) -> str:
    """How the winner was picked, in sentences."""
    confirmed = _confirmed(reading)
    if confirmed is not None and confirmed.get("chosen"):
        return str(confirmed["chosen"])
    trials = reading.summary["trials"]
    if reading.summary["best"] is None:
        return "No trial was trained to its end, so there is no winner."
    tested = reading.summary["best"]["test_accuracy"] is not None
    said = (
        f"The best of {trials['finished']} trials that were trained to their end, by validation accuracy, out of "
        f"{trials['total']:,}; one training each, so a part of its lead is luck. "
    )
    said += "The test split was looked at once, for it alone. " if tested else "The test split was not looked at. "
    return said + "`archsearch confirm` retrains the best over new seeds and measures that luck."


def _confirmed(reading: Reading) -> dict[str, Any] | None:
    found = reading.confirmed
    if found is None or found.get("state") not in ("chosen", "confirmed"):
        return None
    kept = ("state", "winner", "chosen", "differences", "confidence", "notes", "random", "search", "seeds")
    rows = [{k: v for k, v in row.items() if k not in ("architecture", "runs")} for row in found["rows"]]
    return {**{k: found.get(k) for k in kept}, "rows": rows}


def commands(reading: Reading) -> list[str]:
    """What to do next, to be pasted."""
    folder = reading.folder
    what = shlex.quote(folder.name if folder.path.parent == EXPERIMENTS else str(folder.path))
    done = []
    if reading.summary["state"] in ("interrupted", "failed"):
        done.append(f"archsearch resume {what}")
    if reading.summary["best"] is not None:
        if reading.confirmed is None and reading.summary["state"] == "finished":
            done.append(f"archsearch confirm {what} --top 5 --seeds 3")
        done.append(f"archsearch profile {shlex.quote(str(folder.best_yaml))}")
        done.append(f"archsearch export {what} -o bundle")
    return [*done, f"archsearch ui {what}"]


# ---- beside and behind


def _baselines(reading: Reading) -> list[dict[str, Any]]:
    """The literature's networks: what confirmation trained here; published figures where the images are the same; else
    their costs alone."""
    confirmed = [row for row in (reading.confirmed or {}).get("rows", ()) if row.get("kind") == "baseline"]
    found = [
        {"name": row["name"], "cost": {"flops": row["flops"], "params": row["params"]}, "kind": "trained",
         "value": row["validation"]["mean"]}
        for row in confirmed if row.get("validation")
    ]  # fmt: skip
    named = {row["name"] for row in found}
    data = reading.resolved.get("data")
    if isinstance(data, Mapping) and data.get("name") == "cifar10":
        found += [row for row in _published(reading) if row["name"] not in named]
        return found
    costs = [(name, dict(own)) for name, own in reading.beside.baselines.items() if name not in named]
    return found + [{"name": name, "cost": own, "kind": "cost", "value": None} for name, own in costs]


def _published(reading: Reading) -> list[dict[str, Any]]:
    """The zoo's CIFAR-10 networks with a published test error, of at most three times the costliest trial's FLOPs."""
    from archsearch import zoo

    most = 3 * max((trial.cost["flops"] for trial in reading.trials), default=0)
    found = []
    for entry in zoo.entries():
        if entry.published_error_percent is None or entry.architecture.input != (3, 32, 32):
            continue
        if re.search(r"(164|1001|1202|1192|28_10)", entry.name):  # deep or wide: dear to count, and far beyond
            continue
        counted = cost(entry.architecture)
        if counted.flops <= most:
            value = 1 - entry.published_error_percent / 100
            costs = {"flops": counted.flops, "params": counted.params}
            found.append({"name": entry.name, "cost": costs, "kind": "published", "value": value})
    return found


def _failures(reading: Reading) -> list[dict[str, Any]]:
    """Failed trials by their reason, the commonest first."""
    groups: dict[str, list[Trial]] = {}
    for trial in reading.trials:
        if trial.state is TrialState.FAILED:
            alike = re.sub(r"\d+(\.\d+)?", "N", (trial.reason or "no reason was kept").splitlines()[0])
            groups.setdefault(alike, []).append(trial)
    ranked = sorted(groups.values(), key=lambda own: -len(own))
    return [
        {"reason": (own[0].reason or "no reason was kept").splitlines()[0], "count": len(own),
         "trials": [trial.id for trial in own[:20]], "epochs": sum(trial.epochs for trial in own)}
        for own in ranked
    ]  # fmt: skip


def _facts(reading: Reading) -> list[dict[str, str]]:
    """What it takes to do it again: versions, seeds, hashes, the machine."""
    began = [event.data for event in reading.notes if event.kind == "began"]
    last = began[-1] if began else {}
    said: dict[str, Any] = {
        "archsearch": reading.meta.get("archsearch"),
        "python": last.get("python"),
        **(last.get("versions") or {}),
        "experiment's id": reading.meta.get("id"),
        "search seed": reading.meta.get("seed"),
        "sampler": _sampler(reading),
        "images' digest": last.get("data"),
        "sessions": len(began) or None,
        "machine": _machine(last.get("machine")),
        "precision": next((str(e.data.get("text", e.data.get("precision"))) for e in reversed(reading.notes)
                           if e.kind == "precision"), None),
        "resources a trial": _said(reading.resolved.get("resources")),
        "confirmed on": _machine((reading.confirmed or {}).get("machine")),
    }  # fmt: skip
    return [{"what": name, "value": str(value)} for name, value in said.items() if value not in (None, "")]


def _sampler(reading: Reading) -> str | None:
    search = reading.resolved.get("search")
    return _said(search.get("sampler")) if isinstance(search, Mapping) else None


def _machine(found: Any) -> str | None:
    if not isinstance(found, Mapping):
        return None
    parts = [str(found[key]) for key in ("system", "processor", "gpus") if found.get(key)]
    return ", ".join([*parts, *([f"{found['cores']} cores"] if found.get("cores") else [])])


def _said(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {own}" for key, own in value.items() if own is not None)
    return None if value is None else str(value)

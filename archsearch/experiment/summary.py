"""A search in the JSON fields that scripts read (`run`, `status`, `resume`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from archsearch.experiment.confirmed import export_of_pretrained
from archsearch.experiment.folder import ExperimentFolder
from archsearch.experiment.ledger import Ledger
from archsearch.experiment.objective import ACCURACY
from archsearch.experiment.records import Score, TrialState, leader_of
from archsearch.experiment.remarks import FLOOR, remarks
from archsearch.experiment.winner import CONFIRMED, FINISH_TESTED, Winner, reference_of, winner_of

EXPERIENCE = "experience"  # the note of what a search has learned from others before it began
COUNTED = ("finished", "stopped", "failed", "running", "paused", "waiting", "total")


def summarise(folder: ExperimentFolder) -> dict[str, Any]:
    """The state of a search, in plain JSON values. Raises InputError where there is no ledger.

    `learned_from` holds the earlier experiments that taught which networks to try first, each with its `name` and how
    many `trials` (none: only what comes with archsearch did), null for a search without experience. `floor` holds what
    simple models reach on the validation images (null where it was not measured), `reference` among them a plain
    residual network of the same budget (null where none was trained at the search's end), `remarks` are sentences on a
    best that is not above it, or was not trained well. `reason` says why a search has failed. `seconds` counts the
    drivers' sessions. `metric` is what the search optimises on the validation images: its `name`, `sense` (max or min),
    and whether it is a share from 0 to 1 (`percent`); every `value` is of it. `best_so_far` is the trial of the best
    value of those that have finished or still go on, after so many `epochs`, null before the first score; `best` is the
    winner, null until a trial has finished: `of` says who chose it (search, finish or confirm), its values are means
    over so many `seeds`, `test_value` is null until it was tested (`test_accuracy` is the same where the metric is
    accuracy, else null), `test_looks` is how often the test split was looked at, for this winner or one before it, and
    `training` is there only where settings of the training vary; `rungs` are those that a trial has reached (see
    `Rung`); `pretrained` is a confirmation's verdict on fine-tuned pretrained networks (null where none was asked for):
    whether the `best` of them is `better` than the winner, the `sentence` that says so, the first of the remarks, and
    the `command` that exports it; `used_up`: the space held no further network within the budget; `pareto` is null with
    one objective, else the finished trials that no other beats in every objective, that of the best value first.
    """
    with Ledger.read(folder.ledger) as ledger:
        counts, best, pretrained = ledger.counts(), winner_of(folder, ledger), _pretrained(folder, ledger)
        leader = leader_of(ledger.scores(), ledger.objective)
        killed = ledger.state == "running" and not folder.is_driven()
        return {
            "experiment": ledger.meta.get("name", folder.name),
            "folder": str(folder.path),
            "state": "interrupted" if killed else ledger.state,
            "trials": {**{field: getattr(counts, field) for field in COUNTED}, "planned": _planned(ledger)},
            "rejected_before_start": counts.rejected,
            "learned_from": _learned_from(ledger),
            "reason": _reason(ledger),
            "used_up": bool(ledger.events_of("exhausted")),
            "metric": ledger.objective.to_dict(),
            "best_so_far": None if leader is None else _so_far(leader),
            "best": None if best is None else _best(best, len(ledger.events_of("tested", FINISH_TESTED, CONFIRMED))),
            "floor": (floor := _floor(ledger)),
            "pretrained": pretrained,
            "remarks": [] if best is None else [*_compared(pretrained), *_remarks(best, ledger, floor)],
            "pareto": _pareto(ledger),
            "rungs": [asdict(rung) for rung in ledger.rungs()],
            "seconds": round(ledger.driven_seconds(), 1),
        }


def looked_at(looks: int) -> str:
    """How often a search looked at the test split, for a person: `measured once`."""
    return "measured once" if looks == 1 else f"measured {looks} times, for one winner after another"


def learned(sources: Sequence[Mapping[str, Any]]) -> str:
    """What a search's experience is from, for a person."""
    if not sources:
        return "no earlier experiments: the first trials follow archsearch's own benchmarks"
    plural = "1 earlier experiment" if len(sources) == 1 else f"{len(sources)} earlier experiments"
    return f"learned from {plural}: {', '.join(str(source['name']) for source in sources)}"


def _learned_from(ledger: Ledger) -> list[dict[str, Any]] | None:
    notes = ledger.events_of(EXPERIENCE)
    return [{"name": s["name"], "trials": s["trials"]} for s in notes[-1].data["sources"]] if notes else None


def _planned(ledger: Ledger) -> int | None:
    """How many trials the search is to have: as it began, or as its file said when it went on by force."""
    changes = ledger.events_of("space_changed")
    return changes[-1].data["trials"] if changes else ledger.meta.get("trials")


def _reason(ledger: Ledger) -> str | None:
    """Why the last session failed; None where it did not."""
    last = ledger.last_session()
    return last.data.get("reason") if last is not None and last.kind == "ended" else None


def _best(best: Winner, looks: int) -> dict[str, Any]:
    trial = best.trial
    return {
        "trial": trial.id,
        "of": best.of,
        "seeds": best.seeds,
        **({"folds": best.folds} if best.folds else {}),
        "value": best.value,
        "test_value": best.test,
        "test_accuracy": best.test if best.objective.name == ACCURACY else None,
        "test_looks": looks,
        "digest": trial.digest,
        **trial.cost,
        **({"training": trial.training} if trial.training else {}),
        "architecture": dict(trial.architecture),
    }


def _so_far(leader: Score) -> dict[str, Any]:
    trial = leader.trial
    return {"trial": trial.id, "value": leader.value, "epochs": leader.epochs, "state": trial.state.value, **trial.cost}


def _floor(ledger: Ledger) -> dict[str, Any] | None:
    measured = ledger.events_of(FLOOR)
    return {**measured[-1].data, "reference": reference_of(ledger)} if measured else None


def _remarks(best: Winner, ledger: Ledger, floor: dict[str, Any] | None) -> list[str]:
    rungs = sorted({rung.epochs for rung in ledger.rungs()})
    epochs = ledger.epochs(best.trial.number)
    return remarks(best.trial, epochs, floor, rungs, value=best.value, objective=ledger.objective)


def _pretrained(folder: ExperimentFolder, ledger: Ledger) -> dict[str, Any] | None:
    verdicts = ledger.events_of(CONFIRMED)
    verdict = verdicts[-1].data.get("pretrained") if verdicts else None
    return None if verdict is None else {**verdict, "command": export_of_pretrained(folder, verdict)}


def _compared(pretrained: Mapping[str, Any] | None) -> list[str]:
    if pretrained is None:
        return []
    command = pretrained["command"]
    return [pretrained["sentence"] + (f" Export it: `{command}`" if command else "")]


def _pareto(ledger: Ledger) -> list[dict[str, Any]] | None:
    objective, names = ledger.objective, list(ledger.meta.get("objectives", ()))
    if len(names) < 2:
        return None
    from archsearch.experiment.pareto import front, objective_scores  # NumPy: of no use to most searches' status

    scored = [trial for trial in ledger.trials(TrialState.FINISHED) if trial.value is not None]
    names.sort(key=lambda name: name != objective.name)  # the metric first
    members = sorted(front(scored, names, objective), key=lambda t: objective_scores(t, names, objective), reverse=True)
    return [{"trial": t.id, "value": t.value, "digest": t.digest, **t.cost} for t in members]

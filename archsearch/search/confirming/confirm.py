"""`archsearch confirm`: the search's best retrained in full over new seeds, beside random search's best at equal
cost and the literature; the winner chosen on validation; the test split looked at afterwards, once.

Everything lies in EXPERIMENT/confirm and is gone on with where it was interrupted: runs/DIGEST-sSEED is a training,
random/ an experiment of its own.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from archsearch.analysis.intervals import CONFIDENCE
from archsearch.data.recorded import refuse_other_images
from archsearch.experiment import ConfirmationFolder, ExperimentFolder, Ledger, TrialState
from archsearch.experiment.predictions import keep_of_run
from archsearch.experiment.records import spell
from archsearch.experiment.suggested import command_of
from archsearch.experiment.summary import EXPERIENCE
from archsearch.experiment.winner import CONFIRMED, hand_over
from archsearch.guests.either import change
from archsearch.reading.errors import refuse
from archsearch.search.confirming import foretold
from archsearch.search.confirming.contenders import Contender, baselines, spent, top_of, trained_as
from archsearch.search.confirming.random_search import RandomSearchObserver, looks_at_test, random_best, random_document
from archsearch.search.confirming.retraining import Retraining, RetrainingObserver
from archsearch.search.confirming.runs import folds_of, new_seeds, runs_of
from archsearch.search.confirming.slots import Slots, slots_of
from archsearch.search.confirming.verdict import (
    Row,
    choose,
    compared,
    differences,
    enter,
    failures,
    how_chosen,
    power,
    precision,
    ranked,
    row_document,
)
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.space import SearchSpace
from archsearch.version import __version__

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet


class NothingTrained(RuntimeError):
    """No trial of the search could be retrained."""


class ConfirmationObserver(RetrainingObserver, RandomSearchObserver, Protocol):
    """Whoever shows a confirmation to a person."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is confirmed and compared: the `top` trials over `seeds` new seeds, chosen from by `folds` folds (None: by
    the validation split), random search where `random` says so, and `named` baselines, already of the experiment's
    image (None: those of the zoo that fit). `processes` train at once (None: as many as the resources hold). `root`
    is where the data lies now (None: where space.yaml says)."""

    folder: ExperimentFolder
    top: int
    seeds: int
    named: Sequence[Contender] | None = None
    random: bool = True
    tracking_uri: str | None = None
    processes: int | None = None
    compiled: bool = False
    root: Path | None = None
    folds: int | None = None

    @property
    def files(self) -> ConfirmationFolder:
        """The folder that all of it is written to."""
        return self.folder.confirmation


def refuse_unfinished(folder: ExperimentFolder) -> None:
    """Raises InputError for a search that has nothing to confirm."""
    with Ledger.read(folder.ledger) as ledger:
        if ledger.best() is None:
            raise refuse(
                f"no trial of {ledger.meta.get('name', folder.name)} has finished",
                allowed="an experiment with at least one finished trial",
                hint=f"`{command_of(folder, 'resume')}` continues it",
                file="EXPERIMENT",
            )


def confirm(plan: Plan, images: ImageSet, observer: ConfirmationObserver) -> dict[str, Any]:
    """Confirms the experiment, or goes on with that; returns what confirm.json holds.

    Raises DriverRunning where a driver holds the experiment or its random search, InputError, NothingTrained,
    WorkerDied, and KeyboardInterrupt once what ran is saved.
    """
    refuse_unfinished(plan.folder)
    with plan.folder.driver_lock():
        plan.files.path.mkdir(mode=0o700, exist_ok=True)
        space = load_space(plan.folder.space_yaml, root_overrides(plan.root))
        with Ledger.open(plan.folder.ledger) as ledger:
            hint = "put the images back, or give their folder: --root DIR"
            if note := refuse_other_images(ledger, images, hint=hint, file=space.data.root):
                observer.phase(f"note: {note}")
            work = _Confirmation(plan=plan, space=space, ledger=ledger, images=images, observer=observer)
            return work.run()


@dataclass(kw_only=True)
class _Confirmation:
    plan: Plan
    space: SearchSpace
    ledger: Ledger
    images: ImageSet
    observer: ConfirmationObserver

    def run(self) -> dict[str, Any]:
        objective = self.ledger.objective
        rows = [Row(contender=contender, objective=objective) for contender in self._contenders()]
        seeds = new_seeds(self.ledger, self.plan.seeds)
        with Retraining(self.images, self.space.training, self._slots(), self.observer, objective) as retraining:
            winner, trained = None, rows
            if self.plan.folds is not None:
                drawn = folds_of(self.plan.folds, self.space.data.split_seed)
                crossed = runs_of([row.contender for row in rows], seeds, self.plan.files, drawn)
                enter(rows, retraining.train(crossed))
                winner = _chosen(rows)
                trained = [row for row in rows if compared(row, winner, rows)]
            runs = runs_of([row.contender for row in trained], seeds, self.plan.files)
            enter(rows, retraining.train(runs))
            winner = winner or _chosen(rows)
            if not winner.results:
                raise NothingTrained("the winner could not be retrained: " + "; ".join(failures(rows)))
            # On disk before the test split is looked at: nobody, not even a later session, chooses by it.
            self._write(document := self._document(rows, winner, seeds, state="chosen"))
            self.observer.phase(f"measuring test {objective.label}")
            for row in rows:
                row.seen = compared(row, winner, rows)
            tested = {(row.contender.key, seed) for row in rows if row.seen for seed in row.results}
            enter(rows, retraining.test([run for run in runs if (run.contender.key, run.seed) in tested]))
        document = self._document(rows, winner, seeds, state="confirmed")
        self._keep(winner, document)
        return document

    def _contenders(self) -> list[Contender]:
        plan, contenders = self.plan, top_of(self.ledger, self.space, self.plan.top)
        first = contenders[0]
        named = plan.named
        if named is None:
            named = baselines(self.space.at(first.architecture.input), first.cost["flops"])
        networks = {"trials of the search": len(contenders), "of random search": int(plan.random),
                    "to compare with": len(named)}  # fmt: skip
        self.observer.phase(
            foretold.plan(
                self.ledger,
                networks,
                seeds=plan.seeds,
                folds=plan.folds,
                epochs=self.space.training.epochs,
                random_epochs=spent(self.ledger.trials()) if plan.random else 0,
                at_once=self._slots().count,
            )
        )
        if plan.random:
            best = random_best(
                plan.folder, self.ledger, self.images, self.observer, tracking_uri=plan.tracking_uri, root=plan.root
            )
            contenders += [best] if best is not None else []
        return [*contenders, *(trained_as(network, contenders[0], self.space) for network in named)]

    def _slots(self) -> Slots:
        plan, machine = self.plan, slots_of(self.space, self.ledger)
        return replace(machine, compiled=plan.compiled, count=plan.processes or machine.count)

    def _document(self, rows: Sequence[Row], winner: Row, seeds: Sequence[int], *, state: str) -> dict[str, Any]:
        trials = self.ledger.trials()
        order, looks = ranked(rows), 1 + _earlier_looks(self.ledger, len(seeds), self.plan.folds)
        leads = differences(rows, winner, looks=looks)
        detects = power(leads, rows, looks=looks)
        return {
            "experiment": self.ledger.meta.get("name", self.plan.folder.name),
            "folder": str(self.plan.files.path),
            "state": state,
            "metric": self.ledger.objective.to_dict(),
            "winner": winner.contender.name,
            "weights_of_seed": winner.best_seed,
            "chosen": how_chosen(rows, len(trials), seeds, winner, self.plan.folds),
            "rows": [row_document(row, rank, winner=row is winner) for rank, row in enumerate(order, 1)],
            "chosen_among": sum(row.contender.kind == "trial" for row in rows),
            "differences": [lead.to_dict() for lead in leads],
            "power": detects,
            "confidence": CONFIDENCE,
            "top": self.plan.top,
            "seeds": list(seeds),
            "folds": self.plan.folds,
            "notes": [*precision(detects, len(seeds), self.plan.folds, winner.objective),
                      *_notes(self, rows, order, winner)],
            "search": {
                "trials": len(trials),
                "finished": sum(trial.state is TrialState.FINISHED for trial in trials),
                "epochs": spent(trials),
                "sampler": self.space.search.model_dump(mode="json")["sampler"],
                "seed": self.space.search.seed,
                "looked_at_test": looks_at_test(self.ledger),
            },
            "random": random_document(self.plan.folder) if self.plan.random else None,
            "budget": self.space.budget.to_data(),
            "data": {**self.space.data.model_dump(mode="json"), "digest": self.images.digest},
            "training": self.space.trainings.to_data(),
            "versions": {"archsearch": __version__, "python": platform.python_version(),
                         **{name: version(name) for name in ("torch", "numpy")}},
            "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        }  # fmt: skip

    def _write(self, document: Mapping[str, Any]) -> None:
        self.plan.folder.write(self.plan.files.document, json.dumps(document, indent=1))

    def _keep(self, winner: Row, document: Mapping[str, Any]) -> None:
        """Writes the winner's files and the document, then notes the winner in the ledger: last, so that the ledger is
        never ahead of the files."""
        validation, test = winner.interval("validation"), winner.interval("test")
        assert validation is not None
        name = f"{document['experiment']}-{winner.contender.name}"
        network = winner.contender.architecture.model_copy(update={"name": name})
        result = winner.results[winner.best_seed]
        head = f"# {document['chosen']}\n# weights.safetensors is of seed {winner.best_seed}.\n"
        head += f"# Trained with {spell(winner.contender.training)}.\n" if winner.contender.training else ""
        run = self.plan.files.run(winner.contender.key, winner.best_seed)
        weights = self.plan.folder.read_weights(run.weights, result["weights"]["sha256"])
        self.plan.folder.write(self.plan.files.weights, weights)
        self.plan.folder.write(self.plan.files.best_yaml, described := head + network.to_yaml())
        self._write(document)
        keep_of_run(self.plan.folder, self.ledger, run, result, self.plan.files.weights, winner.contender.trial)
        hand_over(self.plan.folder, described)
        note = {
            "winner": winner.contender.name,
            "digest": winner.contender.digest,
            "weights": result["weights"]["sha256"],
            "top": self.plan.top,
            "seeds": len(document["seeds"]),
            **({} if document["folds"] is None else {"folds": document["folds"]}),
            winner.objective.validation: validation.mean,
            "validation_half_width": validation.half,
            winner.objective.test: None if test is None else test.mean,
            "test_half_width": None if test is None else test.half,
            "differences": document["differences"],
            "file": "confirm/confirm.json",
        }
        before = [event.data for event in self.ledger.events() if event.kind == CONFIRMED]
        if not before or dict(before[-1]) != json.loads(json.dumps(note)):
            self.ledger.note(CONFIRMED, note, trial=winner.contender.trial)


def _chosen(rows: Sequence[Row]) -> Row:
    winner = choose(rows)
    if winner is None:
        raise NothingTrained("no trial could be retrained: " + "; ".join(failures(rows)))
    return winner


def _earlier_looks(ledger: Ledger, seeds: int, folds: int | None) -> int:
    """How many other numbers of seeds and folds the search was confirmed with before: each was a chance to see a
    difference."""
    before = {(event.data.get("seeds"), event.data.get("folds")) for event in ledger.events_of(CONFIRMED)}
    return len(before - {(seeds, folds)})


def _notes(work: _Confirmation, rows: Sequence[Row], order: Sequence[Row], winner: Row) -> list[str]:
    """Sentences that a reader of the figures has to know."""
    plan, notes = work.plan, []
    metric, better = winner.objective.label, "higher" if winner.objective.sense == "max" else "lower"
    if work.ledger.state != "finished":
        notes.append("the search has not finished, so networks that it may still find are not included")
    learnt = any(note.data.get("sources") for note in work.ledger.events_of(EXPERIENCE))
    if plan.random and (learnt or work.ledger.events_of("warm_start")):
        notes.append("the search started from the results of an earlier one; random search did not")
    top = [row for row in rows if row.contender.kind == "trial"]
    if len(top) < plan.top:
        notes.append(f"trials of the search that reached a rung: {len(top)}, not {plan.top}")
    stopped = [row.contender.name for row in top if row.contender.state != TrialState.FINISHED.value]
    if stopped:
        notes.append(f"fewer than {plan.top} trials finished: the search trained {', '.join(stopped)} to a rung only")
    if work.space.trainings.parameters and any(row.contender.kind == "baseline" for row in rows):
        notes.append(
            f"networks other than trials are trained with the settings of {top[0].contender.name}, the search's best"
        )
    if len(work.space.search.objectives) > 1:
        notes.append(f"of the search's objectives, only {metric} is compared here")
    for row in order[: order.index(winner)]:
        if row.contender.kind != "trial":
            notes.append(f"{row.contender.name} has a {better} mean validation {metric} than the winner")
    if plan.random and not any(row.contender.kind == "random" for row in rows):
        notes.append("no trial of random search reached a rung: there is nothing to compare with")
    if plan.named is None and not any(row.contender.kind == "baseline" for row in rows):
        notes.append(f"no network of the zoo fits the budget ({work.space.budget}): choose one with --baseline NAME")
    notes += [f"{row.contender.name}: {text}" for row in rows if (text := change(row.contender.architecture))]
    notes += failures(rows)
    if plan.folds is not None:
        bias = "upwards" if winner.objective.sense == "max" else "downwards"
        notes.append(
            "the search chose its trials by the validation split, whose images are in the folds too: "
            f"their {winner.objective.plural} over the folds are biased {bias}, those of other networks are not"
        )
    looks = [f"trial t{look['trial']:04d} once, at the search's end" for look in looks_at_test(work.ledger)]
    earlier = {event.data["winner"] for event in work.ledger.events() if event.kind == CONFIRMED}
    looks += [f"{name} by an earlier confirmation" for name in sorted(earlier - {winner.contender.name})]
    if looks:
        notes.append(f"test {metric} was also measured for {'; '.join(looks)}")
    return notes

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
from archsearch.experiment.winner import CONFIRMED, hand_over
from archsearch.reading.errors import refuse
from archsearch.search.confirming import foretold
from archsearch.search.confirming.contenders import Contender, baselines, spent, top_of, trained_as
from archsearch.search.confirming.detection import power, precision
from archsearch.search.confirming.notes import earlier_looks, notes_on
from archsearch.search.confirming.pretrained import Beyond, admitted, verdict
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
    ranked,
    row_document,
)
from archsearch.shrinking.kept import kept_parents
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.space import SearchSpace
from archsearch.version import __version__

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.guests.parents import Parent


class NothingTrained(RuntimeError):
    """No trial of the search could be retrained."""


class ConfirmationObserver(RetrainingObserver, RandomSearchObserver, Protocol):
    """Whoever shows a confirmation to a person."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is confirmed and compared: the `top` trials over `seeds` new seeds, chosen from by `folds` folds (None: by
    the validation split), random search where `random` says so, and `named` baselines, already of the experiment's
    image (None: those of the zoo that fit). Of the `pretrained` networks (None: not compared with any) those within the
    budget are fine-tuned; `beyond` are further ones, known to be too large before their weights were read. `processes`
    train at once (None: as many as the resources hold). `root` is where the data lies now (None: where space.yaml
    says)."""

    folder: ExperimentFolder
    top: int
    seeds: int
    named: Sequence[Contender] | None = None
    pretrained: Sequence[Parent] | None = None
    beyond: Sequence[Beyond] = ()
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
    beyond: Sequence[Beyond] = ()

    def run(self) -> dict[str, Any]:
        objective = self.ledger.objective
        contenders, self.beyond = self._contenders()
        rows = [Row(contender=contender, objective=objective) for contender in contenders]
        seeds = new_seeds(self.ledger, self.plan.seeds)
        settings, parents = self.space.training, kept_parents(self.plan.folder, self.ledger)
        slots, data = self._slots(), self.space.data
        with Retraining(self.images, settings, slots, self.observer, objective, parents, data) as retraining:
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

    def _contenders(self) -> tuple[list[Contender], list[Beyond]]:
        plan, contenders = self.plan, top_of(self.ledger, self.space, self.plan.top)
        first = contenders[0]
        space = self.space.at(first.architecture.input)
        named = plan.named
        if named is None:
            named = baselines(space, first.cost["flops"])
        tuned, beyond = admitted(plan.pretrained or (), space, plan.folder)
        beyond = [*plan.beyond, *beyond]
        for network in beyond:
            self.observer.phase(str(network))
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
                fine_tuned=[
                    (network.training["epochs"], network.cost["flops"] / first.cost["flops"]) for network in tuned
                ],
            )
        )
        if plan.random:
            best = random_best(
                plan.folder, self.ledger, self.images, self.observer, tracking_uri=plan.tracking_uri, root=plan.root
            )
            contenders += [best] if best is not None else []
        adapted = (trained_as(network, first, self.space) for network in named)
        return [*contenders, *adapted, *tuned], beyond

    def _slots(self) -> Slots:
        plan, machine = self.plan, slots_of(self.space, self.ledger)
        return replace(machine, compiled=plan.compiled, count=plan.processes or machine.count)

    def _document(self, rows: Sequence[Row], winner: Row, seeds: Sequence[int], *, state: str) -> dict[str, Any]:
        trials = self.ledger.trials()
        order, looks = ranked(rows), 1 + earlier_looks(self.ledger, len(seeds), self.plan.folds)
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
            "pretrained": None if self.plan.pretrained is None
            else verdict(rows, winner, leads, self.beyond, self.plan.folder),
            "confidence": CONFIDENCE,
            "top": self.plan.top,
            "seeds": list(seeds),
            "folds": self.plan.folds,
            "notes": [*precision(detects, len(seeds), self.plan.folds, winner.objective),
                      *self._notes(rows, order, winner)],
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

    def _notes(self, rows: Sequence[Row], order: Sequence[Row], winner: Row) -> list[str]:
        plan = self.plan
        return notes_on(
            rows, order, winner, space=self.space, ledger=self.ledger, top=plan.top, folds=plan.folds,
            random=plan.random, named=plan.named is not None,
        )  # fmt: skip

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
            **({"pretrained": document["pretrained"]} if document["pretrained"] else {}),
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

"""Experience: what earlier experiments, of whatever space and data, teach of which kind of network scores higher.

It is a linear model of the features that spaces share (space/many/features.py). No score is carried over to other data:
the model says which networks are tried first, and is one more input of the sampler's. (Scores on the same data are
carried over by warm_start.py.) The ledger keeps the model, so that a resumed search goes on with the one it began with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.folder import list_experiments
from archsearch.experiment.summary import EXPERIENCE, learned
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.yaml import read
from archsearch.search.proposing.records import Records, TrainedCandidate
from archsearch.search.proposing.samplers.finals import finals
from archsearch.search.proposing.warm_start import LEARNT
from archsearch.space.loading import network_parameters
from archsearch.space.many.columns import FloatArray
from archsearch.space.many.features import COSTS, features
from archsearch.space.many.grid import Grid

CAUTION = 10.0  # trials' worth of evidence that a weight is what it was believed to be
NEWEST = 10  # experiments that are learnt from without being named,
LOOKED_AT = 40  # of so many,
TRIALS = 2_000  # and so many trials of each at most
LEAST = 0.005  # of an error: below it luck decides
FEWEST = 6  # trials with a score, below which an experiment teaches nothing
PRIOR = Path(__file__).with_name("prior.json")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The trials of one experiment, n of them: their features by name, their scores (accuracies, or another metric of
    which 1 is the best), and how much each is trusted, from 0 to 1, where that is not alike (a score that was foretold
    is less sure than a measured one); (n,) each."""

    name: str
    features: Mapping[str, FloatArray]
    scores: FloatArray
    trust: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """The weights of the features, the experiments that they were learnt from, with their numbers of trials, and why
    others were passed over."""

    weights: Mapping[str, float]
    sources: tuple[tuple[str, int], ...] = ()
    passed_over: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What was learnt from, as lines for a person."""
        return [f"note: not learned from {text}" for text in self.passed_over] + [learned(self.to_data()["sources"])]

    def to_data(self) -> dict[str, Any]:
        """The JSON value that the ledger keeps; `weights_of` reads it back."""
        sources = [{"name": name, "trials": trials} for name, trials in self.sources]
        return {"weights": dict(self.weights), "sources": sources}


def experience(root: Path | None, named: Sequence[ExperimentFolder] = ()) -> Learnt:
    """What the `named` experiments teach, or, where none is named, the newest right below `root`; with what ships.

    Raises InputError where a named one is damaged or has too few results; others are passed over.
    """
    sources, passed_over = list[Source](), list[str]()
    for folder in named:
        if (source := source_of(folder)) is None:
            allowed = f"an experiment with {FEWEST} trials or more that reached a rung"
            raise refuse(f"{folder.name} has too few results to learn from", allowed=allowed, file="--learn-from")
        sources.append(source)
    for folder in list_experiments(root)[:LOOKED_AT] if root is not None and not named else ():
        if len(sources) == NEWEST:
            break
        try:
            folder.refuse_links()
            if (source := source_of(folder)) is not None:
                sources.append(source)
        except (InputError, OSError) as error:
            passed_over.append(f"{folder.name}: {str(error).splitlines()[0]:.200}")
    return Learnt(
        weights=weights(sources, shipped()),
        sources=tuple((source.name, len(source.scores)) for source in sources),
        passed_over=tuple(passed_over),
    )


def shipped() -> dict[str, float]:
    """The weights that benchmarks/prior.py has learnt from the tables of benchmarks/tabular."""
    learnt: dict[str, float] = json.loads(PRIOR.read_text())["weights"]
    return learnt


def weights_of(ledger: Ledger) -> dict[str, float] | None:
    """The weights with which this ledger's search began; None where it has no experience."""
    notes = ledger.events_of(EXPERIENCE)
    return dict(notes[-1].data["weights"]) if notes else None


def source_of(folder: ExperimentFolder) -> Source | None:
    """An experiment's trials that reached a rung or the end, each with the score that it has there, or would have at
    the end by the others' scores; None where they are too few. Raises InputError for an experiment that is damaged."""
    document = read(folder.space_yaml)
    parameters, problems = network_parameters(document)
    if problems:
        raise InputError(*problems)
    grid, rng = Grid(parameters), np.random.default_rng(0)
    with Ledger.read(folder.ledger) as ledger:
        objective = ledger.objective
        curves: dict[int, dict[int, float]] = {}
        for epoch in ledger.epochs():
            if (score := epoch.metrics.get(objective.validation)) is not None:
                curves.setdefault(epoch.trial, {})[epoch.epoch] = score
        trials = [trial for trial in ledger.trials_as_known() if trial.state in LEARNT and trial.number in curves]
        full = max((trial.epochs for trial in trials), default=1)
        rungs = sorted({rung.epochs for rung in ledger.rungs() if rung.epochs < full})
    rows = [grid.codes(trial.choices, rng) for trial in trials[:TRIALS]]
    usable = [(trial, row) for trial, row in zip(trials, rows, strict=False) if row is not None]
    if len(usable) < FEWEST:
        return None
    records = Records(
        columns=len(grid.columns), objectives=(objective.name,), rungs=rungs, full=full, objective=objective
    )
    for trial, row in usable:
        curve = curves[trial.number]
        records.learn(row, TrainedCandidate(choices=trial.choices, costs=trial.cost, curve=curve), number=trial.number)
    known = finals(records.history(), 0)
    codes = np.array([row for _, row in usable])[known.rows]
    costs = {name: np.array([trial.cost[name] for trial, _ in usable])[known.rows] for name in COSTS}
    spread = max(float(np.var(known.values)), 1e-12)
    trust = spread / (spread + known.variance)
    scores = known.values
    if objective.sense == "min":  # errors, in whatever unit: as parts of the largest
        scores = 1 + scores / max(float(-scores.min()), 1e-12)
    return Source(name=folder.name, features=features(grid, codes, costs), scores=scores, trust=trust)


def weights(sources: Sequence[Source], believed: Mapping[str, float] | None = None) -> dict[str, float]:
    """The linear model that explains best which networks of a source score higher: weights by the features' names, by
    ridge regression towards the `believed` ones (0 where there is none).

    It explains the logarithm of the error, turned round, with mean 0 and deviation 1 within each source, as features
    have mean 0: neither its data nor its budget say anything, only which of its networks were better, and by how much.
    A feature that a source lacks is equal in all its networks. Trials count by how much they are trusted.
    """
    believed = believed or {}
    varied = {name for source in sources for name, values in source.features.items() if np.ptp(values) > 0}
    if not varied:
        return dict(believed)
    names = sorted({*believed, *varied})
    tables, heights, trusts = list[FloatArray](), list[FloatArray](), list[FloatArray]()
    for source in sources:
        equal = np.zeros(len(source.scores))
        trust = equal + 1 if source.trust is None else source.trust
        table = np.stack([source.features.get(name, equal) for name in names], axis=1)
        height = -np.log(np.maximum(1 - source.scores, LEAST))
        height -= np.average(height, weights=trust)
        tables.append(table - np.average(table, axis=0, weights=trust))
        heights.append(height / (np.sqrt(np.average(height**2, weights=trust)) or 1.0))
        trusts.append(trust)
    points, trust = np.concatenate(tables), np.concatenate(trusts)
    scale = np.sqrt(np.average(points**2, axis=0, weights=trust))
    scale[scale < 1e-9] = 1.0
    points /= scale
    before = np.array([believed.get(name, 0.0) for name in names]) * scale
    trusted = points.T * trust
    gram = trusted @ points + CAUTION * np.eye(len(names))
    learnt = before + np.linalg.solve(gram, trusted @ (np.concatenate(heights) - points @ before))
    return dict(zip(names, (learnt / scale).round(6).tolist(), strict=True))

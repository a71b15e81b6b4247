"""What a report knows: everything is read from the experiment's folder, once, before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypedDict

from archsearch.analysis.mistakes import Mistakes, mistakes
from archsearch.analysis.report.pictures import Pictures, pictures
from archsearch.analysis.residuals import Residuals, residuals
from archsearch.data.images import ImageSet
from archsearch.experiment import Event, ExperimentFolder, Ledger, Trial, TrialState
from archsearch.experiment.confirmed import read_confirmation
from archsearch.experiment.objective import Objective
from archsearch.experiment.predictions import Predictions, predictions_of
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read
from archsearch.space.loading import load_space
from archsearch.space.placement import PLACED, share_in
from archsearch.space.settings import ResourceSettings
from archsearch.space.space import SearchSpace
from archsearch.space.threads import THREADS


class AnalysisPage(TypedDict):
    """A page of `archsearch analyze`: what it is about, of which network, a link from where the report lies, and what
    it says first."""

    kind: str
    digest: str
    page: str
    remark: str


@dataclass(frozen=True, kw_only=True)
class Context:
    """What other rooms know of the experiment.

    `startup`: as long as fewer scores were known the sampler drew at random (inf: always; None: not known of it).
    `is_anchor`: whether it chose the trial after so many others nevertheless, by size or experience (None: none).
    `baselines`: networks of the literature that fit the budget, by name, with their costs for the search's images.
    `page`: where MLflow shows the search. `analyses` are pages of `archsearch analyze` on its best network. `images`
    loads the experiment's data set, for the pictures of mistakes (None:
    without them).
    """

    startup: float | None = None
    is_anchor: Callable[[int], bool] | None = None
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    page: str | None = None
    analyses: Sequence[AnalysisPage] = ()
    images: Callable[[], ImageSet] | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """The value of a trial after so many epochs (0: all of them, where `finished`), in the order of events; `lanes`
    is the time of all workers until then, in seconds."""

    trial: int
    epochs: int
    value: float
    finished: bool
    lanes: float

    def level(self, full: int) -> int:
        """The epochs behind it, where a full training has `full`."""
        return full if self.finished else self.epochs


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A search as its folder describes it.

    `space` is None, and `refused` says why, where space.yaml cannot be read as a space on this machine (its images'
    folder may lie elsewhere); `resolved` is what the file says in any case. `random` are the trials drawn at random.
    `outputs` are the winner's for each image, or why they are not known.
    """

    folder: ExperimentFolder
    summary: Mapping[str, Any]
    meta: Mapping[str, Any]
    resolved: Mapping[str, Any]
    space: SearchSpace | None
    refused: str
    trials: Sequence[Trial]
    curves: Mapping[int, Mapping[int, float]]
    training_curves: Mapping[int, Mapping[int, float]]
    seconds: Mapping[int, float]
    history: Sequence[Score]
    random: frozenset[int]
    why_not_random: str
    notes: Sequence[Event]
    confirmed: Mapping[str, Any] | None
    confirmed_random: Sequence[Score]
    outputs: Predictions | str
    context: Context

    @property
    def objective(self) -> Objective:
        """The metric that the search optimises: scores and curves are of it."""
        return Objective.of(self.meta)

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.summary["experiment"])

    @cached_property
    def full(self) -> int:
        """Epochs of a full training."""
        with suppress(KeyError, TypeError, ValueError):
            return int(self.resolved["training"]["epochs"])
        return max((max(curve) for curve in self.curves.values() if curve), default=1)

    @cached_property
    def scores(self) -> dict[int, dict[int, float]]:
        """Epochs of a rung (of a full training for the end) -> trial -> the score there, from the lowest up."""
        scores: dict[int, dict[int, float]] = {}
        for score in self.history:
            scores.setdefault(score.level(self.full), {})[score.trial] = score.value
        return {level: scores[level] for level in sorted(scores)}

    @cached_property
    def common(self) -> int | None:
        """The highest rung (or the end) at which half of the trials with a score have one: there they are compared."""
        scored = len({score.trial for score in self.history})
        return max((level for level, scores in self.scores.items() if 2 * len(scores) >= scored), default=None)

    @cached_property
    def by_number(self) -> dict[int, Trial]:
        """Every trial by its number."""
        return {trial.number: trial for trial in self.trials}

    @cached_property
    def finished(self) -> list[Trial]:
        """Trials trained in full, with a score, the best first."""
        trials = [trial for trial in self.trials if trial.state is TrialState.FINISHED and trial.value is not None]
        return sorted(trials, key=lambda trial: (-self.objective.key(trial.value or 0.0), trial.number))

    def sample(self, level: int | None) -> dict[int, float] | None:
        """The scores after `level` epochs of the trials drawn at random, by trial; None where some of those with a
        score have none there: the others were chosen, and are no random sample."""
        scores = self.scores.get(level or 0, {})
        drawn = self.random & {score.trial for score in self.history}
        return {number: scores[number] for number in scores if number in drawn} if drawn <= scores.keys() else None

    @cached_property
    def mistakes(self) -> Mistakes | None:
        """Where the winner is wrong; None where its outputs are not known, or are numbers."""
        if isinstance(self.outputs, str) or self.outputs.task == "regression":
            return None
        return mistakes(self.outputs)

    @cached_property
    def residuals(self) -> Residuals | None:
        """The errors of a winner that predicts numbers; None where its outputs are not known, or are no numbers."""
        if isinstance(self.outputs, str) or self.outputs.task != "regression":
            return None
        return residuals(self.outputs)

    @cached_property
    def pictures(self) -> Pictures:
        """The images of the mistakes that are listed."""
        if isinstance(self.outputs, str):
            return Pictures()
        session = next((note.data for note in reversed(self.notes) if note.kind == "began"), {})
        listed = [(row["split"], row["image"]) for row in self.residuals["worst"]] if self.residuals else []
        if self.mistakes is not None:
            listed = [(row["split"], row["image"]) for key in ("suspects", "worst") for row in self.mistakes[key]]
        return pictures(self.context.images, session, self.outputs, listed)

    @property
    def lanes(self) -> float:
        """Seconds that workers were busy with trials, added up."""
        return max((score.lanes for score in self.history), default=0.0)

    @property
    def gpus(self) -> float:
        """The share of a GPU that a trial had; 0 on a CPU."""
        resources = None
        with suppress(ValueError):
            resources = ResourceSettings.model_validate(self.resolved.get("resources", {}), strict=False)
        return share_in([note for note in self.notes if note.kind == PLACED], resources)


def read_experiment(folder: ExperimentFolder, context: Context | None = None) -> Reading:
    """Reads the folder. Raises InputError where there is no ledger, and where it or the confirmation is damaged."""
    context = context or Context()
    summary = summarise(folder)
    space, refused, resolved = _space(folder)
    with Ledger.read(folder.ledger) as ledger:
        objective = ledger.objective
        trials, notes = ledger.trials(), ledger.events_of(*_NOTES)
        curves: dict[int, dict[int, float]] = {}
        training: dict[int, dict[int, float]] = {}
        seconds: dict[int, float] = {}
        for epoch in ledger.epochs():
            for metric, values in ((objective.validation, curves), (f"train_{objective.name}", training)):
                value = epoch.metrics.get(metric)
                if value is not None:
                    values.setdefault(epoch.trial, {})[epoch.epoch] = value
            seconds[epoch.trial] = seconds.get(epoch.trial, 0.0) + (epoch.metrics.get("seconds") or 0.0)
        random, why_not = _random(ledger, notes, context)
        winner = winner_of(folder, ledger)
        return Reading(
            folder=folder,
            summary=summary,
            meta=dict(ledger.meta),
            resolved=resolved,
            space=space,
            refused=refused,
            trials=trials,
            curves=curves,
            training_curves=training,
            seconds=seconds,
            history=_history(ledger),
            random=random,
            why_not_random=why_not,
            notes=notes,
            confirmed=read_confirmation(folder),
            confirmed_random=_confirmed_random(folder),
            outputs="there is no winner yet" if winner is None else predictions_of(folder, ledger, winner),
            context=context,
        )


_NOTES = (
    "began",
    "ended",
    "warm_start",
    "space_changed",
    "precision",
    "tested",
    "exhausted",
    "confirmed",
    "latency",
    PLACED,
    THREADS,
)


def _space(folder: ExperimentFolder) -> tuple[SearchSpace | None, str, dict[str, Any]]:
    resolved: dict[str, Any] = {}
    try:
        data = read(folder.space_yaml).data
        resolved = data if isinstance(data, dict) else {}
        return load_space(folder.space_yaml), "", resolved
    except InputError as error:
        return None, str(error).splitlines()[0], resolved


def _history(ledger: Ledger) -> list[Score]:
    """The scores in the order of their events. A driver's sessions are strung together: the time between them, and what
    was lost when one was killed, belongs to no worker."""
    scores: list[Score] = []
    busy: set[int] = set()
    lanes, last = 0.0, 0.0
    for event in ledger.events_of("began", "started", "paused", "finished", "failed", "requeued", "ended"):
        if event.kind == "began":
            busy.clear()
        lanes += len(busy) * max(0.0, event.time - last)
        last = event.time
        if event.trial is None:
            continue
        if event.kind == "started":
            busy.add(event.trial)
            continue
        busy.discard(event.trial)
        if event.kind in ("paused", "finished") and event.data.get("value") is not None:
            finished = event.kind == "finished"
            epochs = 0 if finished else int(event.data["rung"])
            value = float(event.data["value"])
            scores.append(Score(trial=event.trial, epochs=epochs, value=value, finished=finished, lanes=lanes))
    return scores


def _random(ledger: Ledger, notes: Sequence[Event], context: Context) -> tuple[frozenset[int], str]:
    """The trials that surely were drawn at random from the networks within the budget; or why none can be named."""
    if context.startup is None:
        return frozenset(), "the sampler does not say which of its trials it drew at random"
    if any(event.kind == "warm_start" for event in notes):
        return frozenset(), "the search began with what an earlier one had learnt, so no trial was drawn at random"
    is_anchor = context.is_anchor
    if is_anchor is not None and any(event.kind == "latency" for event in notes):
        return frozenset(), "which of the first trials were chosen and not drawn depends on the latencies measured"
    scored: set[int] = set()
    drawn: set[int] = set()
    before = 0
    for event in ledger.events_of("proposed", "paused", "finished"):
        if event.trial is None:
            continue
        if event.kind != "proposed":
            scored.add(event.trial)
        else:
            if len(scored) < context.startup and not (is_anchor is not None and is_anchor(before)):
                drawn.add(event.trial)
            before += 1
    return frozenset(drawn), ""


def _confirmed_random(folder: ExperimentFolder) -> list[Score]:
    """The scores of the random search at equal cost that a confirmation ran; none where there is none."""
    path = folder.random_search.ledger
    if not path.is_file():
        return []
    with suppress(InputError, OSError), Ledger.read(path) as ledger:
        return _history(ledger)
    return []

"""The trainings that a file allows: which words of `training:` vary, how one is drawn, and when two are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast

from pydantic import ValidationError

from archsearch.reading.document import Document, shorten
from archsearch.reading.errors import Problem
from archsearch.space.choices import Choices, Odometer, RecordedChoices, Recorder, Scalar, every
from archsearch.space.conditions import arrange
from archsearch.space.domains import Choice, kind_of
from archsearch.space.parameters import Parameter, Term, read_parameter
from archsearch.space.recipes import filled
from archsearch.space.sampling import draw
from archsearch.space.settings import TrainingSettings

GROUP = "training"
# What a training takes for itself. The other words are one for the whole search: how long trials train (their scores
# are compared at the rungs), on which device, in which precision, and how the images are held and augmented.
SEARCHABLE = (
    "batch_size", "optimizer", "learning_rate", "momentum", "nesterov", "weight_decay", "decay_norms_and_biases",
    "clip_norm", "ema", "schedule", "step_factor", "warmup", "label_smoothing", "mixup", "cutmix",
)  # fmt: skip
TOGETHER = ("schedule", "warmup")  # of them, those that TrainingSettings checks together


@cache
def training_vocabulary() -> Mapping[str, Term]:
    """Every word of the training that may vary, by its name, as training.momentum."""
    names = [name for name in TrainingSettings.model_fields if name in SEARCHABLE]
    terms = (
        Term(name=f"{GROUP}.{name}", owner=TrainingSettings, field=name, group=GROUP, section=()) for name in names
    )
    return {term.name: term for term in terms}


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """`base` is the file's training with the first value of every word that varies.

    `words` are all that may vary, in an order in which each can be asked; none where none does. `loose` ones were left
    out, and what they are then depends on words that vary.
    """

    base: TrainingSettings
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    loose: tuple[str, ...] = ()

    @property
    def varied(self) -> dict[str, Parameter]:
        """The words that vary, by the names that they have in `training:`."""
        return {
            parameter.term.field: parameter for parameter in self.parameters.values() if parameter.domain is not None
        }

    def settings(self, choices: Choices) -> TrainingSettings:
        """The training that `choices` picks, which is asked for `training.optimizer` and the like. A word whose `when`
        does not hold is not asked: it has its default."""
        return self._with(_draw(self.parameters, choices)) if self.parameters else self.base

    def overrides(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """What recorded choices (those of the network may be among them) set otherwise than `base`; JSON values."""
        if not self.parameters:
            return {}
        own = self.settings(RecordedChoices(choices)).model_dump(mode="json")
        base = self.base.model_dump(mode="json")
        return {parameter: value for parameter, value in own.items() if value != base[parameter]}

    def identity(self, digest: str, overrides: Mapping[str, Any]) -> str:
        """By what a network of this digest and its training are told from others: the digest alone where the training
        is that of `base`. Words that change nothing do not count."""
        inert = self.base.with_overrides(overrides).inert if overrides else frozenset[str]()
        said = {parameter: value for parameter, value in sorted(overrides.items()) if parameter not in inert}
        return f"{digest}-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]}" if said else digest

    def most(self, parameter: str) -> Any:
        """Of the values that a word may have, the one that takes the most memory."""
        values = [getattr(self.base, parameter)]
        if (varied := self.varied.get(parameter)) is not None and varied.domain is not None:
            values += varied.domain.probes()
        return max(values, key=lambda value: value == "adamw" if isinstance(value, str) else value)

    def to_data(self) -> dict[str, Any]:
        """As a file holds it: every setting written out, and the domains."""
        fixed = {
            parameter: value
            for parameter, value in self.base.model_dump(mode="json").items()
            if parameter not in self.loose
        }
        return fixed | {name: parameter.to_data() for name, parameter in self.varied.items()}

    def _with(self, values: Mapping[str, Any]) -> TrainingSettings:
        left = {*self.varied, *self.loose}
        fixed = {parameter: value for parameter, value in self.base.model_dump().items() if parameter not in left}
        return TrainingSettings.model_validate({**fixed, **values})


def _draw(parameters: Mapping[str, Parameter], choices: Choices) -> dict[str, Scalar]:
    """The value of every parameter that is asked, by the name of its setting."""
    recorder = Recorder(choices)
    values = draw(parameters, recorder).values
    return {parameters[name].term.field: cast("Scalar", values[name]) for name in recorder.taken}


@dataclass(frozen=True, kw_only=True)
class TrainingsRead:
    """What a document says of trainings: `plain` is the document as if nothing varied."""

    fixed: Document
    parameters: Mapping[str, Parameter]
    loose: tuple[str, ...]

    def trainings(self, base: TrainingSettings) -> Trainings:
        """With what validating `plain` came to."""
        return Trainings(base=base, parameters=self.parameters, loose=self.loose)


def read_trainings(document: Document) -> tuple[TrainingsRead, list[Problem]]:
    """The words of `training:` that vary, each checked against its own constraints; and what is wrong with them."""
    data = document.data.get(GROUP) if isinstance(document.data, dict) else None
    open_words = _open_words(data) if isinstance(data, dict) else []
    if not isinstance(data, dict) or not open_words:
        return TrainingsRead(fixed=document, parameters={}, loose=()), []
    parameters: dict[str, Parameter] = {}
    problems: list[Problem] = []
    given = _filled(data)
    for name in open_words:
        if name in SEARCHABLE:
            read_parameter(document, training_vocabulary()[f"{GROUP}.{name}"], data[name], parameters, problems)
        else:
            problems.append(_refusal(document, name, data[name]))
    for term in training_vocabulary().values():
        if term.field not in open_words:
            parameters[term.name] = Parameter(term=term, value=given.get(term.field, term.default()))
    if not problems:
        parameters, problems = arrange(document, parameters, training_vocabulary())
    first = _draw(parameters, Odometer()) if not problems else {}
    fixed = {name: value for name, value in given.items() if name not in open_words} | first
    loose = ("warmup",) if "schedule" in open_words and "warmup" not in given else ()
    read = TrainingsRead(
        fixed=replace(document, data={**document.data, GROUP: fixed}), parameters=parameters, loose=loose
    )
    return read, problems


def refuse_clashes(document: Document, trainings: Trainings) -> list[Problem]:
    """A combination of values that no training can have, where the file allows one: it would fail as a trial."""
    if not set(TOGETHER) & trainings.varied.keys():
        return []
    parameters = _related(trainings.parameters)
    named = [condition for parameter in parameters.values() for condition in parameter.conditions]
    few = {
        name: _ends(parameter, (value for condition, values in named if condition == name for value in values))
        for name, parameter in parameters.items()
    }
    for values in every(lambda choices: _draw(few, choices)):
        try:
            trainings._with(values)
        except ValidationError as error:
            told = str(error.errors(include_url=False)[0].get("ctx", {}).get("error", ""))
            found, _, allowed = told.partition("; allowed: ")
            said = ", ".join(f"{name} {shorten(value)}" for name, value in values.items() if name in TOGETHER)
            at = next(name for name in reversed(TOGETHER) if name in trainings.varied)
            hint = "rule the combination out with `when`, as warmup: {float: [0, 0.5], when: {schedule: cosine}}"
            return [document.problem((GROUP, at), f"training allows {said}: {found}", allowed=allowed, hint=hint)]
    return []


def _open_words(data: Mapping[str, Any]) -> list[str]:
    """Those that a file gives a mapping, or a list where a plain value is wanted."""
    known = [name for name in data if name in TrainingSettings.model_fields]
    lists = [name for name in known if isinstance(data[name], list) and name in SEARCHABLE]
    return lists + [name for name in known if isinstance(data[name], dict)]


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """With the recipe's words. What is wrong with it, validation tells."""
    try:
        return filled(data)
    except ValueError:
        return data


def _refusal(document: Document, name: str, value: dict[str, Any]) -> Problem:
    found = f"training.{name} is {shorten(value)}"
    if kind_of(value) is not None:
        found += ", a domain, and it is one for the whole search"
    return document.problem(
        (GROUP, name),
        found,
        allowed=f"a plain value; of training a search may vary {', '.join(SEARCHABLE)}",
        hint=f"a search for each value of {name}: --set training.{name}=...",
    )


def _related(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The words that are checked together and those that their conditions name, in the order of asking."""
    kept = {f"{GROUP}.{name}" for name in TOGETHER}
    for name in reversed(list(parameters)):  # conditions name earlier ones
        if name in kept:
            kept |= {needed for needed, _ in parameters[name].conditions}
    return {name: parameter for name, parameter in parameters.items() if name in kept}


def _ends(parameter: Parameter, named: Iterable[Scalar]) -> Parameter:
    """The parameter with few values: its options or ends, and those that conditions name."""
    if parameter.domain is None:
        return parameter
    probes = parameter.probes()
    ends = probes if isinstance(parameter.domain, Choice) else (probes[0], probes[-1])
    options = tuple(dict.fromkeys([*ends, *filter(parameter.domain.holds, named)]))
    return replace(parameter, value=Choice(choice=options))

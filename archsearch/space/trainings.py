"""The trainings that a file allows: which settings of `training:` vary, how one is drawn, and when two are the same."""

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
from archsearch.space.domains import Choice
from archsearch.space.parameters import Parameter, Term, read_parameter
from archsearch.space.recipes import filled
from archsearch.space.sampling import draw
from archsearch.space.settings import TrainingSettings
from archsearch.space.stage_domains import kind_of

GROUP = "training"
# What a training takes for itself. The other settings are one for the whole search: how long trials train (their scores
# are compared at the rungs), on which device, in which precision, and how the images are held and augmented.
SEARCHABLE = (
    "batch_size", "optimizer", "learning_rate", "layer_decay", "freeze", "momentum", "nesterov", "weight_decay",
    "decay_norms_and_biases",
    "clip_norm", "ema", "schedule", "step_factor", "patience", "warmup", "label_smoothing", "loss", "focal_gamma",
    "teacher_share", "teacher_temperature", "class_weights", "sampling", "repeated_augmentation", "mixup", "cutmix",
)  # fmt: skip
TOGETHER = ("schedule", "warmup")  # of them, those that TrainingSettings checks together


@cache
def training_vocabulary() -> Mapping[str, Term]:
    """Every setting of the training that may vary, by its name, as training.momentum."""
    names = [name for name in TrainingSettings.model_fields if name in SEARCHABLE]
    terms = (
        Term(name=f"{GROUP}.{name}", owner=TrainingSettings, field=name, group=GROUP, section=(), of_network=False)
        for name in names
    )
    return {term.name: term for term in terms}


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """`base` is the file's training with the first value of every setting that varies.

    `parameters` are all that may vary, in an order in which each can be asked; none where none does. Settings that are
    `loose` were left out, and what they are then depends on settings that vary.
    """

    base: TrainingSettings
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    loose: tuple[str, ...] = ()

    @property
    def varied(self) -> dict[str, Parameter]:
        """The parameters that vary, by the names of their settings."""
        return {p.term.field: p for p in self.parameters.values() if p.domain is not None}

    def settings(self, choices: Choices) -> TrainingSettings:
        """The training that `choices` picks, which are asked for `training.optimizer` and the like. A parameter whose
        `when` does not hold is not asked: it has its default."""
        return self._with(_draw(self.parameters, choices)) if self.parameters else self.base

    def overrides(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """What recorded choices (those of the network may be among them) set otherwise than `base`; JSON values."""
        if not self.parameters:
            return {}
        settings = self.settings(RecordedChoices(choices)).model_dump(mode="json")
        base = self.base.model_dump(mode="json")
        return {name: value for name, value in settings.items() if value != base[name]}

    def identity(self, digest: str, overrides: Mapping[str, Any]) -> str:
        """By what a network of this digest and its training are told from others: the digest alone where the training
        is that of `base`. Settings that change nothing do not count."""
        inert = self.base.with_overrides(overrides).inert if overrides else frozenset[str]()
        settings = {name: value for name, value in sorted(overrides.items()) if name not in inert}
        return f"{digest}-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]}" if settings else digest

    def most(self, setting: str) -> Any:
        """Of the values that a setting may have, the one that takes the most memory."""
        values = [getattr(self.base, setting)]
        if (varied := self.varied.get(setting)) is not None:
            values += varied.probes()
        return max(values, key=lambda value: value != "sgd" if isinstance(value, str) else value)

    def to_data(self) -> dict[str, Any]:
        """As a file holds it: every setting written out, and the domains."""
        fixed = {name: value for name, value in self.base.model_dump(mode="json").items() if name not in self.loose}
        return fixed | {name: parameter.to_data() for name, parameter in self.varied.items()}

    def _with(self, values: Mapping[str, Any]) -> TrainingSettings:
        unsettled = {*self.varied, *self.loose}
        fixed = {name: value for name, value in self.base.model_dump().items() if name not in unsettled}
        return TrainingSettings.model_validate({**fixed, **values})


def _draw(parameters: Mapping[str, Parameter], choices: Choices) -> dict[str, Scalar]:
    """The value of every parameter that is asked, by the name of its setting."""
    recorder = Recorder(choices)
    values = draw(parameters, recorder).values
    return {parameters[name].term.field: cast("Scalar", values[name]) for name in recorder.taken}


@dataclass(frozen=True, kw_only=True)
class TrainingsRead:
    """What a document says of trainings; `fixed` is the document with one value for every setting that varies."""

    fixed: Document
    parameters: Mapping[str, Parameter]
    loose: tuple[str, ...]

    def trainings(self, base: TrainingSettings) -> Trainings:
        """The trainings, given the settings that `fixed` validates to."""
        return Trainings(base=base, parameters=self.parameters, loose=self.loose)


def read_trainings(document: Document) -> tuple[TrainingsRead, list[Problem]]:
    """The parameters of `training:`, each checked against its own constraints; and what is wrong with them."""
    data = document.data.get(GROUP) if isinstance(document.data, dict) else None
    varying = _varying_names(data) if isinstance(data, dict) else []
    if not isinstance(data, dict) or not varying:
        return TrainingsRead(fixed=document, parameters={}, loose=()), []
    parameters: dict[str, Parameter] = {}
    problems: list[Problem] = []
    filled_in = _filled(data)
    for name in varying:
        if name in SEARCHABLE:
            read_parameter(document, training_vocabulary()[f"{GROUP}.{name}"], data[name], parameters, problems)
        else:
            problems.append(_refusal(document, name, data[name]))
    for term in training_vocabulary().values():
        if term.field not in varying:
            parameters[term.name] = Parameter(term=term, value=filled_in.get(term.field, term.default()))
    if not problems:
        parameters, problems = arrange(document, parameters, training_vocabulary())
    first = _draw(parameters, Odometer()) if not problems else {}
    fixed = {name: value for name, value in filled_in.items() if name not in varying} | first
    loose = ("warmup",) if "schedule" in varying and "warmup" not in filled_in else ()
    read = TrainingsRead(
        fixed=replace(document, data={**document.data, GROUP: fixed}), parameters=parameters, loose=loose
    )
    return read, problems


def refuse_frozen(document: Document, trainings: Trainings) -> list[Problem]:
    """A part that is held as it is, in a space whose networks begin with initial values."""
    varied = trainings.varied.get("freeze")
    values = [trainings.base.freeze] if varied is None else varied.probes()
    if document.data.get("start") or all(value == "none" for value in values):
        return []
    allowed = "none; or start, with weights that networks begin with"
    return [document.problem((GROUP, "freeze"), "training.freeze of networks with initial values", allowed=allowed)]


def refuse_clashes(document: Document, trainings: Trainings) -> list[Problem]:
    """A combination of values that no training can have, where the file allows one: it would fail as a trial."""
    if not set(TOGETHER) & trainings.varied.keys():
        return []
    parameters = _related(trainings.parameters)
    named = [condition for parameter in parameters.values() for condition in parameter.conditions]
    reduced = {
        name: _ends(parameter, (value for condition, values in named if condition == name for value in values))
        for name, parameter in parameters.items()
    }
    for values in every(lambda choices: _draw(reduced, choices)):
        try:
            trainings._with(values)
        except ValidationError as error:
            message = str(error.errors(include_url=False)[0].get("ctx", {}).get("error", ""))
            text, _, allowed = message.partition("; allowed: ")
            clash = ", ".join(f"{name} {shorten(value)}" for name, value in values.items() if name in TOGETHER)
            setting = next(name for name in reversed(TOGETHER) if name in trainings.varied)
            hint = "rule the combination out with `when`, as warmup: {float: [0, 0.5], when: {schedule: cosine}}"
            text = f"training allows {clash}: {text}"
            return [document.problem((GROUP, setting), text, allowed=allowed, hint=hint)]
    return []


def _varying_names(data: Mapping[str, Any]) -> list[str]:
    """The settings that a file gives a mapping, or a list where a plain value is expected. The mapping of classes to
    weights is a plain value."""
    names = [name for name in data if name in TrainingSettings.model_fields]
    lists = [name for name in names if isinstance(data[name], list) and name in SEARCHABLE]
    mappings = [name for name in names if isinstance(data[name], dict)]
    return lists + [name for name in mappings if name != "class_weights" or kind_of(data[name]) is not None]


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """The settings with those of the recipe that they name; a recipe that is wrong is left to validation."""
    try:
        return filled(data)
    except ValueError:
        return data


def _refusal(document: Document, name: str, value: dict[str, Any]) -> Problem:
    text = f"training.{name} is {shorten(value)}"
    if kind_of(value) is not None:
        text += ", a domain, but it takes one value for the whole search"
    return document.problem(
        (GROUP, name),
        text,
        allowed=f"a plain value; a search may vary {', '.join(SEARCHABLE)}",
        hint=f"run one search for each value of {name}: --set training.{name}=...",
    )


def _related(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """The parameters that are checked together and those that their conditions name, in the order of asking."""
    related = {f"{GROUP}.{name}" for name in TOGETHER}
    for name in reversed(list(parameters)):  # conditions name earlier ones
        if name in related:
            related |= {needed for needed, _ in parameters[name].conditions}
    return {name: parameter for name, parameter in parameters.items() if name in related}


def _ends(parameter: Parameter, named: Iterable[Scalar]) -> Parameter:
    """The parameter with few values: its options or ends, and those that conditions name."""
    if parameter.domain is None:
        return parameter
    probes = parameter.probes()
    ends = probes if isinstance(parameter.domain, Choice) else (probes[0], probes[-1])
    options = tuple(dict.fromkeys([*ends, *filter(parameter.domain.holds, named)]))
    return replace(parameter, value=Choice(choice=options))

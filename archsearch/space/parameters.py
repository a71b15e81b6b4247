"""The parameters of `space:`, from the fields of the models of architecture/spec.py, and what a file sets them to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage
from archsearch.reading.allowed import describe, step_into
from archsearch.reading.document import Document, Loc, shorten
from archsearch.reading.errors import Problem
from archsearch.reading.model import StrictModel
from archsearch.reading.nearest import did_you_mean
from archsearch.reading.validation import try_validate, unknown_field, wrong_value
from archsearch.space.choices import Choices, Scalar
from archsearch.space.domains import Domain
from archsearch.space.linear_widths import GROUP, LinearWidths
from archsearch.space.resolution import SIZE, Resolution
from archsearch.space.stage_domains import KINDS, SameAs, StageChoices, kind_of

DOMAINS = ("a plain value", "{choice: [...]}", "{int: [low, high]}", "{float: [low, high]}")
EACH_STAGE = "{each: stage, values: [...]}"
SAME_AS_FIRST_STAGE = "stem.width"  # the term that may be {same_as: stage1.width}

_MOST_STAGES = next(c.max_length for c in Architecture.model_fields["stages"].metadata if hasattr(c, "max_length"))


class _Net(StrictModel):
    """The parameter that counts the stages; an Architecture lists them instead."""

    stages: int = Field(ge=1, le=_MOST_STAGES, description="Number of stages.")


@dataclass(frozen=True, kw_only=True)
class Term:
    """A parameter that a space may set: the field of a model that it sets, most often one of architecture/spec.py.

    `section` is the file's part below which its dotted name is written; none where the name begins with the part.
    `of_network`: whether it says something of the network, and not of its training.
    """

    name: str
    owner: type[StrictModel]
    field: str
    group: str = ""
    per_stage: bool = False
    section: Loc = ("space",)
    of_network: bool = True

    @property
    def loc(self) -> Loc:
        """Where it stands in a file."""
        return (*self.section, *self.name.split("."))

    @property
    def domains(self) -> str:
        """What a file may write for it, as text."""
        return ", ".join(DOMAINS) + (f", or {EACH_STAGE}" if self.per_stage else "")

    @cached_property
    def info(self) -> FieldInfo:
        """The field's description, default and constraints."""
        return self.owner.model_fields[self.field]

    def default(self, stage: int = 0) -> Scalar:
        """Its value where a space does not set it; `stage` counts from 0. The first stage keeps its input's size."""
        if self.owner is Stage and self.field == "stride" and stage == 0:
            return 1
        value: Scalar = None if self.info.default is PydanticUndefined else self.info.default
        return value

    @property
    def required(self) -> bool:
        """Whether the model has no default for it."""
        return self.info.is_required()


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter as a space sets it: a plain value or a domain, and the conditions under which it is asked.

    `derived_from` names the parameters whose values give its own (linear widths, or `width` of what is the same as the
    first stage's): it is never asked then, and a domain holds the values that it may come to have.
    """

    term: Term
    value: Scalar | Domain
    conditions: tuple[tuple[str, tuple[Scalar, ...]], ...] = ()
    derived_from: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The term's name."""
        return self.term.name

    @cached_property
    def domain(self) -> Domain | None:
        """The domain, where there is one."""
        return self.value if isinstance(self.value, Domain) else None

    @property
    def is_first_width(self) -> bool:
        """Whether it has the width of the first stage."""
        return isinstance(self.value, SameAs)

    @property
    def needs(self) -> tuple[str, ...]:
        """The parameters that have their values before it."""
        return (*self.derived_from, *(name for name, _ in self.conditions))

    @property
    def is_written(self) -> bool:
        """Whether it stands in the file's `space`; depth and width that are derived do not, nor does `data.size`."""
        return bool(self.term.section) and (not self.derived_from or self.value is not None)

    @cached_property
    def each(self) -> bool:
        """Whether every stage has a value of its own."""
        return self.domain is not None and self.domain.each is not None

    @cached_property
    def direction(self) -> int:
        """1 where its stages' values never fall, -1 where they never rise, 0 where they have no order."""
        order = self.domain.order if self.domain is not None else None
        return {None: 0, "increasing": 1, "decreasing": -1}[order]

    def questions(self, stages: int) -> list[str]:
        """The names under which its values are asked: one a stage with `each`, otherwise its own alone."""
        return [f"stage{stage + 1}.{self.name}" for stage in range(stages)] if self.each else [self.name]

    def probes(self) -> tuple[Scalar, ...]:
        """All values that it may have where they are few; otherwise their ends."""
        return self.value.probes() if isinstance(self.value, Domain) else (self.value,)

    def ask(self, question: str, choices: Choices) -> Scalar:
        """What `choices` answer to one of its questions; its value, without asking, where that is fixed."""
        return self.value.ask(question, choices) if isinstance(self.value, Domain) else self.value

    def to_data(self) -> Any:
        """As a file writes it."""
        return self.value.model_dump(mode="json") if isinstance(self.value, Domain) else self.value


@cache
def vocabulary() -> Mapping[str, Term]:
    """Every term by its name; those of a group are dotted, as survival.schedule."""
    terms = [Term(name="stages", owner=_Net, field="stages")]
    terms += [Term(name=f, owner=Stage, field=f, per_stage=True) for f in Stage.model_fields if f != "block"]
    terms += [
        Term(name="block" if f == "kind" else f, owner=Block, field=f, per_stage=True) for f in Block.model_fields
    ]
    for group, model in groups().items():
        terms += [Term(name=f"{group}.{f}", owner=model, field=f, group=group) for f in model.model_fields]
    return {term.name: term for term in terms}


@cache
def network_terms() -> Mapping[str, Term]:
    """Every term of which a network may depend: the vocabulary, and `data.size`."""
    return {**vocabulary(), SIZE: Term(name=SIZE, owner=Resolution, field="size", group="data", section=())}


@cache
def groups() -> Mapping[str, type[StrictModel]]:
    """The models of the parameters that belong to no stage: stem, head, survival, and the linear widths."""
    return {**parts(), GROUP: LinearWidths}


@cache
def parts() -> Mapping[str, type[StrictModel]]:
    """The models among an Architecture's fields."""
    return {
        name: info.annotation
        for name, info in Architecture.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, StrictModel)
    }


def read_parameters(document: Document, loc: Loc = ("space",)) -> tuple[dict[str, Parameter], list[Problem]]:
    """What a file's `space:` (a mapping), or the group at `loc`, says: each parameter checked against its own
    constraints; and what is wrong with it."""
    group = ".".join(map(str, loc[1:]))
    names = [*groups()[group].model_fields] if group else [*(n for n in vocabulary() if "." not in n), *groups()]
    written = document.at(loc)
    if not isinstance(written, dict):
        allowed = f"a mapping with the keys {', '.join(names)}"
        return {}, [document.problem(loc, f"{group} is {shorten(written)}", allowed=allowed)]
    parameters: dict[str, Parameter] = {}
    problems: list[Problem] = []
    for key, value in written.items():
        if key not in names:
            problems.append(unknown_field(document, (*loc, key), names))
        elif key in groups():
            members, wrong = read_parameters(document, (*loc, key))
            parameters |= members
            problems += wrong
        else:
            read_parameter(document, vocabulary()[f"{group}.{key}" if group else key], value, parameters, problems)
    return parameters, problems


def read_parameter(
    document: Document, term: Term, value: Any, parameters: dict[str, Parameter], problems: list[Problem]
) -> None:
    """Adds what a file says of a term to `parameters`, or what is wrong with that to `problems`."""
    wrong: list[Problem] = []
    if isinstance(value, list):
        hint = _hint_for_list(document, term, value)
        wrong = [document.problem(term.loc, f"{term.name} is a list", allowed=term.domains, hint=hint)]
    elif isinstance(value, dict):
        value, wrong = _read_domain(document, term, value)
    wrong = wrong or _check_values(document, term, value)
    problems.extend(wrong)
    if not wrong:
        parameters[term.name] = Parameter(term=term, value=value)


def _hint_for_list(document: Document, term: Term, options: list[Any]) -> str:
    """How a list may be written as a domain: only what would be accepted."""
    forms: list[tuple[str, dict[str, Any], str]] = [
        ("to vary it", {"choice": options}, f"{{choice: {shorten(options)}}}")
    ]
    if term.per_stage and _stages(document) in (None, len(options)):
        per_stage = {"each": "stage", "values": options}
        forms.append(("to fix one value per stage", per_stage, f"{{each: stage, values: {shorten(options)}}}"))
    accepted = []
    for purpose, form, text in forms:
        rewritten = document.with_value(term.loc, form, document.file)
        value, problems = _read_domain(rewritten, term, form)
        if not problems and not _check_values(rewritten, term, value):
            accepted.append(f"{text} {purpose}")
    if accepted:
        return f"write {', or '.join(accepted)}"
    nested = term.per_stage and any(isinstance(option, dict) for option in options)
    return "domains do not nest; one domain with each: stage varies per stage" if nested else ""


def _stages(document: Document) -> int | None:
    """The largest number of stages that the file's `stages` gives; None where that cannot be read."""
    parameters: dict[str, Parameter] = {}
    written = document.at(("space",)).get("stages")
    if written is None or isinstance(written, list):
        return None
    read_parameter(document, vocabulary()["stages"], written, parameters, [])
    probes = parameters["stages"].probes() if parameters else ()
    return max((probe for probe in probes if isinstance(probe, int)), default=None)


def _read_domain(document: Document, term: Term, value: dict[str, Any]) -> tuple[Any, list[Problem]]:
    kind = kind_of(value)
    if kind is None:
        hint = next((h for key in value if (h := did_you_mean(key, [*KINDS]))), "")
        text = f"{term.name} is {shorten(value)}"
        return None, [document.problem(term.loc, text, allowed=term.domains, hint=hint)]
    domain, problems = try_validate(kind, document, term.loc)
    if domain is None:
        return None, problems
    if isinstance(domain, SameAs) and term.name != SAME_AS_FIRST_STAGE:
        text = f"{term.name} is {shorten(value)}; only {SAME_AS_FIRST_STAGE} may be the same as a stage's"
        return None, [document.problem(term.loc, text, allowed=term.domains)]
    if domain.each and not term.per_stage:
        scope = f"a single value for the whole {'network' if term.of_network else 'training'}; its domain takes no each"
        return None, [
            document.problem((*term.loc, "each"), f"{term.name} is {scope}", allowed="a domain without each", key=True)
        ]
    if domain.when and term.required:
        text = f"{term.name} has no default, so it cannot depend on other keys"
        return None, [document.problem((*term.loc, "when"), text, allowed="a domain without when", key=True)]
    return domain, []


def _check_values(document: Document, term: Term, value: Any) -> list[Problem]:
    if not isinstance(value, Domain):
        problem = check_value(document, term, value, term.loc)
        return [problem] if problem else []
    source = next(key for key in KINDS if key in document.at(term.loc))
    positions: list[Loc] = [
        (min(index, 1) if source in ("int", "float") else index,) for index in range(len(value.probes()))
    ]
    if isinstance(value, StageChoices):
        positions = [(stage, index) for stage, options in enumerate(value.choices) for index in range(len(options))]
    for position, probe in zip(positions, value.probes(), strict=True):
        if problem := check_value(document, term, probe, (*term.loc, source, *position)):
            return [problem]
    if value.order and not all(_is_number(probe) for probe in value.probes()):
        text = f"{term.name} has an order, but values that are not numbers"
        return [document.problem((*term.loc, "order"), text, allowed="order among numbers")]
    return []


def check_value(document: Document, term: Term, value: Any, loc: Loc) -> Problem | None:
    """What keeps a term from having a value, by its own constraints; None where nothing does."""
    try:
        term.owner.model_validate({term.field: value})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["loc"][:1] == (term.field,):
                return wrong_value(document, loc, value, step_into(term.owner, (term.field,)))
            # A stage's or block's words may only be wrong together, which `when` can rule out.
            if detail["loc"] == () and term.group:
                message = str(detail.get("ctx", {}).get("error", detail["msg"]))
                text, _, allowed = message.partition("; allowed: ")
                return document.problem(loc, text, allowed=allowed or allowed_for(term))
    return None


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def allowed_for(term: Term) -> str:
    """What the term takes, as text."""
    return describe(step_into(term.owner, (term.field,)))

"""A search-space file -> SearchSpace, with every problem at its line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from archsearch.architecture.plan import stage_contexts
from archsearch.architecture.spec import Architecture
from archsearch.experiment.folder import refuse_links_around
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.model import StrictModel
from archsearch.reading.validation import ordered, try_validate
from archsearch.reading.yaml import read
from archsearch.space.budget import Budget
from archsearch.space.choices import RandomChoices
from archsearch.space.conditions import connect
from archsearch.space.datasets import DataFacts, facts
from archsearch.space.optimization_settings import PARENT
from archsearch.space.overrides import apply
from archsearch.space.parameters import Parameter, network_terms, read_parameter, read_parameters
from archsearch.space.reach import refuse_if_unreachable
from archsearch.space.resolution import MOST_SIZES, SIZE, plain
from archsearch.space.sampling import NotInSpace
from archsearch.space.search_settings import SearchSettings, seeking
from archsearch.space.settings import NAME, DataSettings, ResourceSettings, TrainingSettings, data_for
from archsearch.space.shipped import space_path
from archsearch.space.space import FORMAT, SearchSpace
from archsearch.space.start_settings import StartSettings
from archsearch.space.tasks import METRICS, default_metric, metrics_of
from archsearch.space.trainings import Trainings, read_trainings, refuse_clashes, refuse_frozen

SHARE = 0.15
PROBES, MOST_PROBES = 8, 2_000


class SpaceFile(StrictModel):
    """A search-space file."""

    archsearch: Literal[1] = Field(description="Version of the file format.")
    name: str = Field(pattern=NAME, description="Name of the experiment and of its folder.")
    data: DataSettings = Field(
        default_factory=lambda: DataSettings.model_validate({}), description="The images and their splits."
    )
    space: dict[str, Any] = Field(description="Parameters of the architectures, each fixed or varied.")
    start: StartSettings | None = Field(
        None, description="Trained networks whose weights candidates begin with. Default: none, initial values."
    )
    budget: Budget = Field(
        default_factory=lambda: Budget.model_validate({}), description="Limits on what a network may cost."
    )
    search: SearchSettings = Field(
        default_factory=lambda: SearchSettings.model_validate({}),
        description="Objectives, sampler and length of the search.",
    )
    training: TrainingSettings = Field(
        default_factory=lambda: TrainingSettings.model_validate({}),
        description="Training settings of every trial; some may vary.",
    )
    resources: ResourceSettings = Field(
        default_factory=lambda: ResourceSettings.model_validate({}), description="CPU cores and GPUs of each trial."
    )


def load_space(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    data: DataFacts | None = None,
    completed: Callable[[Document], Document] = lambda document: document,
) -> SearchSpace:
    """The space of a file, or the shipped one of that name, with `key=value` overrides set first, and what `completed`
    adds to it then. With `data`, what is known of its images, these need not be there.

    Raises InputError with all problems at once: whatever is no YAML, no known word or out of range, data that
    is missing, and a budget that no network of the space can keep.
    """
    file = space_path(path)
    refuse_links_around(Path(file))
    return space_of(completed(apply(read(file), overrides)), data=data)


def space_of(document: Document, *, data: DataFacts | None = None) -> SearchSpace:
    """The space of a document that was read, or made of plain values. Takes `data` and raises as `load_space`."""
    _check_version(document)
    document, fixed = _sized(document)
    trainings, wrong = read_trainings(fixed)
    file, problems = try_validate(SpaceFile, trainings.fixed, own_metrics=_own_metrics(document))
    problems = [*problems, *wrong]
    parameters: dict[str, Parameter] = {}
    if isinstance(document.data, dict) and isinstance(document.data.get("space"), dict):
        parameters, more_problems = network_parameters(document)
        problems = [*problems, *more_problems]
    if file is None or problems:
        raise InputError(*ordered(problems))
    space = _resolve(file, parameters, trainings.trainings(file.training), document, data)
    if space.training.teacher == PARENT and space.start is None:
        text, allowed = "training.teacher is parent, without start", "start: {weights: [...]}, or a trained folder"
        raise InputError(document.problem(("training", "teacher"), text, allowed=allowed))
    if clashes := refuse_frozen(document, space.trainings) or refuse_clashes(document, space.trainings):
        raise InputError(*clashes)
    reasons = [_never_trains(network) for network in _drawn(space)]
    if reasons[0] and all(reasons):
        message, _, allowed = reasons[0].partition("; allowed: ")
        raise InputError(
            document.problem(("space",), f"no network of the space would train: {message}", allowed=allowed)
        )
    refuse_if_unreachable(space)
    return space


def network_parameters(document: Document) -> tuple[dict[str, Parameter], list[Problem]]:
    """The parameters of the networks, in an order in which each can be asked, of a document with `space`, a mapping;
    and what is wrong with them."""
    parameters, problems = read_parameters(document)
    _read_size(document, parameters, problems)
    return (parameters, problems) if problems else connect(document, parameters)


def _own_metrics(document: Document) -> tuple[str, ...]:
    """The names that the document's `data.metrics` has, where it is such a mapping."""
    data = document.data.get("data") if isinstance(document.data, dict) else None
    metrics = data.get("metrics") if isinstance(data, dict) else None
    return tuple(metrics) if isinstance(metrics, dict) else ()


def _never_trains(network: Architecture) -> str | None:
    """Why some block of the network would never train; None where all of them do."""
    blocks = zip(network.stages, stage_contexts(network), strict=True)
    return next(filter(None, (stage.block.never_trains(context.following) for stage, context in blocks)), None)


def _drawn(space: SearchSpace) -> list[Architecture]:
    """A few networks of the space. Raises InputError where values do not go together, or where linear widths never give
    stages that the space allows."""
    networks, stages, last = list[Architecture](), space.parameters["stages"], ""
    for seed in range(MOST_PROBES if stages.derived_from else PROBES):
        try:
            networks.append(space.architecture(RandomChoices(seed)))
        except NotInSpace as error:
            last = error.problems[0].message
        if len(networks) == PROBES:
            break
    if not networks:
        text = f"none of {MOST_PROBES:,} networks drawn has such stages; of the last one {last}"
        allowed = f"{', '.join(map(str, stages.probes()))} stages of at most 8192 channels"
        raise InputError(space.document.problem(stages.term.loc, text, allowed=allowed))
    return networks


def _sized(document: Document) -> tuple[Document, Document]:
    """The document with plain values for the rectangles of a `data.size` that varies, and without that domain."""
    data = document.data.get("data") if isinstance(document.data, dict) else None
    if not isinstance(data, dict) or not isinstance(size := plain(data.get("size")), dict):
        return document, document
    sized = {**document.data, "data": {**data, "size": size}}
    fixed = {**document.data, "data": {key: value for key, value in data.items() if key != "size"}}
    return replace(document, data=sized), replace(document, data=fixed)


def _read_size(document: Document, parameters: dict[str, Parameter], problems: list[Problem]) -> None:
    """Adds `data.size` to `parameters`, where it varies or a domain's `when` names it, or what is wrong with it to
    `problems`."""
    term, data = network_terms()[SIZE], document.data.get("data")
    written = plain(data.get("size", term.default())) if isinstance(data, dict) else term.default()
    if not isinstance(written, dict):
        if any(parameter.domain is not None and SIZE in parameter.domain.when for parameter in parameters.values()):
            parameters[SIZE] = Parameter(term=term, value=written)
        return
    read_parameter(document, term, written, parameters, problems)
    if SIZE in parameters and (domain := parameters[SIZE].domain) is not None and domain.count() > MOST_SIZES:
        allowed = f"at most {MOST_SIZES}: the images are held at each size"
        problems.append(document.problem(term.loc, f"{SIZE} has {domain.count():,} values", allowed=allowed))


def _check_version(document: Document) -> None:
    version = document.data.get("archsearch", FORMAT) if isinstance(document.data, dict) else FORMAT
    if version == FORMAT and not isinstance(version, bool | float):
        return
    newer = isinstance(version, int) and version > FORMAT
    raise InputError(
        document.problem(
            ("archsearch",),
            f"a file of format version {version!r:.40}",
            allowed=f"archsearch: {FORMAT}, the version that this archsearch reads",
            hint="it was written by a newer archsearch; update archsearch" if newer else "",
        )
    )


def _resolve(
    file: SpaceFile,
    parameters: dict[str, Parameter],
    trainings: Trainings,
    document: Document,
    known_facts: DataFacts | None,
) -> SearchSpace:
    size = parameters.get(SIZE)
    settings = file.data if size is None or size.domain is None else file.data.model_copy(update={"size": size.domain})
    data, notes = _settled(data_for(trainings.base, settings, _recipe(document)), document, known_facts)
    data_facts = known_facts or _located_facts(data, document)
    image = data_facts.input
    if size is not None and (not data.is_source or (known_facts is None and image[1:] != data.sizes[0])):
        text = f"{SIZE} is a parameter, but the images of {data.name} have one size, {image[1]}x{image[2]}"
        raise InputError(document.problem(size.term.loc, text, allowed="image files, which are resized"))
    if data.varied_size is not None:
        image = (image[0], *data.sizes[0])
    search = _by_a_metric_of(data_facts, file.search, document)
    if search is not file.search:
        objective = search.objective
        notes += (f"search.objectives: {objective.name}: {objective.sense}, the default for {data_facts.task}",)
    return SearchSpace(
        name=file.name,
        parameters=parameters,
        input=image,
        classes=data_facts.classes,
        budget=file.budget,
        data=data,
        search=search,
        trainings=trainings,
        resources=file.resources,
        start=file.start,
        file=document.file,
        notes=notes,
        document=document,
    )


def _recipe(document: Document) -> Any:
    """The recipe that the file names, which its resolved settings do not."""
    return (document.data.get("training") or {}).get("recipe")


def _by_a_metric_of(facts: DataFacts, search: SearchSettings, document: Document) -> SearchSettings:
    """The settings with the default metric of the images' task, where the file states no objectives. Raises InputError
    for a metric that images of this task do not have."""
    task = facts.task
    if "objectives" not in search.model_fields_set:
        metric = default_metric(task or "single_label")
        return search if metric in search.objectives else search.model_copy(update={"objectives": seeking(metric)})
    metric = search.objective.name
    if metric not in METRICS:
        return search
    if task is not None and metric not in (allowed := {m.name: m.sense for m in metrics_of(task, facts.classes)}):
        text = f"search.objectives has {metric}, which images of {facts.classes} classes do not have"
        if task not in METRICS[metric].tasks:
            text = f"search.objectives has {metric}, which the task {task} does not have"
        raise InputError(
            document.problem(
                ("search", "objectives", metric),
                text,
                allowed=", ".join(f"{name}: {sense}" for name, sense in allowed.items()),
            )
        )
    return search


def _located_facts(data: DataSettings, document: Document) -> DataFacts:
    try:
        return facts(data)
    except InputError as error:
        if data.name not in ("folder", "arrays"):
            raise  # it names the file, and the line in it
        cause = error.problems[0]
        text = f"{cause.message} ({cause.file})"
        raise InputError(document.problem(("data", "root"), text, allowed=cause.allowed, hint=cause.hint)) from None


def _settled(
    data: DataSettings, document: Document, known_facts: DataFacts | None
) -> tuple[DataSettings, tuple[str, ...]]:
    """A number of validation images is meant for the file's own data; with smaller data a share stands in."""
    if data.validation_size >= 1 and not isinstance(data.validation_size, int):
        raise InputError(
            document.problem(
                ("data", "validation"),
                f"data.validation is {data.validation}",
                allowed="a whole number of images, or a share below 1",
            )
        )
    images = None
    if data.name == "arrays" and known_facts is not None:
        images = known_facts.images
    elif data.name != "folder":
        images = _located_facts(data, document).images
    if images is None or data.validation_size < images / 2:
        return data, ()
    note = (
        f"data.validation: {data.validation_size:,} of {data.name}'s {images:,} training images are at "
        f"least half of them; {SHARE:.0%} of them are used instead"
    )
    return data.model_copy(update={"validation": SHARE}), (note,)

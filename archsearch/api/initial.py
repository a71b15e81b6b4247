"""A search-space file from a folder of images: what fits them, the time and this machine, written as a person would."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from archsearch.api.spaces import plain, with_parts
from archsearch.api.subjects import ANOTHER, Subject, data_of, image_side, subject_of
from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture
from archsearch.data.images import Progress
from archsearch.data.surveying import FolderSurvey, survey_folder
from archsearch.reading.document import Document
from archsearch.reading.durations import parse_duration
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.numbers import format_count, parse_count
from archsearch.reading.validation import validate
from archsearch.reading.yaml import read
from archsearch.sources.kinds import settings_of
from archsearch.space.datasets import facts as known_facts
from archsearch.space.datasets import split_sizes
from archsearch.space.fitting import ImageFacts, auto_recipe
from archsearch.space.loading import load_space, space_of
from archsearch.space.overrides import apply
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.space.space import SearchSpace
from archsearch.zoo.reference import LARGE, outline, reference, within

if TYPE_CHECKING:
    from archsearch.api.data import DataSource
    from archsearch.training.measuring.probe import Timings

Number = TypeVar("Number", int, float)
TIME = "30m"
FINAL_SHARE = 0.5  # of the time is what the largest network's full training takes
BOUNDS = tuple(int(digit * 10**power) for power in (6, 7, 8, 9) for digit in (1, 1.5, 2, 3, 5, 7))  # FLOPs, rising
LOWEST_SHARE = 5  # of the bound networks take a fifth at least: less is no use of the budget
SIZES_FROM = 3600.0  # seconds of a search from which the resolution is a choice: a larger space needs more trials
TRIALS = 300  # at most: the time ends the search
PROBE_SECONDS = 3.0
USED = 0.5  # share of a bound that the reference network uses, as long as there are larger ones


@dataclass(frozen=True, kw_only=True)
class Initial:
    """A search-space file for a folder: its text, the space that it is, and what was seen of the folder."""

    text: str
    space: SearchSpace
    survey: FolderSurvey


def initial(
    root: Path,
    overrides: Sequence[str] = (),
    *,
    time: str | None = None,
    flops: int | None = None,
    params: int | None = None,
    tell: Progress,
) -> Initial:
    """A space for the images in a folder or a table; `overrides` of `data.columns` and `data.task` say what a table's
    columns are. `time` (10m, 8h) ends the search; `flops` bounds its networks: left out, as many as can be trained in
    full within half of the time. Raises InputError where there are no labelled images."""
    from archsearch.training.devices import gpus

    time = _time_of(time) or TIME
    data = data_of(root, overrides)
    try:
        survey = survey_folder(data, tell)
    except InputError as error:
        if data.name != "folder":
            raise
        # there is no file whose data.root could be set
        raise InputError(*(replace(problem, hint=ANOTHER) for problem in error.problems)) from None
    if len(survey.broken) == survey.headers:
        raise refuse("no readable image", hint="check the files' format", file=str(root))
    subject = subject_of(survey, data, image_side(survey, on_gpu=bool(gpus())))
    text = _designed(subject, time, flops, params, tell)
    return Initial(text=text, space=space_of(read(text)), survey=survey)


def space_of_data(
    source: DataSource,
    *,
    time: str | None = None,
    flops: int | str | None = None,
    params: int | str | None = None,
    tell: Progress,
) -> str:
    """The text of a space for what Python gives for data. Raises InputError as `initial`."""
    counts = counts_of(flops, params)
    settings = {key.removeprefix("data."): value for key, value in source.overrides.items()}
    if not settings:
        raise refuse(
            "neither a space nor data",
            allowed="a space, data, or both",
            hint="archsearch.search('digits')",
            file="space",
        )
    if settings["name"] == "folder" and "root" not in settings:
        raise refuse("a folder without root", allowed="{'name': 'folder', 'root': DIR}", file="data")
    data = validate(DataSettings, Document(data=plain(settings), file="data"))
    if data.is_source and settings_of(Path(data.location)) is not None:
        keys = {key: value for key, value in settings.items() if key in ("columns", "task")}
        told = [f"data.{key}={json.dumps(plain(value))}" for key, value in keys.items()]
        return initial(Path(data.location), told, time=time, **counts, tell=tell).text
    time = _time_of(time) or TIME
    facts = source.facts or known_facts(data)
    assert facts.images is not None
    name, train = str(settings["name"]), split_sizes(DataSettings(), facts.images)[0]
    comment = f"# Made by archsearch for {facts.images:,} images of {facts.classes} classes."
    subject = Subject(
        shape=facts.input,
        classes=facts.classes,
        train=train,
        data=f"{{name: {name}}}",
        name=name.replace("_", "-"),
        comments=(comment,),
    )
    return _designed(subject, time, **counts, tell=tell)


def _designed(subject: Subject, time: str, flops: int | None, params: int | None, tell: Progress) -> str:
    """The file's text. The resolution is a choice where images are larger than networks see, the time is long, and a
    residual network for the largest size is within the bound, of which the time is estimated at that size."""
    seconds = float(parse_duration(time))
    if subject.sizes and seconds >= SIZES_FROM:
        searched = subject.at_sizes()
        bound = flops or _affordable(searched, seconds, tell)
        large, network = (
            within(images.shape, images.classes, flops=bound, params=params) for images in (searched, subject)
        )
        if large is not None and network is not None:
            return _text(searched, network, bound, params, time, flops_set=flops is not None)
    if subject.sizes:
        sizes = f"`size: {{choice: {list(subject.sizes)}}}` searches the resolution too, which takes longer"
        subject = replace(subject, comments=(*subject.comments, f"# They are larger than networks see; {sizes}."))
    bound = flops or _affordable(subject, seconds, tell)
    network = within(subject.shape, subject.classes, flops=bound, params=params)
    if network is None:
        smallest = _smallest(subject.shape, subject.classes)
        least = min(map(cost, smallest), key=lambda counted: counted.flops)
        raise refuse(
            f"no residual network for images of {subject.shape[1]}x{subject.shape[2]} has {bound:,} FLOPs or fewer",
            allowed=f"{least.flops:,} FLOPs and {least.params:,} parameters or more",
            file="--flops",
        )
    return _text(subject, network, bound, params, time, flops_set=flops is not None)


def space_for(
    source: Path,
    overrides: Sequence[str] = (),
    *,
    time: str | None = None,
    flops: str | None = None,
    params: str | None = None,
    tell: Progress,
) -> SearchSpace:
    """The space that is meant: a search-space file's, or one that fits a folder or a table of images. `time`, `flops`
    and `params` are what a person may want to say of either (10m, 20M, 60k); `overrides` come after. Raises
    InputError."""
    if source.is_dir() or settings_of(source) is not None:
        made = initial(source, overrides, time=time, **counts_of(flops, params), tell=tell)
        return space_of(apply(read(made.text), overrides))
    limits = [f"{key}={json.dumps(value)}" for key, value in limits_of(time, flops, params).items()]
    return load_space(source, [*limits, *overrides], completed=lambda document: with_parts(document, tell))


def limits_of(time: str | None, flops: int | str | None, params: int | str | None) -> dict[str, Any]:
    """Overrides of a file, by dotted keys, that `time`, `flops` and `params` stand for. Raises InputError for what is
    no count."""
    counts = counts_of(flops, params).items()
    bounds = {f"budget.{name}": {"max": count} for name, count in counts if count is not None}
    return {**({"search.wall_time": _time_of(time)} if time else {}), **bounds}


def counts_of(flops: int | str | None, params: int | str | None) -> dict[str, int | None]:
    """Both by their names, as numbers where they were given as 20M. Raises InputError for what is no count."""
    given = {"flops": flops, "params": params}
    return {name: None if text is None else _option(name, parse_count, str(text)) for name, text in given.items()}


def _time_of(given: str | None) -> str | None:
    """A time such as 10m, or whole seconds, as a file has it. Raises InputError for what is none."""
    time = f"{given}s" if given and given.isdigit() else given
    if time:
        _option("time", parse_duration, time)
    return time


def _option(name: str, parse: Callable[[str], Number], text: str) -> Number:
    try:
        return parse(text)
    except InputError as error:
        raise InputError(*(replace(problem, file=f"--{name}") for problem in error.problems)) from None


def _affordable(subject: Subject, seconds: float, tell: Progress) -> int:
    facts = ImageFacts(train=max(1, subject.train), shape=subject.shape, mirrored=1.0)
    return affordable_flops(facts, subject.classes, seconds, tell=tell)


def affordable_flops(facts: ImageFacts, classes: int, seconds: float, *, tell: Progress) -> int:
    """The highest of BOUNDS for which a full training of the reference network takes half of the time, or less, by a
    measurement on this machine; the lowest where none does. No bound is higher than twice what the largest reference
    network for such images has: nothing is known of how long larger ones take, and images of 8x8 do not need them."""
    tell("measuring how fast this machine trains")
    timings = _timings(facts, classes)
    recipe = auto_recipe({}, facts, timed=True)
    affordable = BOUNDS[0]
    for bound in BOUNDS:
        network = within(facts.shape, classes, flops=bound)
        if network is None:
            continue
        if cost(network).flops < USED * bound:
            break
        epoch = timings.epoch_seconds(
            network, train=facts.train, validation=max(1, facts.train // 6), batch=recipe["batch_size"]
        )
        if epoch * recipe["epochs"] > FINAL_SHARE * seconds:
            break
        affordable = bound
    return affordable


def _timings(facts: ImageFacts, classes: int) -> Timings:
    from archsearch.training.measuring.probe import probe

    sizes = (3_000_000, 10_000_000, 30_000_000, 100_000_000)
    networks = [network for flops in sizes if (network := within(facts.shape, classes, flops=flops))]
    if len(networks) < 2:
        networks = list(_smallest(facts.shape, classes))
    settings = TrainingSettings.model_validate(auto_recipe({}, facts))
    return probe(networks, settings, seconds=PROBE_SECONDS)


def _smallest(image: tuple[int, int, int], classes: int) -> list[Architecture]:
    """The least network, and one twice as wide."""
    least: list[tuple[int, Architecture]] = []

    def note(network: Architecture, counted: Cost) -> bool:
        least.append((counted.flops, network))
        return False

    reference(image, classes, note)
    return [network for _, network in sorted(least, key=lambda pair: pair[0])[:2]]


def _text(
    subject: Subject,
    network: Architecture,
    flops: int,
    params: int | None,
    time: str,
    *,
    flops_set: bool,
) -> str:
    side = min(network.input[1:])
    plan, width, depth = outline(side), network.stem.width, network.stages[0].depth
    widths = sorted({max(4, round(width * factor / 4) * 4) for factor in (0.5, 1, 1.5, 2, 3, 4, 6, 8)})
    stem = [f"kernel: {plan.kernel}", f"width: {{choice: {sorted({max(4, width // 2), width, 2 * width})}}}"]
    if side >= LARGE:
        stem += ["stride: 2", "pool: max"]
    elif side >= 24:
        stem.append("stride: {choice: [1, 2]}")
    bounds = [f"flops: {{between: [{format_count(flops // LOWEST_SHARE)}, {format_count(flops)}]}}"]
    bounds += [] if params is None else [f"params: {{max: {format_count(params)}}}"]
    lines = [
        *subject.comments,
        "archsearch: 1",
        f"name: {subject.name}",
        "",
        f"data: {subject.data}",
        "",
        "# Each key has a value or a domain; docs/search-space.md lists all keys.",
        "space:",
        f"  stem: {{{', '.join(stem)}}}",
        f"  stages: {plan.stages}",
        f"  depth: {{int: [1, {max(3, 2 * depth)}], each: stage}}",
        f"  width: {{choice: {widths}, each: stage, order: increasing}}",
        "  block: {choice: [basic, bottleneck]}",
        "  bottleneck_ratio: {choice: [0.25, 0.5], when: {block: bottleneck}}",
        "  activation: {choice: [post, pre]}",
        "  attention: {choice: [none, se]}",
        "",
        "# Limits on what a network may cost."
        + (" FLOPs: what this machine can train within the time; set your own." if not flops_set else ""),
        f"budget: {{{', '.join(bounds)}}}",
        "",
        "# The search ends after this time; its last part trains the best networks to the end.",
        "# A plain residual network is tried first.",
        f"search: {{wall_time: {time}, trials: {TRIALS}, first: [plain]}}",
        "",
        "# Epochs, batch size and augmentation are set from the images (recipe: auto).",
        "training: {recipe: auto}",
        "",
        "resources: {cpus_per_trial: auto}",
    ]
    return "\n".join(lines) + "\n"

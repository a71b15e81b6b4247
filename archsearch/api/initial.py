"""A search-space file from a folder of images: what fits them, the time and this machine, written as a person would."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture
from archsearch.data.images import Progress
from archsearch.data.surveying import FolderSurvey, survey_folder
from archsearch.reading.durations import parse_duration
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.numbers import format_count, parse_count
from archsearch.reading.yaml import read
from archsearch.space.fitting import ImageFacts, auto_recipe
from archsearch.space.loading import load_space, space_of
from archsearch.space.overrides import apply
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.space.space import SearchSpace
from archsearch.zoo.reference import LARGE, outline, reference

if TYPE_CHECKING:
    from archsearch.training.measuring.probe import Timings

TIME = "30m"
FINAL_SHARE = 0.5  # of the time is what the largest network's full training takes
BOUNDS = tuple(int(digit * 10**power) for power in (6, 7, 8, 9) for digit in (1, 1.5, 2, 3, 5, 7))  # FLOPs, rising
LOWEST_SHARE = 5  # of the bound networks take a fifth at least: less is no use of the budget
ON_CPU, ON_GPU = 64, 128  # pixels a side, at most
TRIALS = 300  # at most: the time ends the search
PROBE_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Initial:
    """A search-space file for a folder: its text, the space that it is, and what was seen of the folder."""

    text: str
    space: SearchSpace
    survey: FolderSurvey


def initial(
    root: Path, *, time: str | None = None, flops: int | None = None, params: int | None = None, tell: Progress
) -> Initial:
    """A space for the images in a folder. `time` (10m, 8h) ends the search; `flops` bounds its networks: left out, as
    many as can be trained in full within half of the time. Raises InputError where there are no classes of images."""
    from archsearch.training.devices import gpus

    seconds = parse_duration(time or TIME)
    survey = survey_folder(DataSettings(name="folder", root=str(root)), tell)
    if len(survey.broken) == survey.headers:
        raise refuse("no image that can be read", hint="check the files' format", file=str(root))
    on_gpu = bool(gpus())
    side = image_side(survey, on_gpu=on_gpu)
    image, classes = (3, side, side), len(survey.classes)
    facts = ImageFacts(train=max(1, survey.train), shape=image, mirrored=1.0)
    bound = flops or affordable_flops(facts, classes, float(seconds), tell=tell)
    network = reference(
        image, classes, lambda _, counted: counted.flops <= bound and counted.params <= (params or 1e12)
    )
    if network is None:
        least = min((cost(smallest) for smallest in _smallest(image, classes)), key=lambda counted: counted.flops)
        raise refuse(
            f"no residual network for images of {side}x{side} has {bound:,} FLOPs or fewer",
            allowed=f"{least.flops:,} FLOPs and {least.params:,} parameters or more",
            file="--flops",
        )
    text = _text(survey, network, side, bound, params, time or TIME, flops_set=flops is not None, on_gpu=on_gpu)
    return Initial(text=text, space=space_of(read(text)), survey=survey)


def space_for(
    source: Path,
    overrides: Sequence[str] = (),
    *,
    time: str | None = None,
    flops: str | None = None,
    params: str | None = None,
    tell: Progress,
) -> SearchSpace:
    """The space that is meant: a search-space file's, or one that fits a folder of images. `time`, `flops` and `params`
    are what a person may want to say of either (10m, 20M, 60k); `overrides` come after. Raises InputError."""
    counts = {name: count_option(name, text) for name, text in (("flops", flops), ("params", params))}
    if source.is_dir():
        made = initial(source, time=time, **counts, tell=tell)
        return space_of(apply(read(made.text), overrides))
    bounds = [f"budget.{name}={{max: {count}}}" for name, count in counts.items() if count is not None]
    return load_space(source, [*([f"search.wall_time={time}"] if time else []), *bounds, *overrides])


def count_option(name: str, text: str | None) -> int | None:
    """The number that --flops or --params was given. Raises InputError for text that is no count."""
    try:
        return None if text is None else parse_count(text)
    except InputError as error:
        raise InputError(*(replace(problem, file=f"--{name}") for problem in error.problems)) from None


def image_side(survey: FolderSurvey, *, on_gpu: bool) -> int:
    """The pixels a side that networks see: the images' own where they are small, else as many as a device can bear."""
    middle = survey.sides[1]
    most = ON_GPU if on_gpu else ON_CPU
    if middle <= most:
        return max(8, middle // 2 * 2 if middle < 32 else middle // 4 * 4)
    return most


def affordable_flops(facts: ImageFacts, classes: int, seconds: float, *, tell: Progress) -> int:
    """The highest of BOUNDS for which a full training of the reference network takes half of the time, or less, by a
    measurement on this machine; the lowest where none does."""
    tell("measuring how fast this machine trains")
    timings = _timings(facts, classes)
    recipe = auto_recipe({}, facts, timed=True)
    affordable = BOUNDS[0]
    for bound in BOUNDS:
        network = within(facts.shape, classes, flops=bound)
        if network is None:
            continue
        epoch = timings.epoch_seconds(
            network, train=facts.train, validation=max(1, facts.train // 6), batch=recipe["batch_size"]
        )
        if epoch * recipe["epochs"] > FINAL_SHARE * seconds:
            break
        affordable = bound
    return affordable


def within(image: tuple[int, int, int], classes: int, *, flops: int, params: int | None = None) -> Architecture | None:
    """The reference network of at most so many FLOPs and parameters."""

    def admits(_: Architecture, counted: Cost) -> bool:
        return counted.flops <= flops and (params is None or counted.params <= params)

    return reference(image, classes, admits)


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


def _name(root: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", root.absolute().name).strip("-")[:60] or "images"


def _text(
    survey: FolderSurvey,
    network: Architecture,
    side: int,
    flops: int,
    params: int | None,
    time: str,
    *,
    flops_set: bool,
    on_gpu: bool,
) -> str:
    import json

    plan, width, depth = outline(side), network.stem.width, network.stages[0].depth
    widths = sorted({max(4, round(width * factor / 4) * 4) for factor in (0.5, 1, 1.5, 2, 3, 4, 6, 8)})
    stem = [f"kernel: {plan.kernel}", f"width: {{choice: {sorted({max(4, width // 2), width, 2 * width})}}}"]
    if side >= LARGE:
        stem += ["stride: 2", "pool: max"]
    elif side >= 24:
        stem.append("stride: {choice: [1, 2]}")
    counts = [sum(split) for split in zip(*survey.images.values(), strict=True)]
    small, middle, large = survey.sides
    lines = [
        f"# Made by archsearch init for {survey.total:,} images of {len(survey.classes)} classes, {min(counts):,} to "
        f"{max(counts):,} a class.",
        f"# Shorter sides of {small} to {large} pixels, {middle} in the middle"
        + (", without colours." if survey.grey > 0.99 else "."),
    ]
    if survey.ratio >= 1.5:
        lines.append(
            f"# The longer side is {survey.ratio:.2g} times the shorter: the middle square is what networks see."
        )
    if survey.copies:
        lines.append(f"# {survey.copies:,} files repeat another's bytes, {survey.across:,} of them across splits.")
    broken = ", broken: skip" if survey.broken else ""
    if survey.broken:
        lines.append(f"# {len(survey.broken):,} files cannot be read, and are left out (broken: skip).")
    bounds = [f"flops: {{between: [{format_count(flops // LOWEST_SHARE)}, {format_count(flops)}]}}"]
    bounds += [] if params is None else [f"params: {{max: {format_count(params)}}}"]
    lines += [
        "archsearch: 1",
        f"name: {_name(survey.root)}",
        "",
        f"data: {{name: folder, root: {json.dumps(str(survey.root), ensure_ascii=False)}, size: {side}{broken}}}",
        "",
        "# Every word here is a value or a domain; docs/search-space.md has all of them.",
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
        "# What a network may cost."
        + (" FLOPs that this machine can train within the time; set yours." if not flops_set else ""),
        f"budget: {{{', '.join(bounds)}}}",
        "",
        "# The time ends it; its last part trains the best to the end.",
        f"search: {{wall_time: {time}, trials: {TRIALS}}}",
        "",
        "# Epochs, batches and augmentation follow from the images (recipe: auto).",
        "training: {recipe: auto}",
        "",
        f"resources: {{cpus_per_trial: 1{', gpus_per_trial: auto' if on_gpu else ''}}}",
    ]
    return "\n".join(lines) + "\n"

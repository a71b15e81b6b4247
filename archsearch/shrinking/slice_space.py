"""The slices of a trained network as a search space: parameters whose values are at most its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError, refuse
from archsearch.shrinking.slices import LEAST, WHOLE, Sizes, Slices, part_of
from archsearch.space.linear_widths import GROUP
from archsearch.space.parameters import Term, vocabulary

CUTS = {"drop_blocks": ("depth",), "slice_width": ("width", "inner", "growth")}
VARIED = ("depth", "width", "bottleneck_ratio", "growth_rate", "stem.width")


def free_sizes(slices: Slices, may: Collection[str]) -> frozenset[tuple[str, int]]:
    """The sizes that may be smaller than the trained network's, of those that can shrink alone. Stages that share
    their channels keep them, but for a first stage that shares them with the stem."""
    kinds = {kind for cut in may for kind in CUTS[cut]}
    shared = {group for group in slices.groups if slices.groups.count(group) > 1}
    if slices.groups[:2] == [0, 0] and slices.groups.count(0) == 2:
        shared.discard(0)
    return frozenset(key for key in slices.free if key[0] in kinds and not (key[0] == "width" and key[1] in shared))


def slice_space(slices: Slices, free: Collection[tuple[str, int]]) -> dict[str, Any]:
    """The group `space` of a search-space file: the trained network's keys, of which the `free` sizes vary.

    Depths go down to one block, widths, bottlenecks and growth in eighths to a quarter, as far as each can be cut
    alone. Raises InputError for a network with an epsilon of norms that no space can state.
    """
    parent = slices.parent
    if parent.norm_eps != Architecture.model_fields["norm_eps"].default:
        raise refuse(f"norms with an epsilon of {parent.norm_eps:g}", allowed="1e-5, as networks of a search have")
    numbers, groups = range(len(parent.stages)), slices.groups
    options: dict[str, list[list[Any]]] = {
        "depth": [_values(slices, free, ("depth", i), parent.stages[i].depth) for i in numbers],
        "width": [_values(slices, free, ("width", groups[i + 1]), parent.stages[i].width) for i in numbers],
        "bottleneck_ratio": [
            _values(slices, free, ("inner", i), parent.stages[i].block.bottleneck_ratio) for i in numbers
        ],
        "growth_rate": [_values(slices, free, ("growth", i), parent.stages[i].block.growth_rate) for i in numbers],
    }
    space: dict[str, Any] = {"stages": len(parent.stages)}
    space |= {name: _by_stage(of_stages) for name, of_stages in options.items() if not _is_default(name, of_stages)}
    for term in vocabulary().values():
        if term.name not in (*VARIED, "stages") and term.group != GROUP:
            _fix(space, term, parent)
    stem_widths = _values(slices, free, ("width", 0), parent.stem.width)
    stem: Any = {"choice": stem_widths} if len(stem_widths) > 1 else parent.stem.width
    if groups[1] == 0 and len(stem_widths) > 1:
        stem = {"same_as": "stage1.width"}
    space.setdefault("stem", {})["width"] = stem
    return space


def is_slice(parent: Architecture, child: Architecture, free: Collection[tuple[str, int]], groups: list[int]) -> bool:
    """Whether the child is the trained network with some of its `free` sizes smaller, whatever the image's height and
    width and the probabilities of stochastic depth. `groups` are those of `Slices`."""
    if len(child.stages) != len(parent.stages) or child.input[0] != parent.input[0]:
        return False
    widths: dict[int, set[int]] = {}
    pairs: list[tuple[tuple[str, int], float, float]] = [(("width", 0), parent.stem.width, child.stem.width)]
    widths.setdefault(0, set()).add(child.stem.width)
    stages = []
    for index, (large, small) in enumerate(zip(parent.stages, child.stages, strict=True)):
        pairs += [
            (("depth", index), large.depth, small.depth),
            (("width", groups[index + 1]), large.width, small.width),
            (("inner", index), large.block.bottleneck_ratio, small.block.bottleneck_ratio),
            (("growth", index), large.block.growth_rate, small.block.growth_rate),
        ]
        widths.setdefault(groups[index + 1], set()).add(small.width)
        sizes = {name: getattr(large.block, name) for name in ("bottleneck_ratio", "growth_rate")}
        block: Block = small.block.model_copy(update=sizes)
        stages.append(small.model_copy(update={"depth": large.depth, "width": large.width, "block": block}))
    if any(small > large or (small != large and key not in free) for key, large, small in pairs):
        return False
    update: dict[str, Any] = {name: getattr(parent, name) for name in ("name", "input", "survival")}
    update |= {"stages": tuple(stages), "stem": child.stem.model_copy(update={"width": parent.stem.width})}
    return child.model_copy(update=update) == parent and all(len(of_group) == 1 for of_group in widths.values())


def _values(slices: Slices, free: Collection[tuple[str, int]], key: tuple[str, int], whole: float) -> list[Any]:
    """What the network's value of a size may be, rising; the whole alone where the size is not free."""
    if key not in free:
        return [whole]
    counts = range(1, int(whole) + 1) if key[0] == "depth" else range(LEAST, WHOLE + 1)
    cut = [count for count in counts if _is_possible(slices, {**slices.whole, key: count})]
    match key[0]:
        case "depth":
            return cut
        case "inner":
            return [whole * count / WHOLE for count in cut]
    return sorted({part_of(int(whole), count) for count in cut})


def _is_possible(slices: Slices, sizes: Sizes) -> bool:
    try:
        slices.possible(slices.architecture(sizes))
    except InputError:
        return False
    return True


def _by_stage(options: list[list[Any]]) -> Any:
    """One value, one value a stage, or options of each stage."""
    if any(len(of_stage) > 1 for of_stage in options):
        return {"each": "stage", "choices": options}
    values = [of_stage[0] for of_stage in options]
    return values[0] if len(set(values)) == 1 else {"each": "stage", "values": values}


def _is_default(name: str, options: list[list[Any]]) -> bool:
    term = vocabulary()[name]
    return name not in ("depth", "width") and all(
        of_stage == [term.default(index)] for index, of_stage in enumerate(options)
    )


def _fix(space: dict[str, Any], term: Term, parent: Architecture) -> None:
    """Adds the network's value of a key, where it is not the default."""
    if term.group:
        value = getattr(getattr(parent, term.group), term.field)
        if value != term.default():
            space.setdefault(term.group, {})[term.field] = value
        return
    owners: list[Any] = [stage.block if term.owner is Block else stage for stage in parent.stages]
    options = [[getattr(owner, term.field)] for owner in owners]
    if not _is_default(term.name, options):
        space[term.name] = _by_stage(options)

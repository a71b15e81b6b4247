"""The slices of a trained network as a space: its sizes and smaller ones; each network is a slice."""

from textwrap import dedent

import numpy as np
import pytest

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.network.build import build
from archsearch.network.inheriting import inherit
from archsearch.reading.document import Document
from archsearch.reading.errors import InputError
from archsearch.shrinking.slice_space import free_sizes, is_slice, slice_space
from archsearch.shrinking.slices import Slices
from archsearch.space.choices import RecordedChoices
from archsearch.space.loading import space_of
from archsearch.space.many.encoding import encode
from archsearch.space.many.grid import Grid
from archsearch.space.space import SearchSpace

SMALL = {
    "basic": "stem: {width: 8}\nstages: [{depth: 3, width: 8, stride: 1}, {depth: 2, width: 16}]",
    "bottleneck": """
        stem: {width: 8}
        stages:
          - {depth: 2, width: 32, stride: 1, block: {kind: bottleneck, attention: se, attention_reduction: 4}}
          - {depth: 3, width: 64, block: {kind: bottleneck, activation: pre}}""",
    "dense": """
        stem: {width: 16}
        stages: [{depth: 3, stride: 1, block: {kind: bottleneck, link: dense, growth_rate: 8}}]""",
    "shared": "stem: {width: 8}\nstages: [{depth: 1, width: 16}, {depth: 2, width: 16, stride: 1}]",
}


def slices_of(text: str) -> Slices:
    parent = Architecture.from_yaml(f"input: [1, 8, 8]\nclasses: 10\n{dedent(text)}\n")
    network = build(parent, seed=0)
    return Slices(parent, lambda child: inherit(network, child))


def space_from(slices: Slices, *may: str) -> SearchSpace:
    words = slice_space(slices, free_sizes(slices, may))
    return space_of(Document(data={"archsearch": 1, "name": "x", "data": {"name": "digits"}, "space": words}, file="x"))


@pytest.mark.parametrize("name", SMALL)
def test_the_networks_of_the_space_are_the_slices(name: str) -> None:
    slices = slices_of(SMALL[name])
    parent, network = slices.parent, build(slices.parent, seed=0)
    space = space_from(slices, "drop_blocks", "slice_width")
    free, grid = free_sizes(slices, ("drop_blocks", "slice_width")), Grid(space.parameters)
    assert not isinstance(encode(space, grid, parent, space.training), str), "the whole network is a point of it"
    smaller = set()
    for row in grid.draw(25, np.random.default_rng(0)):
        child = space.architecture(RecordedChoices(grid.choices(row)))
        assert is_slice(parent, child, free, slices.groups)
        inherit(network, child)
        smaller |= {digest(child)} - {digest(parent)}
    assert len(smaller) > 5
    if name == "shared":
        assert space.parameters["width"].to_data() == 16, "two stages share their channels"


def test_only_what_may_be_cut_varies() -> None:
    slices = slices_of(SMALL["basic"])
    assert dict(space_from(slices).dimensions()) == {}
    assert set(dict(space_from(slices, "drop_blocks").dimensions())) == {"stage1.depth", "stage2.depth"}
    space = space_from(slices, "slice_width")
    assert set(dict(space.dimensions())) == {"stage1.width", "stage2.width"}
    assert space.to_dict()["space"] == {
        "stages": 2, "depth": {"each": "stage", "values": [3, 2]}, "stem": {"width": {"same_as": "stage1.width"}},
        "width": {"each": "stage", "choices": [[2, 3, 4, 5, 6, 7, 8], [4, 6, 8, 10, 12, 14, 16]]},
    }  # fmt: skip


def test_what_is_no_slice_is_told_from_one() -> None:
    slices = slices_of(SMALL["basic"])
    free, parent = free_sizes(slices, ("drop_blocks",)), slices.parent
    stages = parent.stages

    def slice_with(**update: object) -> bool:
        first = stages[0].model_copy(update=update)
        child = parent.model_copy(update={"name": "child", "stages": (first, *stages[1:])})
        return is_slice(parent, child, free, slices.groups)

    assert slice_with() and slice_with(depth=1)
    assert not slice_with(depth=4) and not slice_with(width=4) and not slice_with(stride=2)
    assert not slice_with(block=stages[0].block.model_copy(update={"attention": "se"}))
    thinner = stages[0].model_copy(update={"width": 4})
    child = parent.model_copy(update={"stages": (thinner, *stages[1:])})
    everything = free_sizes(slices, ("drop_blocks", "slice_width"))
    assert not is_slice(parent, child, everything, slices.groups), "the stem has other channels than the stage"
    child = child.model_copy(update={"stem": parent.stem.model_copy(update={"width": 4}), "input": (1, 16, 16)})
    assert is_slice(parent, child, everything, slices.groups)


def test_a_network_that_no_space_can_state_is_refused() -> None:
    parent = zoo.get("resnet20_cifar").model_copy(update={"norm_eps": 1e-3})
    with pytest.raises(InputError, match="epsilon of 0"):
        slice_space(Slices(parent, lambda child: None), ())

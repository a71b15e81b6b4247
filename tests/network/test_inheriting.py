"""A smaller network's weights, cut out of a trained one."""

import random
from collections import Counter

import pytest
import torch

from archsearch import Architecture, build
from archsearch.anatomy.pruning import without
from archsearch.anatomy.steps import Row
from archsearch.architecture.spec import Stage, Stem
from archsearch.network.build import Network
from archsearch.network.inheriting import inherit
from archsearch.reading.errors import InputError
from tests.sampling import sampled

NEIGHBOURS = ("cbam", "eca")  # attention that mixes channels: without some of them the others are weighted otherwise


def trained(architecture: Architecture, seed: int = 0) -> Network:
    """A network in which no two weights are equal, in double precision."""
    network, draws = build(architecture).double().eval(), torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            values = torch.empty(tensor.shape, dtype=torch.float64)
            tensor.copy_(values.uniform_(0.1, 1, generator=draws) if "var" in name else
                         values.normal_(0, 0.4, generator=draws))  # fmt: skip
    return network


def smaller(architecture: Architecture, draw: random.Random) -> Architecture:
    """The same with narrower stages, most often by one factor, narrower bottlenecks, and with less growth."""
    factor = draw.choice([0.25, 0.5, 0.75])
    factors = [factor] * 3 if draw.random() < 0.8 else [draw.choice([0.5, 0.75, 1.0]) for _ in range(3)]
    stages = tuple(
        stage.model_copy(update={"width": max(1, int(stage.width * by)), "block": stage.block.model_copy(
            update={"growth_rate": max(1, int(stage.block.growth_rate * by)),
                    "bottleneck_ratio": stage.block.bottleneck_ratio * draw.choice([1, 0.5])})})
        for stage, by in zip(architecture.stages, factors, strict=False)
    )  # fmt: skip
    stem = architecture.stem.model_copy(update={"width": max(1, int(architecture.stem.width * factors[-1]))})
    return architecture.model_copy(update={"stem": stem, "stages": stages})


BLOCKS = {
    "plain": {"link": "plain"},
    "zero_padded": {"shortcut": "A"},
    "zero_padded_pooled": {"shortcut": "A_pool", "kind": "bottleneck"},
    "projected": {"shortcut": "B_pool", "kind": "bottleneck", "bottleneck_ratio": 0.5, "activation": "pre"},
    "always_projected": {"shortcut": "C", "gate": "exclusive"},
    "dense": {"link": "dense", "kind": "bottleneck", "activation": "pre", "attention": "se"},
    "dual_path": {"link": "dual_path", "kind": "bottleneck", "cardinality": 2, "attention": "se"},
    "highway": {"link": "highway", "kind": "single", "norm": "none", "layer_scale": 0.1},
    "grouped": {"kind": "bottleneck", "cardinality": 4, "bottleneck_ratio": 2.0, "layers": 2},
    "depthwise": {"kind": "bottleneck", "group_width": 1, "attention": "se", "attention_at": "inside"},
}


def test_where_nothing_is_cut_the_weights_are_the_parents_to_the_bit() -> None:
    links: Counter[str] = Counter()
    for architecture in sampled(24):
        network = trained(architecture)
        state, weights = network.state_dict(), inherit(network, architecture)
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
        copy = build(architecture).double().eval()
        copy.load_state_dict(weights)
        images = torch.ones(1, *architecture.input, dtype=torch.float64)
        with torch.no_grad():
            assert torch.equal(copy(images), network(images))
        links.update({stage.block.link for stage in architecture.stages})
    assert min(links.values()) >= 3
    assert len(links) == 5


@pytest.mark.slow
def test_a_slice_computes_what_the_parent_does_without_the_other_weights() -> None:
    """The parent whose weights that are not inherited are zeros: then its other channels are zeros too, and what is
    left must be the child, wherever channels do not mix but by convolutions."""
    draw, links = random.Random(0), Counter[str]()
    for number, architecture in enumerate(sampled(1000)):
        blocks = [stage.block for stage in architecture.stages]
        if any(b.attention in NEIGHBOURS or b.norm == "group" or b.weight_standardization for b in blocks):
            continue
        try:
            slices_agree(architecture, smaller(architecture, draw), number)
        except InputError:  # several paths, or a first stage that is narrower than its stem
            continue
        links.update({block.link for block in blocks})
    assert min(links.values()) >= 10
    assert len(links) == 5


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("widths", [(6, 6, 12), (8, 8, 10), (4, 4, 16)])
def test_each_kind_of_link_is_cut_alike_on_both_sides(block: str, widths: tuple[int, int, int]) -> None:
    def of(stem: int, *stages: int, growth: int) -> Architecture:
        return Architecture.from_dict({
            "input": [3, 8, 8], "classes": 4, "stem": {"width": stem}, "head": {"width": 6},
            "stages": [{"depth": 2, "width": width, "stride": 1 + index, "compression": 0.5,
                        "block": {**BLOCKS[block], "growth_rate": growth}} for index, width in enumerate(stages)],
        })  # fmt: skip

    slices_agree(of(8, 8, 16, growth=6), of(*widths, growth=4), seed=1)


def slices_agree(words: Architecture, child_words: Architecture, seed: int) -> None:
    parent, child = trained(words, seed), build(child_words).double().eval()
    weights = inherit(parent, child_words)
    child.load_state_dict(weights)
    inherited = torch.cat([tensor.flatten() for tensor in weights.values() if tensor.ndim])
    for tensor in parent.state_dict().values():
        if tensor.ndim:
            tensor[~torch.isin(tensor, inherited)] = 0
    images = torch.randn(2, *words.input, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, scores = parent(images), child(images)
    torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_the_most_important_blocks_stay() -> None:
    words = Architecture(input=(3, 8, 8), stages=(Stage(depth=4, width=16, stride=1),))
    parent = trained(words)
    child = words.model_copy(update={"stages": (Stage(depth=2, width=16, stride=1),)})
    importance = {(1, 1): 0.9, (1, 2): 0.1, (1, 3): 0.7, (1, 4): 0.2}
    row = Row.of(parent)
    expected = without(parent, row, [row.blocks[1], row.blocks[3]]).state_dict()
    weights = inherit(parent, child, importance)
    assert all(torch.allclose(weights[name].float(), tensor.float()) for name, tensor in expected.items())
    evenly = inherit(parent, child)
    assert torch.equal(evenly["stage1.block2.branch.conv1.weight"], parent.stage1.block4.branch.conv1.weight)


def test_channels_rank_by_the_scales_of_their_norms() -> None:
    words = Architecture(input=(3, 8, 8), stem=Stem(width=4), stages=(Stage(depth=1, width=4, stride=1),))
    parent = trained(words)
    block = parent.stage1.block1.branch
    for norm in (parent.stem.norm1, block.norm1, block.norm2):
        norm.weight.data.copy_(torch.tensor([0.001, 5.0, 0.002, -6.0]))
    child = words.model_copy(update={"stem": Stem(width=2), "stages": (Stage(depth=1, width=2, stride=1),)})
    weights = inherit(parent, child)
    rows = torch.tensor([1, 3])
    assert torch.equal(weights["stem.conv1.weight"], parent.stem.conv1.weight[rows])
    assert torch.equal(weights["stage1.block1.branch.conv2.weight"], block.conv2.weight[rows][:, rows])
    assert torch.equal(weights["head.linear1.weight"], parent.head.linear1.weight[:, rows])


@pytest.mark.parametrize(
    ("parent", "child", "message"),
    [
        ({}, {"depth": 3}, r"stage1: 3 blocks; allowed: the trained network's 2, or fewer"),
        ({}, {"width": 20, "stem": 20}, r"20 channels; allowed: the trained network's 16, or fewer"),
        ({}, {"width": 8}, "stage1.block1.shortcut differs from the trained network's"),
        ({}, {"block": {"kernel": 5}}, "differs from the trained network's stage1.block1.branch.conv1 by more than"),
        ({"block": {"attention": "split"}}, {"width": 8, "stem": 8, "block": {"attention": "split"}}, "several paths"),
        ({}, {"block": {"attention": "se"}}, "differs from the trained network's"),
    ],
)
def test_what_is_no_slice_is_refused(parent: dict, child: dict, message: str) -> None:
    words, cut = (
        Architecture.from_dict({"input": [3, 8, 8], "stem": {"width": changes.pop("stem", 16)}, "stages": [
            {"depth": 2, "width": 16, "stride": 1, **changes}]})
        for changes in (parent, child)
    )  # fmt: skip
    with pytest.raises(InputError, match=message):
        inherit(build(words), cut)

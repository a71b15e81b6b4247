"""What stands in a block's branch: kernels, layers, groups and attention, read off the plan."""

import pytest

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.composites import Reweight, Sequence, Unit
from archsearch.architecture.cost import Shape, cost, layers
from archsearch.architecture.mixing import Paths
from archsearch.architecture.ops import Conv, Dropout
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage, Stem
from archsearch.reading.errors import InputError


def network(width: int = 16, stem: int = 16, **words) -> Architecture:
    return Architecture(stem=Stem(width=stem), stages=(Stage(depth=2, width=width, stride=2, block=Block(**words)),))


def first_unit(architecture: Architecture) -> Unit:
    _, stage, into = plan(architecture).parts(Shape(*architecture.input))[1]
    unit = next(op for _, op, _ in stage.parts(into) if isinstance(op, Unit))
    assert isinstance(unit, Unit)
    return unit


def convs(architecture: Architecture) -> list[Conv]:
    """Of the first block's branch."""
    return [op for _, op in first_unit(architecture).branch.steps if isinstance(op, Conv)]


@pytest.mark.parametrize(
    ("words", "kernels", "strides"),
    [
        ({}, [3, 3], [2, 1]),
        ({"layers": 3}, [3, 3, 3], [2, 1, 1]),
        ({"layers": "3-1-3"}, [3, 1, 3], [2, 1, 1]),
        ({"layers": "1-3", "kernel": 5}, [1, 5], [1, 2]),
        ({"layers": "1-3", "stride_at": "conv1x1"}, [1, 3], [2, 1]),
        ({"kind": "single", "layers": "3-1-1", "kernel": 7}, [7, 1, 1], [2, 1, 1]),
        ({"kind": "bottleneck"}, [1, 3, 1], [1, 2, 1]),
        ({"kind": "bottleneck", "layers": 2, "kernel": 5}, [1, 5, 5, 1], [1, 2, 1, 1]),
        ({"kind": "bottleneck", "stride_at": "conv1x1"}, [1, 3, 1], [2, 1, 1]),
    ],
)
def test_kernels_and_strides_of_a_branch(words: dict, kernels: list[int], strides: list[int]) -> None:
    branch = convs(network(**words))
    assert [conv.kernel for conv in branch] == kernels
    assert [conv.stride for conv in branch] == strides
    assert branch[-1].out == 16


def test_layers_of_dense_blocks() -> None:
    dense = convs(network(link="dense", kind="bottleneck", layers=2, growth_rate=5, dense_bottleneck=3))
    assert [(conv.kernel, conv.out) for conv in dense] == [(1, 15), (3, 5), (3, 5)]


@pytest.mark.parametrize("kind", ["single", "basic"])
def test_layers_decide_over_the_blocks_default(kind: str) -> None:
    assert digest(network(kind=kind, layers=1)) == digest(network(kind="single"))
    assert digest(network(kind=kind, layers=2)) == digest(network())


def test_a_highways_gate_has_its_branchs_kernel() -> None:
    unit = first_unit(network(kind="single", link="highway", kernel=5))
    assert [op.kernel for _, op in unit.gate.steps if isinstance(op, Conv)] == [5]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"cardinality": 4}, [(32, 1), (32, 4), (64, 1)]),
        ({"cardinality": 300}, [(300, 1), (300, 300), (64, 1)]),
        ({"group_width": 8}, [(32, 1), (32, 4), (64, 1)]),
        ({"group_width": 1, "cardinality": 4}, [(32, 1), (32, 32), (64, 1)]),
        ({"group_width": 12}, [(36, 1), (36, 3), (64, 1)]),
        ({"group_width": 64}, [(32, 1), (32, 1), (64, 1)]),
        ({"first_ratio": 0.5, "cardinality": 8}, [(16, 1), (32, 8), (64, 1)]),
        ({"first_ratio": 0.1, "cardinality": 8}, [(8, 1), (32, 8), (64, 1)]),
    ],
)
def test_channels_and_groups_of_a_bottleneck(words: dict, expected: list[tuple[int, int]]) -> None:
    branch = convs(network(width=64, kind="bottleneck", bottleneck_ratio=0.5, **words))
    assert [(conv.out, conv.groups) for conv in branch] == expected


def names(architecture: Architecture) -> list[str]:
    return [type(op).__name__ for _, op in first_unit(architecture).branch.steps]


def test_attention_inside_stands_before_the_last_convolution() -> None:
    se = {"attention": "se", "attention_at": "inside", "kind": "bottleneck", "dropout": 0.1}
    layer = ["Conv", "Norm", "Relu"]
    assert names(network(**se)) == [*layer, *layer, "Reweight", "Dropout", "Conv", "Norm"]
    pre = ["Conv", "Norm", "Relu", "Conv", "Reweight", "Norm", "Relu", "Dropout", "Conv"]
    assert names(network(**se, activation="pre")) == pre
    single = {"kind": "single", "attention": "se"}
    assert digest(network(**single, attention_at="inside")) == digest(network(**single))


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        ({}, 16),
        ({"attention_from": "input"}, 6),
        ({"attention_from": "input", "attention_rounding": 8}, 8),
        ({"attention_rounding": 6}, 18),  # 16 is nearer to 18 than to 12
        ({"attention_reduction": 100, "attention_rounding": 8}, 8),
        ({"attention_reduction": 100}, 1),
    ],
)
def test_hidden_channels_of_attention(words: dict, hidden: int) -> None:
    architecture = network(width=64, stem=24, **{"attention": "se", "attention_reduction": 4, **words})
    weights = next(op for _, op in first_unit(architecture).branch.steps if isinstance(op, Reweight)).weights
    assert next(op for _, op in weights.steps if isinstance(op, Conv)).out == hidden


def test_each_dense_block_has_attention_by_its_own_input() -> None:
    words = {"link": "dense", "attention": "se", "attention_from": "input", "attention_reduction": 2, "growth_rate": 8}
    architecture = Architecture(stages=(Stage(depth=3, stride=1, block=Block(**words)),))
    hidden = [
        layer.output.channels
        for layer in layers(plan(architecture), Shape(*architecture.input))
        if layer.path.endswith("weights.conv1")
    ]
    assert hidden == [8, 12, 16]


def test_dropout_of_a_dense_block_stays_behind_its_last_convolution() -> None:
    steps = first_unit(network(link="dense", kind="bottleneck", dropout=0.2, activation="pre")).branch.steps
    assert isinstance(steps[-1][1], Dropout)


def paths(architecture: Architecture, block: int = 1) -> Paths:
    (result,) = (
        layer
        for name, op, _ in plan(architecture).parts(Shape(*architecture.input))[1][1].parts(Shape(16, 32, 32))
        if name == f"block{block}" and isinstance(op, Unit)
        for _, layer in op.branch.steps
        if isinstance(layer, Paths)
    )
    assert isinstance(result, Paths)
    return result


def test_scales_cascade_but_where_shapes_change() -> None:
    scaled = network(width=64, kind="bottleneck", bottleneck_ratio=0.5, scales=4, group_width=4)
    first, second = paths(scaled), paths(scaled, 2)
    assert (first.cascade, second.cascade) == (False, True)
    assert len(first.each) == 4 and second.each[-1] == Sequence()
    assert [type(op).__name__ for _, op in first.each[-1].steps] == ["OverlapPool"]
    assert {(op.out, op.groups) for path in second.each for _, op in path.steps if isinstance(op, Conv)} == {(8, 2)}
    assert digest(network(scales=4)) == digest(network())


@pytest.mark.parametrize("attention", ["split", "selective", "selective_sliced"])
def test_attention_among_paths_stands_for_the_first_3x3_with_its_norms(attention: str) -> None:
    words = {"attention": attention, "kind": "bottleneck", "dropout": 0.1}
    layer = ["Conv", "Norm", "Relu"]
    mixed = [*layer, "Reweight"] if attention == "split" else ["Paths", "Reweight"]
    assert names(network(**words)) == [*layer, *mixed, "Dropout", "Conv", "Norm"]
    pre = ["Conv", "Norm", "Relu", mixed[0], "Reweight", "Norm", "Relu", "Dropout", "Conv"]
    assert names(network(**words, activation="pre")) == pre
    basic = names(network(attention=attention, layers=3, dropout=0.1))
    assert basic == [*mixed, *layer, "Dropout", "Conv", "Norm"]


def test_more_paths_than_channels_are_refused() -> None:
    with pytest.raises(InputError, match="3 paths cannot share 2 channels"):
        cost(network(stem=2, attention="selective_sliced", radix=3))
    assert cost(network(stem=2, attention="selective", radix=3)).params > 0

"""Architectures as data: round trips, digests, and what is refused."""

from typing import get_args

import pytest
from pydantic import ValidationError

from archsearch import zoo
from archsearch.architecture.block import Block, Kind, Placement
from archsearch.architecture.canonical import digest
from archsearch.architecture.composites import Sequence, Unit
from archsearch.architecture.cost import Shape, cost, layers
from archsearch.architecture.ops import Conv, Relu
from archsearch.architecture.plan import plan
from archsearch.architecture.spec import Architecture, Stage, Stem, Survival
from archsearch.reading.errors import InputError
from tests.sampling import sampled

SAMPLES = sampled(200)


def one_stage(**words: object) -> Architecture:
    return Architecture(stages=(Stage(depth=2, width=16, stride=1, block=Block(**words)),))


def test_yaml_and_dict_round_trips() -> None:
    for architecture in SAMPLES:
        assert Architecture.from_yaml(architecture.to_yaml()) == architecture
        assert Architecture.from_dict(architecture.to_dict()) == architecture


def test_the_same_network_has_the_same_digest() -> None:
    for architecture in SAMPLES:
        again = Architecture.from_yaml(architecture.to_yaml()).model_copy(update={"name": "another"})
        assert digest(again) == digest(architecture)


def test_different_plans_have_different_digests() -> None:
    plans: dict[str, object] = {}
    for architecture in sampled(1000, seed=1):
        found = plan(architecture), architecture.input
        assert plans.setdefault(digest(architecture), found) == found
    assert len(plans) > 950


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (one_stage(cardinality=8), one_stage()),
        (one_stage(bottleneck_ratio=0.5), one_stage()),
        (one_stage(growth_rate=24), one_stage()),
        (one_stage(stride_at="conv1x1"), one_stage()),
        (one_stage(shortcut="A"), one_stage()),
        (one_stage(link="plain", shortcut="C"), one_stage(link="plain")),
        (one_stage(kind="bottleneck", stride_at="conv1x1"), one_stage(kind="bottleneck")),
        (
            one_stage().model_copy(update={"survival": Survival(schedule="linear", last=1.0)}),
            one_stage().model_copy(update={"survival": Survival(last=0.9)}),
        ),
        (one_stage().model_copy(update={"stem": Stem(norm=True)}), one_stage()),
    ],
)
def test_words_that_change_nothing_do_not_count(one: Architecture, other: Architecture) -> None:
    assert one != other
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "words",
    [
        {"kind": "bottleneck"},
        {"link": "dense"},
        {"link": "plain"},
        {"activation": "pre"},
        {"shortcut": "C"},
        {"kind": "bottleneck", "cardinality": 2},
    ],
)
def test_words_that_change_the_network_count(words: dict[str, object]) -> None:
    assert digest(one_stage(**words)) != digest(one_stage())


def test_digests_of_yesterday_stay() -> None:
    assert digest(zoo.get("resnet20_cifar")) == "e752cec463f2fc2b"
    assert digest(zoo.get("resnet50")) == "2e6ea0c64bc96cd1"
    assert digest(zoo.get("densenet_bc100_12_cifar")) == "9bd81a52c8020184"


def test_an_image_that_runs_out_is_refused() -> None:
    dense = Block(link="dense")
    stages = tuple(Stage(depth=1, stride=1 if i == 0 else 2, block=dense) for i in range(4))
    with pytest.raises(InputError, match="cannot pool"):
        cost(Architecture(input=(1, 4, 4), stages=stages))


def test_the_inner_width_is_a_multiple_of_the_cardinality() -> None:
    grouped = [
        (layer.op, layer.input)
        for architecture in SAMPLES
        for layer in layers(plan(architecture), Shape(*architecture.input))
        if isinstance(layer.op, Conv) and layer.op.groups > 1
    ]
    assert len(grouped) > 50
    for op, x in grouped:
        assert op.out % op.groups == x.channels % op.groups == 0


def test_a_dual_path_that_does_not_grow_is_residual() -> None:
    for activation in ("post", "pre"):
        dual = one_stage(link="dual_path", growth_rate=0, activation=activation)
        assert plan(dual) == plan(one_stage(activation=activation))


def test_the_1x1_conv_shortcut_of_he_2016_is_option_c() -> None:
    assert digest(zoo.get("resnet110_shortcut_conv1x1_cifar")) == digest(zoo.get("resnet110_option_c_cifar"))


def test_no_branch_of_any_kind_is_linear() -> None:
    """A dense block emits its features for good: its ReLU has to stand in the branch, before they are joined."""
    for activation in get_args(Placement):
        for kind in get_args(Kind):
            dense = one_stage(link="dense", kind=kind, activation=activation)
            x = Shape(*dense.input)
            blocks = [op for _, section, _ in plan(dense).parts(x) for _, op in getattr(section, "steps", ())]
            units = [op for op in blocks if isinstance(op, Unit)]
            assert len(units) == 2
            for unit in units:
                assert any(isinstance(op, Relu) for _, op in unit.branch.steps), (activation, kind)
                assert unit.after == Sequence()


@pytest.mark.slow
def test_a_hundred_thousand_digests_tell_all_plans_apart() -> None:
    plans: dict[str, object] = {}
    for architecture in sampled(100_000, seed=2):
        found = hash((plan(architecture), architecture.input))
        assert plans.setdefault(digest(architecture), found) == found
    assert len(set(plans.values())) == len(plans)


@pytest.mark.parametrize("kernel", range(1, 12))
def test_a_stems_kernel_is_odd(kernel: int) -> None:
    if kernel % 2:
        assert Stem(kernel=kernel).kernel == kernel
        return
    with pytest.raises(ValidationError, match=f"stem kernel {kernel} is even; allowed: odd kernels, 1 to 11"):
        Stem(kernel=kernel)

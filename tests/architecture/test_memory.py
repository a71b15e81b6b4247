"""What training keeps, counted by hand for small plans, and the bytes of a step."""

from dataclasses import replace

import numpy as np
import pytest

from archsearch import Architecture, cost, zoo
from archsearch.architecture.block import Block
from archsearch.architecture.composites import Reweight, Unit, named
from archsearch.architecture.cost import total
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.ops import Conv, Dropout, Gain, Norm, Op, PadShortcut, Relu, Sigmoid
from archsearch.architecture.pools import Blur, Pool, StemPool
from archsearch.architecture.quantities import Shape
from archsearch.architecture.spec import Stage, Stem
from tests.sampling import sampled

X = Shape(4, 6, 6)
E = X.elements


def saved(op: Op, x: Shape) -> int:
    """A unit's with its ops'."""
    return total(op, x).saved


def conv(out: int = 4, **words) -> Conv:
    return Conv(out=out, kernel=3, **words)


@pytest.mark.parametrize(
    ("op", "elements"),
    [
        (conv(), E),  # its norm reads it
        (conv(8, stride=2), 8 * 9),
        (conv(bias=True), 0),  # no norm follows
        (Norm(), 0),  # overwritten by its ReLU
        (Relu(), E),
        (Sigmoid(), E),
        (Dropout(p=0.5), 2 * E),  # the mask, and what the next convolution reads
        (Pool(stride=2), E // 4),
        (Pool(stride=2, kind="max"), 3 * E // 4),  # two for an index of eight bytes
        (Pool(stride=4, ceil=True), 4 * 4),
        (StemPool(), 3 * E // 4),
        (StemPool(edges="zeros"), 4 * 8 * 8 + 3 * E // 4),  # with its border
        (Blur(stride=2), 4 * 8 * 8 + E // 4),
        (Gain(), 0),
        (PadShortcut(out=8), 0),
    ],
)
def test_an_ops_own(op, elements) -> None:
    assert saved(op, X) == elements


def test_the_units_of_the_papers_keep_what_their_backward_passes_read() -> None:
    post = named(conv(), Norm(), Relu(), conv(), Norm())
    pre = named(Norm(), Relu(), conv(), Norm(), Relu(), conv())
    # He 2016 (v1): conv, ReLU, conv, and the ReLU behind the sum.
    assert saved(Unit(branch=post, after=named(Relu())), X) == 4 * E
    # v2: ReLU, conv, ReLU, and the sum, which the next unit's norm reads; the branch's last output goes.
    assert saved(Unit(branch=pre), X) == 4 * E
    # A projection's norm reads its convolution's output; without a norm nobody does.
    assert saved(Unit(branch=post, shortcut=named(conv(), Norm()), after=named(Relu())), X) == 5 * E
    assert saved(Unit(branch=named(conv(), Norm(), Relu(), conv()), shared=named(Norm(), Relu()),
                      shortcut=named(conv())), X) == 4 * E  # fmt: skip
    # Plain: the last ReLU. DenseNet: ReLU, and the concatenation.
    assert saved(Unit(branch=post, after=named(Relu()), join="replace"), X) == 4 * E
    dense = Unit(branch=named(Norm(), Relu(), conv(3)), join="concat")
    assert saved(dense, X) == E + 7 * 36


def test_attention_gates_and_scales_keep_their_factors() -> None:
    post, after = named(conv(), Norm()), named(Relu())
    weights = named(Conv(out=4, bias=True), Sigmoid())
    base = saved(Unit(branch=post, after=after), X)
    # The product's two factors: what the branch emits, and the weights.
    reweighted = named(conv(), Norm(), Reweight(weights=weights))
    assert saved(Unit(branch=reweighted, after=after), X) == base + 2 * E
    assert saved(Unit(branch=post, gain=named(Gain()), after=after), X) == base + E
    # F, T, 1 - T; the unit's own input is what h is, and is kept as the branch's input.
    gated = Unit(branch=post, gate=named(conv(bias=True), Sigmoid()), gated="both", after=after)
    assert saved(gated, X) == base + 3 * E
    # A number keeps nothing, unless a gate then multiplies what it scaled.
    assert saved(Unit(branch=post, branch_scale=0.5, shortcut_scale=0.5, after=after), X) == base
    scaled = Unit(branch=post, gate=gated.gate, gated="shortcut", shortcut_scale=0.5, after=after)
    assert saved(scaled, X) == base + 3 * E


def test_a_scaled_branch_is_one_tensor_more_where_a_gate_reads_it() -> None:
    """Behind a ReLU, whose output is saved anyway; stochastic depth scales by a number, or by one an image."""
    branch = named(conv(), Norm(), Relu(), conv(), Norm(), Relu())
    gated = Unit(branch=branch, gate=named(conv(bias=True), Sigmoid()), gated="both")
    once = saved(gated, X)
    for scales in (
        replace(gated, branch_scale=0.5),
        replace(gated, survival=0.5, survival_per="sample"),
        replace(gated, survival=0.5, survival_rescale="train"),
    ):
        assert saved(scales, X) == once + E
    for keeps in (replace(gated, survival=0.5), replace(gated, survival_per="sample", survival_rescale="train")):
        assert saved(keeps, X) == once


def test_each_slots_last_output_is_saved_where_somebody_reads_it() -> None:
    post, gate, relu = named(conv(), Norm()), named(conv(bias=True), Sigmoid()), named(Relu())
    base = saved(Unit(branch=post, after=relu), X)
    gated = Unit(branch=post, gate=gate, gated="both", after=relu)  # F, T and 1 - T
    assert saved(replace(gated, gain=named(Gain())), X) == base + 4 * E
    assert saved(replace(gated, shortcut=post), X) == base + 5 * E  # the convolution, and h
    assert saved(replace(gated, gate=named(conv(bias=True))), X) == base + 3 * E
    # The norm of a shared slot is read by the convolution, that behind a join by the next unit; and so is the join.
    assert saved(Unit(branch=named(conv()), shared=named(Norm())), X) == 2 * E
    assert saved(Unit(branch=named(conv()), after=named(Norm())), X) == 2 * E
    # A dropout's mask and output; the sum is saved, for the next unit's shortcut reads it.
    dropped = named(Dropout(p=0.5), conv())
    assert saved(Unit(branch=dropped, shortcut=named(conv(bias=True))), X) == 3 * E
    assert saved(Unit(branch=dropped), X) == 2 * E


def test_whole_networks_add_up() -> None:
    found = cost(zoo.get("plain20_cifar"))
    # Stem and 18 convolutions with a ReLU each: 14 tensors of 16x32x32, then 12 of half and 12 of a quarter that size.
    first = 16 * 32 * 32
    assert found.saved == 2 * first * 7 + 2 * (first // 2) * 6 + 2 * (first // 4) * 6 + 64 + 10
    assert found.largest == first


def test_deeper_wider_and_denser_networks_keep_more() -> None:
    def net(depth: int, width: int, link: str) -> int:
        stages = (Stage(depth=depth, width=width, block=Block(link=link, growth_rate=8)),)
        return cost(Architecture(stem=Stem(width=width), stages=stages)).saved

    for link in ("plain", "residual", "dense", "dual_path"):
        assert net(2, 16, link) < net(3, 16, link) < net(3, 24, link)
    growth = [net(depth + 1, 16, "dense") - net(depth, 16, "dense") for depth in (1, 2, 3)]
    assert growth[0] < growth[1] < growth[2]  # every concatenation is kept: quadratic (Pleiss 2017, arXiv:1707.06990)


def test_channels_may_be_arrays() -> None:
    def units(width) -> list[Unit]:
        before, inner = (Norm(), Relu()), conv(width // 2)
        se = Reweight(weights=named(Conv(out=width, bias=True), Sigmoid()))
        return [
            Unit(branch=named(*before, inner, Norm(), Relu(), conv(width)), shortcut=named(conv(width))),
            Unit(branch=named(inner, Norm(), Relu(), conv(width), Norm(), se), after=named(Relu()), gain=named(Gain())),
            Unit(branch=named(*before, inner), join="concat"),
        ]

    widths = (4, 16)
    for number, many in enumerate(units(np.array(widths))):
        found = saved(many, Shape(np.array(widths), 6, 6))
        assert found.tolist() == [saved(units(width)[number], Shape(width, 6, 6)) for width in widths]


def test_every_kind_of_network_keeps_something_and_no_tensor_is_larger_than_all() -> None:
    for architecture in sampled(100, seed=4):
        found = cost(architecture)
        assert found.largest > 0
        assert found.saved > 0
        assert isinstance(found.saved, int)


def test_the_bytes_of_a_step() -> None:
    sgd = training_bytes(params=1000, saved=500, largest=100, batch=32, image=10)
    activations = 32 * 4 * (500 + 100 + 10)
    assert sgd == 4 * 2000 + activations + 4 * 1000 // 2
    assert training_bytes(params=1000, saved=500, largest=100, batch=32, image=10, optimizer="adamw") == sgd + 4000
    half = training_bytes(params=1000, saved=500, largest=100, batch=32, image=10, precision="bfloat16")
    assert half == 4 * 2000 + 32 * (2 * (500 + 100) + (4 + 2) * 10) + 2 * 1000 + 4 * 1000 // 2
    averaged = training_bytes(params=1000, saved=500, largest=100, batch=32, image=10, average=True)
    assert averaged == sgd + 4000
    # Where the batch is small the gradients are the peak.
    assert training_bytes(params=10**6, saved=1, largest=0, batch=1) == 4 * (3 * 10**6) + 2


def test_the_bytes_of_many_networks_at_once() -> None:
    params, kept_each, large = np.array([10, 10**6]), np.array([500, 5]), np.array([7, 1])
    found = training_bytes(params=params, saved=kept_each, largest=large, batch=8)
    each = [training_bytes(params=int(p), saved=int(k), largest=int(n), batch=8)
            for p, k, n in zip(params, kept_each, large, strict=True)]  # fmt: skip
    assert found.tolist() == each

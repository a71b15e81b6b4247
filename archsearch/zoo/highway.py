"""Highway networks (Srivastava et al. 2015, arXiv:1507.06228, table 2; structure from the released prototxts)."""

from __future__ import annotations

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.zoo.entry import Entry
from archsearch.zoo.errors import SRIVASTAVA

NAMES = ("highway19_cifar", "highway10_32_mnist", "highway10_16_mnist")


def entry(name: str) -> Entry | None:
    """The network of a listed name, of layers of one 3x3 convolution and its gate, without norms; None for others."""
    if name not in NAMES:
        return None
    network = _cifar() if name == "highway19_cifar" else _mnist(name, int(name.split("_")[1]))
    return Entry("highway", SRIVASTAVA, network)


def _block(bias: float) -> Block:
    return Block(
        kind="single",
        link="highway",
        norm="none",
        activation="relu_before_addition",
        gate_bias=bias,
        dropout=0.2,
    )


def _cifar() -> Architecture:
    """Stages open with a max pool, dropout and a plain convolution; a 1x1 convolution closes the last."""
    widths = ((4, 32), (5, 80), (5, 128))
    return Architecture(
        name="highway19_cifar",
        stem=Stem(width=32),
        stages=tuple(
            Stage(depth=depth, width=width, stride=1 if i == 0 else 2, entry="pool_conv", block=_block(-2.0))
            for i, (depth, width) in enumerate(widths)
        ),
        head=Head(width=100, pool="mean"),
    )


def _mnist(name: str, width: int) -> Architecture:
    return Architecture(
        name=name,
        input=(1, 28, 28),
        stem=Stem(kernel=5, width=width, padded=False),
        stages=tuple(
            Stage(depth=depth, width=width, stride=1 if i == 0 else 2, entry="pool", block=_block(-1.0))
            for i, depth in enumerate((2, 3, 3))
        ),
        head=Head(pool="max"),
    )

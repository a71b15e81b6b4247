"""What stands behind the last stage: a pool, hidden layers, the classifier."""

from __future__ import annotations

from archsearch.architecture.composites import Sequence, named
from archsearch.architecture.ops import Conv, Dropout, Flatten, Linear, Op, Relu
from archsearch.architecture.pools import GlobalPool, GridPool, Pool
from archsearch.architecture.spec import Head


def head_ops(head: Head, classes: int) -> Sequence:
    """The head: perhaps a convolution, the pool and hidden layers (VGG), the classifier."""
    mixing = (Conv(out=head.width, bias=True), Relu()) if head.width else ()
    dropout = (Dropout(p=head.dropout),) if head.dropout else ()
    shrinking = (Pool(stride=2, kind="max"),) if head.pool == "max" else ()
    linear, hidden = head.classifier == "linear", _hidden(head, dropout)
    if hidden and head.hidden_form == "conv":
        pooled: tuple[Op, ...] = (*shrinking, *hidden, GlobalPool(adaptive=head.pool != "mean", flat=linear))
    else:
        grid = (*shrinking, *((GridPool(size=head.grid),) if head.grid > 1 else ()))
        linear = linear or bool(grid or hidden)
        to_vector = (*grid, Flatten()) if grid else (GlobalPool(adaptive=head.pool == "adaptive", flat=linear),)
        pooled = (*to_vector, *hidden)
    classifier = (Linear(out=classes),) if linear else (Conv(out=classes, bias=True), Flatten())
    return named(*mixing, *pooled, *dropout, *classifier)


def _hidden(head: Head, dropout: tuple[Op, ...]) -> tuple[Op, ...]:
    """The hidden layers, with ReLU and dropout between them."""
    ops: tuple[Op, ...] = ()
    for number in range(head.hidden_layers if head.hidden else 0):
        kernel = head.grid if number == 0 else 1
        conv = Conv(out=head.hidden or 0, kernel=kernel, padded=False, bias=True)
        layer = conv if head.hidden_form == "conv" else Linear(out=conv.out)
        ops += (*(dropout if number else ()), layer, Relu())
    return ops

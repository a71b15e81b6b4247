"""Bytes that a training step needs, from what the plan's ops state that autograd saves (checked: benchmarks/memory.py).

Counts are elements of the activations' dtype, for one image. Dropped blocks (stochastic depth) are counted as saved:
a step that drops none is what must fit. All of them may be arrays (see quantities.py).
"""

from __future__ import annotations

from typing import Literal

from archsearch.architecture.quantities import larger


def training_bytes(
    *,
    params: int,
    saved: int,
    largest: int,
    batch: int,
    image: int = 0,
    optimizer: Literal["sgd", "adamw", "lamb"] = "sgd",
    precision: Literal["float32", "bfloat16"] = "float32",
    average: bool = False,
) -> int:
    """Bytes that a training step needs at its peak, on the device: weights, their moving `average` where there is one,
    moments (SGD's momentum; two of the others), and what autograd keeps, which falls in the backward pass while
    gradients grow: the larger of both and half the other.

    `saved` and `largest` are a Cost's, `image` the elements of one image, which the first convolution keeps. One tensor
    of the largest size comes and goes beside those that are kept. In bfloat16 (autocast) activations have two bytes,
    weights a copy of two bytes for each step. Not counted: the data set, torch's own code, a library's scratch space.
    """
    number, copy = (4, 0) if precision == "float32" else (2, 2)
    moments = 1 if optimizer == "sgd" else 2
    forward = batch * (number * (saved + largest) + (4 + copy) * image) + copy * params
    gradients = 4 * params
    return 4 * (1 + moments + average) * params + (forward + gradients + larger(forward, gradients)) // 2

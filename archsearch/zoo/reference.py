"""The plain residual network to stand beside: He 2015's for CIFAR (section 4.2), as large as a budget admits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archsearch.architecture.cost import Cost, cost
from archsearch.architecture.spec import Architecture

WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64)
DEPTHS = (1, 2, 3, 5)  # blocks a stage: ResNet-8, -14, -20 and -32 with three stages
LARGE = 96  # pixels from which the stem is ImageNet's, which goes down to a quarter


@dataclass(frozen=True, kw_only=True)
class Outline:
    """How a residual network of images of some size is laid out: its stem's kernel, stride and pool, and its stages,
    whose last one has a resolution of 4 to 8 pixels or a little more."""

    kernel: int
    stride: int
    pool: bool
    stages: int


def outline(side: int) -> Outline:
    """The outline for images whose shorter side has so many pixels."""
    large = side >= LARGE
    remaining = side // 4 if large else side
    stages = 1 + sum(remaining // 2**halving >= 6 for halving in range(1, 4))
    return Outline(kernel=7 if large else 3, stride=2 if large else 1, pool=large, stages=max(2, stages))


def reference(
    image: tuple[int, int, int], classes: int, admits: Callable[[Architecture, Cost], bool]
) -> Architecture | None:
    """The residual network of basic blocks with the most FLOPs, of equals the one with fewer parameters, that `admits`
    takes; the widths double from stage to stage. None where it takes none."""
    counted = [(network, cost(network)) for network in _networks(image, classes)]
    admitted = [pair for pair in counted if admits(*pair)]
    return max(admitted, key=lambda pair: (pair[1].flops, -pair[1].params), default=(None, None))[0]


def within(image: tuple[int, int, int], classes: int, *, flops: int, params: int | None = None) -> Architecture | None:
    """The reference network of at most so many FLOPs and parameters."""

    def admits(_: Architecture, counted: Cost) -> bool:
        return counted.flops <= flops and (params is None or counted.params <= params)

    return reference(image, classes, admits)


def _networks(image: tuple[int, int, int], classes: int) -> Iterator[Architecture]:
    plan = outline(min(image[1:]))
    for width in WIDTHS:
        for depth in DEPTHS:
            stages = [
                {"depth": depth, "width": width * 2**stage, "stride": 2 if stage else 1} for stage in range(plan.stages)
            ]
            yield Architecture.from_dict(
                {
                    "archsearch": 1,
                    "name": f"resnet{2 + 2 * depth * plan.stages}_w{width}",
                    "input": list(image),
                    "classes": classes,
                    "stem": {
                        "kernel": plan.kernel,
                        "stride": plan.stride,
                        "width": width,
                        "pool": "max" if plan.pool else "none",
                    },
                    "stages": stages,
                }
            )

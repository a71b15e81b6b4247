"""Random architectures over the whole vocabulary, for property tests."""

import random
from typing import get_args

from archsearch.architecture.spec import (
    Architecture,
    Block,
    Head,
    Kind,
    Link,
    Placement,
    Stage,
    Stem,
    Survival,
)


def random_block(draw: random.Random) -> Block:
    return Block(
        kind=draw.choice(get_args(Kind)),
        link=draw.choice(get_args(Link)),
        bottleneck_ratio=draw.choice([0.25, 0.5, 1.0, 2.0]),
        cardinality=draw.choice([1, 2, 3, 4, 8]),
        growth_rate=draw.choice([4, 5, 8, 12]),
        dense_bottleneck=draw.choice([1, 2, 4]),
        activation=draw.choice(get_args(Placement)),
        shortcut=draw.choice(["A", "B", "C"]),
        stride_at=draw.choice(["conv1x1", "conv3x3"]),
    )


def random_architecture(draw: random.Random) -> Architecture:
    size = draw.choice([16, 19, 24])
    return Architecture(
        input=(draw.choice([1, 3]), size, size),
        classes=draw.choice([2, 10]),
        stem=Stem(
            kernel=draw.choice([1, 3, 5, 7]),
            stride=draw.choice([1, 2]),
            width=draw.choice([4, 8, 9]),
            norm=draw.choice([None, True, False]),
            pool=draw.choice(["none", "max"]),
        ),
        stages=tuple(
            Stage(
                depth=draw.randint(1, 3),
                width=draw.choice([4, 8, 12, 16]),
                stride=draw.choice([1, 2]),
                compression=draw.choice([0.5, 1.0]),
                block=random_block(draw),
            )
            for _ in range(draw.randint(1, 2))
        ),
        head=Head(pool=draw.choice(["mean", "adaptive"])),
        survival=Survival(
            schedule=draw.choice(["none", "uniform", "linear"]),
            last=draw.choice([0.5, 0.8, 1.0]),
            per=draw.choice(["batch", "sample"]),
            rescale=draw.choice(["test", "train"]),
        ),
    )


def sampled(count: int, seed: int = 0) -> list[Architecture]:
    draw = random.Random(seed)
    return [random_architecture(draw) for _ in range(count)]

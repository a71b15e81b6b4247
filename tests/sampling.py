"""Random architectures over the whole vocabulary, for property tests."""

import random
from typing import Any, get_args

from archsearch.architecture.block import Attention, Block, Kind, Layers, Link, Nonlinearity, Placement, Shortcut
from archsearch.architecture.spec import Architecture, Head, Stage, Stem, StemPooling, Survival


def random_block(draw: random.Random) -> Block:
    return Block(
        kind=draw.choice(get_args(Kind)),
        layers=draw.choice([None, None, *get_args(Layers)]),
        kernel=draw.choice([3, 3, 5, 7]),
        link=draw.choice(get_args(Link)),
        bottleneck_ratio=draw.choice([0.25, 0.5, 1.0, 2.0]),
        first_ratio=draw.choice([1.0, 1.0, 0.5]),
        scales=draw.choice([1, 1, 2, 3]),
        cardinality=draw.choice([1, 2, 3, 4, 8]),
        group_width=draw.choice([None, None, 1, 3, 8]),
        growth_rate=draw.choice([4, 5, 8, 12]),
        dense_bottleneck=draw.choice([1, 2, 4]),
        activation=draw.choice(get_args(Placement)),
        norm=random_norm(draw),
        shortcut=draw.choice(get_args(Shortcut)),
        shortcut_scale=draw.choice([1.0, 1.0, 0.5, 0.0, -0.5]),
        shortcut_dropout=draw.choice([0.0, 0.0, 0.5]),
        branch_scale=draw.choice([1.0, 1.0, 0.5, -1.0]),
        gate=draw.choice(["none", "none", "exclusive", "shortcut"]),
        gate_bias=draw.choice([None, -1.0]),
        stride_at=draw.choice(["conv1x1", "conv3x3"]),
        attention=draw.choice(["none", *get_args(Attention)]),
        radix=draw.choice([1, 2, 2, 3]),
        attention_at=draw.choice(["output", "inside"]),
        attention_from=draw.choice(["branch", "input"]),
        attention_rounding=draw.choice([1, 1, 8]),
        attention_reduction=draw.choice([2, 4, 16]),
        dropout=draw.choice([0.0, 0.0, 0.3]),
        learned_gain=draw.choice([False, False, True]),
        zero_init=draw.choice([False, False, True]),
        **random_norms(beside(draw)),
        **random_sampling(beside(draw)),
    )


def beside(draw: random.Random) -> random.Random:
    """Draws of their own for keys that came later: what `draw` gives the older ones stays as it was."""
    return random.Random(str(draw.getstate()))


def random_hidden(draw: random.Random) -> dict[str, Any]:
    """Values of the head's later keys."""
    return {
        "hidden": draw.choice([None, None, 10]),
        "hidden_layers": draw.choice([1, 2, 3]),
        "hidden_form": draw.choice(["linear", "conv"]),
        "grid": draw.choice([1, 1, 2, 3]),
        "dropout": draw.choice([0.0, 0.3]),
    }


def random_norm(draw: random.Random) -> str:
    norm = draw.choice(["batch", "batch", "none"])
    return "group" if norm == "batch" and beside(draw).random() < 0.3 else norm


def random_norms(draw: random.Random) -> dict[str, Any]:
    """Values of a block's keys that say how it normalises and activates."""
    return {
        "nonlinearity": draw.choice(["relu", *get_args(Nonlinearity)]),
        "bias": draw.choice([False, False, True]),
        "layer_scale": draw.choice([0.0, 0.0, 0.1]),
        "norm_groups": draw.choice([1, 2, 3, 8]),
        "weight_standardization": draw.choice([False, False, True]),
    }


def random_sampling(draw: random.Random) -> dict[str, Any]:
    """Values of a block's keys that say how it changes the resolution."""
    return {
        "shortcut_kernel": draw.choice([1, 3]),
        "downsample": draw.choice(["stride", "stride", "blur", "average", "average_overlapping", "average_before"]),
    }


def random_architecture(draw: random.Random) -> Architecture:
    size = draw.choice([16, 19, 24])
    return Architecture(
        input=(draw.choice([1, 3]), size, size),
        classes=draw.choice([2, 10]),
        stem=Stem(
            kernel=draw.choice([1, 3, 5, 7]),
            deep=draw.choice(["none", "none", "half", "tiered"]),
            stride=draw.choice([1, 2]),
            width=draw.choice([4, 8, 9]),
            norm=draw.choice([None, True, False]),
            padded=draw.choice([True, True, False]),
            pool=draw.choice(["none", "none", "none", *get_args(StemPooling)]),
            preactivates=draw.choice([False, False, True]),
            first_shortcut=draw.choice(["activated", "raw"]),
        ),
        stages=tuple(
            Stage(
                depth=draw.randint(1, 3),
                width=draw.choice([4, 8, 12, 16]),
                stride=draw.choice([1, 2]),
                compression=draw.choice([0.5, 1.0]),
                entry=draw.choice(["block", "block", "conv", "pool", "pool_conv"]),
                block=random_block(draw),
            )
            for _ in range(draw.randint(1, 2))
        ),
        head=Head(
            width=draw.choice([None, None, 6]),
            pool=draw.choice(["mean", "adaptive", "max"]),
            classifier=draw.choice(["linear", "linear", "conv"]),
            **random_hidden(beside(draw)),
        ),
        survival=random_survival(draw),
    )


def random_survival(draw: random.Random) -> Survival:
    schedule = draw.choice(["none", "uniform", "linear"])
    return Survival(
        schedule="count" if schedule == "uniform" and beside(draw).random() < 0.5 else schedule,
        last=draw.choice([0.5, 0.8, 1.0]),
        per=draw.choice(["batch", "sample"]),
        rescale=draw.choice(["test", "train"]),
        blocks=beside(draw).choice([None, None, 1, 2]),
    )


def sampled(count: int, seed: int = 0) -> list[Architecture]:
    """Those that can be built: whose image does not run out on the way."""
    from archsearch.architecture.cost import cost
    from archsearch.reading.errors import InputError

    draw, found = random.Random(seed), []
    while len(found) < count:
        try:
            architecture = random_architecture(draw)
            cost(architecture)
        except (InputError, ValueError):  # ValueError: a block whose branch would never train
            continue
        found.append(architecture)
    return found

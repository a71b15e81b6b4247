"""VGG (Simonyan & Zisserman 2015, arXiv:1409.1556): plain networks of single convolutions, max pools between stages."""

from __future__ import annotations

import re

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.zoo.entry import Entry

SIMONYAN = "Simonyan & Zisserman 2015, arXiv:1409.1556"
WIDTHS = (64, 128, 256, 512, 512)
LAYERS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
RULE = re.compile(r"vgg(?P<depth>\d+)(?P<norm>_bn)?")
NAMES = tuple(f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in LAYERS)


def entry(name: str) -> Entry | None:
    """The network of a listed name; None for others. Its first convolution is the stem."""
    match = RULE.fullmatch(name)
    if not match or (depth := int(match["depth"])) not in LAYERS:
        return None
    block = Block(kind="single", link="plain", norm="batch" if match["norm"] else "none", bias=True)
    first, *others = LAYERS[depth]
    stages = tuple(
        Stage(depth=count, width=width, stride=2 if number else 1, entry="pool", block=block)
        for number, (count, width) in enumerate(zip((first - 1, *others), WIDTHS, strict=True))
        if count
    )
    return Entry(
        "vgg",
        SIMONYAN,
        Architecture(
            name=name,
            input=(3, 224, 224),
            classes=1000,
            stem=Stem(width=WIDTHS[0]),
            stages=stages,
            head=Head(pool="max", hidden=4096, grid=7, hidden_form="conv"),
        ),
    )

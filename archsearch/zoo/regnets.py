"""RegNets (Radosavovic et al. 2020, arXiv:2003.13678): the published models' four numbers give depths and widths.

`regnetx_400mf` and `regnety_1_6gf` are pycls's networks and timm's (`regnetx_004`); torchvision's (`regnet_x_400mf`,
timm's `regnetx_004_tv`) round a stage's width to its groups in another way.
"""

from __future__ import annotations

import math
import re
from itertools import groupby

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.zoo.entry import Entry

RADOSAVOVIC = "Radosavovic et al. 2020, arXiv:2003.13678, tables 5 and 6; pycls"
QUANTUM = 8  # of which widths are multiples
# FLOPs in units of 100 million: initial width, slope, multiplier, group width, depth
X = {
    2: (24, 36.44, 2.49, 8, 13),
    4: (24, 24.48, 2.54, 16, 22),
    6: (48, 36.97, 2.24, 24, 16),
    8: (56, 35.73, 2.28, 16, 16),
    16: (80, 34.01, 2.25, 24, 18),
    32: (88, 26.31, 2.25, 48, 25),
    40: (96, 38.65, 2.43, 40, 23),
    64: (184, 60.83, 2.07, 56, 17),
    80: (80, 49.56, 2.88, 120, 23),
    120: (168, 73.36, 2.37, 112, 19),
    160: (216, 55.59, 2.1, 128, 22),
    320: (320, 69.86, 2.0, 168, 23),
}
Y = {
    2: (24, 36.44, 2.49, 8, 13),
    4: (48, 27.89, 2.09, 8, 16),
    6: (48, 32.54, 2.32, 16, 15),
    8: (56, 38.84, 2.4, 16, 14),
    16: (48, 20.71, 2.65, 24, 27),
    32: (80, 42.63, 2.66, 24, 21),
    40: (96, 31.41, 2.24, 64, 22),
    64: (112, 33.22, 2.27, 72, 25),
    80: (192, 76.82, 2.19, 56, 17),
    120: (168, 73.36, 2.37, 112, 19),
    160: (200, 106.23, 2.48, 112, 18),
    320: (232, 115.89, 2.53, 232, 20),
    640: (352, 147.48, 2.4, 328, 20),
    1280: (456, 160.83, 2.52, 264, 27),
}
SQUEEZED = {"attention": "se", "attention_reduction": 4, "attention_from": "input", "attention_at": "inside"}  # Y's
RULE = re.compile(
    r"regnet(?P<torchvision>_)?(?P<kind>[xy])_"
    r"((?P<hundreds>\d{3,4})(?P<rounded>_tv)?|(?P<mega>\d+)mf|(?P<giga>\d+(_\d)?)gf)"
)
NAMES = tuple(
    f"regnet{kind}_" + (f"{100 * hundreds}mf" if hundreds < 10 else f"{hundreds / 10:g}gf".replace(".", "_"))
    for kind, table in (("x", X), ("y", Y))
    for hundreds in table
)


def entry(name: str) -> Entry | None:
    """The network of any name that follows the rules; None for others."""
    if not (match := RULE.fullmatch(name)):
        return None
    giga = (match["giga"] or "0").replace("_", ".")
    hundreds = round(int(match["hundreds"] or 0) + int(match["mega"] or 0) / 100 + 10 * float(giga))
    numbers = (X if match["kind"] == "x" else Y).get(hundreds)
    if numbers is None or (match["torchvision"] and match["hundreds"]):
        return None
    initial, slope, multiplier, group, depth = numbers
    stages = []
    for width, blocks in linear_widths(initial, slope, multiplier, depth):
        fitted = _to_groups(width, min(group, width), as_torchvision=bool(match["torchvision"] or match["rounded"]))
        words = SQUEEZED if match["kind"] == "y" else {}
        block = Block(kind="bottleneck", bottleneck_ratio=1.0, group_width=min(group, width), **words)  # type: ignore[arg-type]
        stages.append(Stage(depth=blocks, width=fitted, stride=2, block=block))
    architecture = Architecture(
        name=name,
        input=(3, 224, 224),
        classes=1000,
        stem=Stem(kernel=3, stride=2, width=32),
        stages=tuple(stages),
        head=Head(),
    )
    return Entry(f"regnet_{match['kind']}", RADOSAVOVIC, architecture)


def linear_widths(initial: int, slope: float, multiplier: float, depth: int) -> list[tuple[int, int]]:
    """Each stage's width and depth: a line over the blocks, its widths taken to the nearest powers (section 3.3)."""
    powers = (round(math.log(1 + slope * block / initial) / math.log(multiplier)) for block in range(depth))
    widths = [round(initial * multiplier**power / QUANTUM) * QUANTUM for power in powers]
    return [(width, len(list(blocks))) for width, blocks in groupby(widths)]


def _to_groups(width: int, group: int, *, as_torchvision: bool) -> int:
    """The multiple of the group's width that is nearest; torchvision's is at least 90 % of the width."""
    if not as_torchvision:
        return round(width / group) * group
    nearest = max(group, int(width + group / 2) // group * group)
    return nearest + group if nearest < 0.9 * width else nearest

"""ResNets whose 3x3 has several paths, by timm's names: Res2Net, ResNeSt, SKNet.

`res2net50_26w_4s`: four parts of 26 channels; `resnest50d_4s2x40d`: four paths, two groups of 40 channels.
"""

from __future__ import annotations

import re
from typing import Any

from archsearch.architecture.block import Block
from archsearch.zoo.entry import IMAGENET_STEM, Entry, imagenet
from archsearch.zoo.resnets import BASIC, BOTTLENECK, FORMS, WIDE, WIDTHS

GAO = "Gao et al. 2019, arXiv:1904.01169"
LI = "Li et al. 2019, arXiv:1903.06586"
ZHANG = "Zhang et al. 2020, arXiv:2004.08955"
RES2NET = re.compile(r"res2ne(?P<next>x?)t(?P<depth>\d+)(?P<form>d?)(_(?P<base>\d+)w_(?P<scales>\d)s)?")
SKNET = re.compile(r"skresne(?P<next>x?)t(?P<depth>\d+)(?P<form>d?)(_32x4d)?")
RESNEST = re.compile(r"resnest(?P<depth>\d+)(?P<form>[de])(_(?P<radix>\d)s(?P<groups>\d)x(?P<base>\d+)d)?")
NAMES = (
    *("res2net50_26w_4s", "res2net101_26w_4s", "res2net50_14w_8s", "res2next50", "res2net50d"),
    *("skresnet18", "skresnet50", "skresnext50_32x4d"),
    *("resnest14d", "resnest26d", "resnest50d", "resnest101e", "resnest200e", "resnest269e"),
)


def entry(name: str) -> Entry | None:
    """The network of any name that follows the rules, listed or not; None for others."""
    if match := RES2NET.fullmatch(name):
        base, scales = int(match["base"] or (4 if match["next"] else 26)), int(match["scales"] or 4)
        groups = 8 if match["next"] else 1
        words: dict[str, Any] = {
            "scales": scales,
            "cardinality": groups,
            "bottleneck_ratio": base * scales * groups / 256,
        }
        return _entry("res2net", GAO, name, int(match["depth"]), match["form"], words)
    if match := SKNET.fullmatch(name):
        return _entry("sknet", LI, name, int(match["depth"]), match["form"], _selective(match))
    if match := RESNEST.fullmatch(name):
        groups, base = int(match["groups"] or 1), int(match["base"] or 64)
        words = {
            "attention": "split",
            "attention_reduction": 4,
            "attention_rounding": 8,
            "radix": int(match["radix"] or 2),
            "cardinality": groups,
            "bottleneck_ratio": groups * base / 256,
            "downsample": "average_before" if match["radix"] else "average_overlapping",
        }
        return _entry("resnest", ZHANG, name, int(match["depth"]), match["form"], words)
    return None


def _selective(match: re.Match[str]) -> dict[str, Any]:
    """timm's let each path read a part of the channels, but for the ResNeXt, which is the paper's network."""
    if match["next"]:
        return {"attention": "selective", "attention_rounding": 32, "cardinality": 32, "bottleneck_ratio": 0.5}
    if int(match["depth"]) in BASIC:
        return {"attention": "selective_sliced", "attention_reduction": 8, "attention_rounding": 16}
    return {"attention": "selective_sliced", "attention_rounding": 8}


def _entry(family: str, source: str, name: str, depth: int, form: str, words: dict[str, Any]) -> Entry | None:
    """`form` e is d with a wider stem."""
    basic = depth in BASIC
    if depth not in {**BASIC, **BOTTLENECK}:
        return None
    stem, shortcut = FORMS["d" if form else ""]
    block = Block(kind="basic" if basic else "bottleneck", **shortcut, **words)
    architecture = imagenet(
        name,
        {**BASIC, **BOTTLENECK}[depth],
        WIDTHS if basic else WIDE,
        block,
        stem=IMAGENET_STEM.model_copy(update={**stem, **({"width": 128} if form == "e" else {})}),
    )
    return Entry(family, source, architecture)

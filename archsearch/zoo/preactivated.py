"""Pre-activated ResNets for 224x224 images: fb.resnet.torch's (`preact_resnet50`) and timm's (`resnetv2_50`)."""

from __future__ import annotations

import re

from archsearch.architecture.block import Block
from archsearch.zoo.entry import IMAGENET_STEM, Entry, imagenet
from archsearch.zoo.errors import HE_2016
from archsearch.zoo.resnets import BASIC, BOTTLENECK, FORMS, WIDE, WIDTHS

NAMES = (
    *("preact_resnet50", "preact_resnet152", "preact_resnet200"),
    *("resnetv2_18", "resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
    *("resnetv2_18d", "resnetv2_34d", "resnetv2_50d", "resnetv2_50t", "resnetv2_101d", "resnetv2_152d"),
    *("resnetv2_50x1_bit", "resnetv2_101x1_bit", "resnetv2_50x3_bit", "resnetv2_101x3_bit", "resnetv2_152x2_bit"),
)
RULE = re.compile(
    r"(?P<library>preact_resnet|resnetv2_)(?P<depth>\d+)(?P<form>[dt]?)((?P<norm>_gn)|x(?P<factor>\d)_bit)?"
)


def entry(name: str) -> Entry | None:
    """The network of any name that follows the rule, listed or not; None for others.

    fb.resnet.torch's end the stem in norm, ReLU and pool, and leave the first block's pre-activation to it; timm's stem
    is convolutions and the pool, which the first block's shortcut takes as it is, and its classifier a 1x1 convolution.
    """
    match = RULE.fullmatch(name)
    if not match or int(match["depth"]) not in {**BASIC, **BOTTLENECK}:
        return None
    depth, theirs = int(match["depth"]), match["library"] == "preact_resnet"
    factor = int(match["factor"] or 1)
    if (theirs and (match["form"] or match["norm"] or match["factor"] or depth in BASIC)) or not factor:
        return None
    form, words = FORMS[match["form"]]
    stem = {"norm": True, "preactivates": True} if theirs else {"norm": False, "first_shortcut": "raw", **form}
    if match["factor"]:  # BiT, Kolesnikov 2020
        stem |= {"pool": "max_zero_padded", "width": 64 * factor}
        words = {**words, "weight_standardization": True}
    widths = WIDTHS if depth in BASIC else WIDE
    words = {**words, "norm": "group" if match["norm"] or match["factor"] else "batch"}
    architecture = imagenet(
        name,
        {**BASIC, **BOTTLENECK}[depth],
        tuple(factor * width for width in widths),
        Block(kind="basic" if depth in BASIC else "bottleneck", activation="pre", **words),
        stem=IMAGENET_STEM.model_copy(update=stem),
        pool="mean" if theirs else "adaptive",
        classifier="linear" if theirs else "conv",
    )
    return Entry("resnet_v2", f"{HE_2016}; facebook/fb.resnet.torch, preresnet.lua" if theirs else "timm", architecture)

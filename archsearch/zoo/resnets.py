"""ResNets for 224x224 images, by the rules that their names follow in papers, torchvision and timm.

`seresnext50d_32x4d`: squeeze-and-excitation, 32 groups of 4 channels at first, 50 layers, deep stem and average-pool
shortcuts. Forms: c (deep stem), s (a wide one), d (deep stem, average pools on shortcuts), t (as d, tiered stem).
"""

from __future__ import annotations

import re
from typing import Any

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stem
from archsearch.zoo.entry import IMAGENET_STEM, Entry, imagenet
from archsearch.zoo.errors import HE_2015, HU, WOO, XIE, ZAGORUYKO

BELLO = "Bello et al. 2021, arXiv:2103.07579"
ZHANG = "Zhang 2019, arXiv:1904.11486"
HE_2018 = "He et al. 2018, arXiv:1812.01187"
WANG = "Wang et al. 2020, arXiv:1910.03151"
TORCHVISION, TIMM = "torchvision", "timm"
WIDTHS = (64, 128, 256, 512)  # of basic blocks
WIDE = (256, 512, 1024, 2048)
BASIC = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # words of the stem, and of the blocks
    "": ({}, {}),
    "c": ({"deep": "half"}, {}),
    "s": ({"deep": "half", "width": 128}, {}),
    "d": ({"deep": "half"}, {"shortcut": "B_pool"}),
    "t": ({"deep": "tiered"}, {"shortcut": "B_pool"}),
}
RS = {**BOTTLENECK, 270: (4, 29, 53, 4), 350: (4, 36, 72, 4), 420: (4, 44, 87, 4)}  # Bello 2021
SMOOTH = {"aa": "average", "blur": "blur"}  # what halves the resolution in the stem and in branches
SENET = {"attention": "se", "cardinality": 64, "bottleneck_ratio": 1.0, "first_ratio": 0.5, "shortcut_kernel": 3}
TIERED = FORMS["t"][0]
SILU = {"group_width": 32, "nonlinearity": "silu"}
OTHERS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "ecaresnetlight": ((1, 1, 11, 3), {}, {"attention": "eca", "shortcut": "B_pool"}),
    "senet154": ((3, 8, 36, 3), FORMS["s"][0], SENET),
    "legacy_senet154": ((3, 8, 36, 3), {**FORMS["s"][0], "pool": "max_unpadded"}, SENET),
    "resnext26ts": ((2, 2, 2, 2), TIERED, SILU),
    "seresnext26ts": (
        (2, 2, 2, 2),
        TIERED,
        {**SILU, "attention": "se", "attention_at": "inside", "attention_rounding": 8},
    ),
    "eca_resnext26ts": ((2, 2, 2, 2), TIERED, {**SILU, "attention": "eca", "attention_at": "inside"}),
    "seresnextaa201d_32x8d": (
        (3, 24, 36, 4),
        {**FORMS["s"][0], "pool": "average"},
        {**FORMS["d"][1], "attention": "se", "cardinality": 32, "bottleneck_ratio": 1.0, "downsample": "average"},
    ),
}
NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
    *("plain18", "plain34", "resnet18_option_a", "resnet34_option_a", "resnet34_option_b", "resnet34_option_c"),
    *("resnet50_v1", "resnet101_v1", "resnet152_v1"),
    *("resnet10t", "resnet14t", "resnet18d", "resnet26", "resnet26d", "resnet26t", "resnet34d"),
    *("resnet50c", "resnet50s", "resnet50d", "resnet50t", "resnet101d", "resnet152d", "resnet200d"),
    *("resnext50_32x4d", "resnext50d_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *("seresnet50", "seresnet50_v1", "seresnet101", "seresnet152", "seresnet152d", "seresnext50_32x4d"),
    *("seresnext101_32x4d", "senet154", "ecaresnet50d", "ecaresnet101d", "cbam_resnet50", "cbam_resnet50_v1"),
    *("resnetaa50", "resnetblur18", "resnetblur50", "resnetrs50", "resnetrs101", "resnetrs152", "resnetrs200"),
)


RULE = re.compile(
    r"(?P<legacy>legacy_)?(?P<attention>se|eca|cbam_)?(?P<kind>plain|resnet|resnext|wide_resnet)(?P<pool>aa|blur|rs)?"
    r"(?P<depth>\d+)(?P<form>[cdst]?)"
    r"(_(?P<groups>\d+)x(?P<base>\d+)d|_(?P<factor>\d+)|_(?P<original>v1)|_(?P<norm>gn)|_option_(?P<option>[abc]))?"
)


def entry(name: str) -> Entry | None:
    """The network of any name that follows the rule, listed or not; None for others."""
    if name in OTHERS:
        return Entry(*_other(name))
    if match := RULE.fullmatch(name):
        return _resnet(name, **match.groupdict())
    return None


def _other(name: str) -> tuple[str, str, Architecture]:
    """The networks of the families that follow no rule."""
    depths, stem, words = OTHERS[name]
    block = Block(kind="bottleneck", **words)
    network = imagenet(name, depths, WIDE, block, stem=IMAGENET_STEM.model_copy(update=stem))
    return (*_family(block.attention, "resnext", "", "", basic=False, original=False), network)


def _resnet(name: str, depth: str, form: str, **parts: str | None) -> Entry | None:
    """v1 strides the first 1x1; He 2015's networks and CBAM's average by a mean, which fvcore does not count."""
    layers, kind, attention = int(depth), str(parts["kind"]), (parts["attention"] or "none").strip("_")
    groups, base = int(parts["groups"] or 1), int(parts["base"] or 64)
    pool, legacy = parts["pool"] or "", parts["legacy"]
    depths = RS.get(layers) if pool == "rs" else {**BASIC, **BOTTLENECK}.get(layers)
    basic = layers in BASIC
    wrong = (
        depths is None
        or (kind == "resnext") != (parts["groups"] is not None)
        or (kind == "wide_resnet") != (parts["factor"] is not None)
        or (basic and (groups > 1 or parts["factor"] or parts["original"] or legacy))
        or (legacy and (attention != "se" or pool or form))
        or (pool == "rs" and (form or attention != "none" or kind != "resnet"))
    )
    if wrong or depths is None:
        return None
    if pool == "rs":
        attention, form = "se", "d"
    stem, words = FORMS[form]
    caffe = parts["original"] or (legacy and kind == "resnet")
    block = Block(
        kind="basic" if basic else "bottleneck",
        link="plain" if kind == "plain" else "residual",
        bottleneck_ratio=0.25 if basic else groups * base * int(parts["factor"] or 1) / 256,
        cardinality=groups,
        norm="group" if parts["norm"] else "batch",
        stride_at="conv1x1" if caffe else "conv3x3",
        attention=attention,  # type: ignore[arg-type]
        attention_reduction=4 if pool == "rs" else 16,
        attention_rounding=8 if basic and attention == "se" else 1,  # as timm's, where 16 do not divide the channels
        downsample=SMOOTH.get(pool, "stride"),  # type: ignore[arg-type]
        **({"shortcut": parts["option"].upper()} if parts["option"] else words),
    )
    as_in_papers = attention == "cbam" or (
        attention == "none" and (kind == "plain" or parts["original"] or parts["option"])
    )
    pooling = {"rs": "conv", **SMOOTH}.get(pool, "max_unpadded" if legacy else "max")
    architecture = imagenet(
        name,
        depths,
        WIDTHS if basic else WIDE,
        block,
        stem=Stem.model_validate({**IMAGENET_STEM.model_dump(), **stem, "pool": pooling}),
        pool="mean" if as_in_papers else "adaptive",
    )
    return Entry(*_family(attention, kind, form, pool, basic=basic, original=bool(as_in_papers)), architecture)


def _family(attention: str, kind: str, form: str, pool: str, *, basic: bool, original: bool) -> tuple[str, str]:
    """A network's family, and where it is described."""
    if pool:
        return ("resnet_rs", BELLO) if pool == "rs" else ("antialiased", ZHANG if pool == "blur" else TIMM)
    if attention != "none":
        return attention, {"se": HU, "eca": WANG, "cbam": WOO}[attention]
    if kind in ("resnext", "wide_resnet"):
        return kind, XIE if kind == "resnext" else ZAGORUYKO
    if form:
        return "resnet_d", TIMM if form == "t" else HE_2018
    if kind == "plain":
        return kind, HE_2015
    return ("resnet_v1", HE_2015) if basic or original else ("resnet_v1.5", TORCHVISION)

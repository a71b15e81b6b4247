"""The literature's networks for 32x32 images, and the rules that their names follow."""

from __future__ import annotations

import re

from archsearch.architecture.block import Block, Placement
from archsearch.architecture.spec import Survival
from archsearch.reading.errors import refuse
from archsearch.zoo.entry import Entry, cifar
from archsearch.zoo.errors import HE_2015, HE_2016, HUANG, HUANG_2016, SHEN, SMALL_IMAGES, XIE, ZAGORUYKO

BOTTLENECK_WIDTHS = (64, 128, 256)

PLACEMENTS: dict[str, Placement] = {
    "bn_after_addition": "norm_after_addition",
    "relu_before_addition": "relu_before_addition",
    "relu_only_preact": "relu_only_pre",
}
SHORTCUTS: dict[str, Block] = {
    "scaled_0_1": Block(shortcut="A", shortcut_scale=0.0),
    "scaled_05_1": Block(shortcut="A", shortcut_scale=0.5),
    "scaled_05_05": Block(shortcut="A", shortcut_scale=0.5, branch_scale=0.5),
    "exclusive_gate": Block(shortcut="A", gate="exclusive", gate_bias=-6.0),
    "only_gate": Block(shortcut="A", gate="shortcut", gate_bias=-6.0),
    "conv1x1": Block(shortcut="C"),
    "dropout": Block(shortcut="A", shortcut_dropout=0.5),
}
UNPUBLISHED = (
    *(f"resnet110_shortcut_{name}_cifar" for name in ("scaled_0_1", "scaled_05_1", "dropout")),
    "weighted_resnet118_cifar",
    "wrn40_10_cifar",
    *(f"plain{depth}_cifar" for depth in (20, 32, 44, 56, 110)),
    *(f"resnet{depth}_option_b_cifar" for depth in (20, 56, 110)),
    "preact_resnet110_option_b_cifar",
)
NAMES = (*UNPUBLISHED, *(name for errors in SMALL_IMAGES.values() for name in errors if not name.startswith("highway")))


def entry(name: str) -> Entry | None:
    """The network of any name that follows a family's rule, listed or not (`resnet74_cifar`); None for others.

    Raises InputError where the rule is met and the depth cannot be: ResNets have 6n + 2 layers (9n + 2 with
    bottlenecks), Wide ResNets 6n + 4, ResNeXts 9n + 2, DenseNets 3n + 4 (6n + 4 with bottlenecks).
    """
    for pattern, make in RULES:
        if match := re.fullmatch(pattern, name):
            return make(name, **match.groupdict())
    return None


def _blocks(name: str, depth: str, per_block: int, outside: int) -> int:
    blocks, remainder = divmod(int(depth) - outside, 3 * per_block)
    if remainder or not 1 <= blocks <= 1024:
        raise refuse(f"{name}: no such depth", allowed=f"{3 * per_block}n + {outside} layers, n = 1 to 1024")
    return blocks


def _resnet(name: str, family: str, depth: str, option: str | None = None, placement: str | None = None) -> Entry:
    """He 2016 builds ResNet-164 and -1001 of bottlenecks; so are all depths that are 9n + 2 and not 6n + 2."""
    bottleneck = family != "plain" and (depth == "164" or (int(depth) - 2) % 6 != 0)
    activation: Placement = PLACEMENTS[placement] if placement else "pre" if family == "preact_resnet" else "post"
    block = Block(
        kind="bottleneck" if bottleneck else "basic",
        link="plain" if family == "plain" else "residual",
        activation=activation,
        shortcut=option.upper() if option else "B" if bottleneck else "A",  # type: ignore[arg-type]
        stride_at="conv1x1" if bottleneck else "conv3x3",
    )
    blocks = _blocks(name, depth, 3 if bottleneck else 2, 2)
    widths = BOTTLENECK_WIDTHS if bottleneck else (16, 32, 64)
    label = {"plain": "plain", "resnet": "resnet_v1", "preact_resnet": "resnet_v2"}[family]
    architecture = cifar(name, blocks, block, widths)
    return Entry(
        "resnet_activation_placement" if placement else label,
        HE_2016 if placement or activation == "pre" or bottleneck or option == "c" else HE_2015,
        architecture,
    )


def _wide(name: str, depth: str, factor: str, dropout: str | None) -> Entry:
    k = int(factor)
    block = Block(activation="pre", dropout=0.3 if dropout else 0.0)
    architecture = cifar(name, _blocks(name, depth, 2, 4), block, (16 * k, 32 * k, 64 * k))
    return Entry("wide_resnet", ZAGORUYKO, architecture)


def _resnext(name: str, depth: str, groups: str, base: str) -> Entry:
    """Inner width groups * base in the first stage, whose output stays 256."""
    cardinality = int(groups)
    block = Block(kind="bottleneck", cardinality=cardinality, bottleneck_ratio=cardinality * int(base) / 256)
    architecture = cifar(name, _blocks(name, depth, 3, 2), block, (256, 512, 1024), stem=64)
    return Entry("resnext", XIE, architecture)


def _densenet(name: str, depth: str, growth: str, bc: str | None) -> Entry:
    """Stem 16, or 2k with bottlenecks and compression (BC)."""
    k = int(growth)
    block = Block(kind="bottleneck" if bc else "basic", link="dense", activation="pre", growth_rate=k)
    architecture = cifar(
        name,
        _blocks(name, depth, 2 if bc else 1, 4),
        block,
        (16, 16, 16),
        stem=2 * k if bc else 16,
        compression=0.5 if bc else 1.0,
    )
    return Entry("densenet", HUANG, architecture)


def _shortcut(name: str, depth: str, shortcut: str) -> Entry:
    """He 2016, table 1: the alternative stands in all units."""
    architecture = cifar(name, _blocks(name, depth, 2, 2), SHORTCUTS[shortcut])
    return Entry("resnet_shortcut_alternative", f"{HE_2016}, table 1", architecture)


def _stochastic_depth(name: str, depth: str) -> Entry:
    survival = Survival(schedule="linear", last=0.5, per="batch", rescale="test")
    architecture = cifar(name, _blocks(name, depth, 2, 2), Block(shortcut="A_pool"), survival=survival)
    return Entry("stochastic_depth", HUANG_2016, architecture)


def _weighted(name: str, depth: str) -> Entry:
    """The paper gives no layer table: 6n + 4 layers, a convolution of its own where the shape changes."""
    block = Block(activation="relu_before_addition", learned_gain=True)
    network = cifar(name, _blocks(name, depth, 2, 4), block)
    entered = tuple(stage.model_copy(update={"entry": "conv"}) for stage in network.stages)
    architecture = network.model_copy(update={"stages": entered})
    return Entry("weighted_residual", SHEN, architecture)


RULES = (
    (rf"resnet(?P<depth>\d+)_shortcut_(?P<shortcut>{'|'.join(SHORTCUTS)})_cifar", _shortcut),
    (r"stochastic_depth_resnet(?P<depth>\d+)_cifar", _stochastic_depth),
    (r"weighted_resnet(?P<depth>\d+)_cifar", _weighted),
    (
        rf"(?P<family>plain|preact_resnet|resnet)(?P<depth>\d+)(_option_(?P<option>[abc])|_(?P<placement>{'|'.join(PLACEMENTS)}))?_cifar",
        _resnet,
    ),
    (r"wrn(?P<depth>\d+)_(?P<factor>\d+)(?P<dropout>_dropout)?_cifar", _wide),
    (r"resnext(?P<depth>\d+)_(?P<groups>\d+)x(?P<base>\d+)d_cifar", _resnext),
    (r"densenet(?P<bc>_bc)?(?P<depth>\d+)_(?P<growth>\d+)_cifar", _densenet),
)

"""DenseNets and dual path networks for 224x224 images."""

from __future__ import annotations

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage
from archsearch.zoo.entry import IMAGENET_STEM, Entry, imagenet
from archsearch.zoo.errors import DPN, HUANG

# Blocks of each stage, and the growth rate; densenet264d has a deep stem (timm).
DENSENETS = {
    "densenet121": ((6, 12, 24, 16), 32),
    "densenet161": ((6, 12, 36, 24), 48),
    "densenet169": ((6, 12, 32, 32), 32),
    "densenet201": ((6, 12, 48, 32), 32),
    "densenet264": ((6, 12, 64, 48), 32),
    "densenet264d": ((6, 12, 64, 48), 48),
}
# The stem's width and kernel, groups, blocks, width of the 3x3, and the growth of each stage (Chen 2017, table 1).
DUAL_PATHS = {
    "dpn68": (10, 3, 32, (3, 4, 12, 3), 128, (16, 32, 32, 64)),
    "dpn68b": (10, 3, 32, (3, 4, 12, 3), 128, (16, 32, 32, 64)),  # the same; its weights have other names in timm
    "dpn92": (64, 7, 32, (3, 4, 20, 3), 96, (16, 32, 24, 128)),
    "dpn98": (96, 7, 40, (3, 6, 20, 3), 160, (16, 32, 32, 128)),
    "dpn107": (128, 7, 50, (4, 8, 20, 3), 200, (20, 64, 64, 128)),
    "dpn131": (128, 7, 40, (4, 8, 28, 3), 160, (16, 32, 32, 128)),
}
NAMES = (*DENSENETS, *(name for name in DUAL_PATHS if name != "dpn68b"))


def entry(name: str) -> Entry | None:
    """The network of a listed name; None for others."""
    if name in DENSENETS:
        return Entry("densenet", HUANG, _densenet(name, *DENSENETS[name]))
    return Entry("dual_path", DPN, _dual_path(name, *DUAL_PATHS[name])) if name in DUAL_PATHS else None


def _densenet(name: str, depths: tuple[int, ...], growth: int) -> Architecture:
    """Bottlenecks and compression (BC); the stem has twice the growth rate's channels."""
    deep = "half" if name.endswith("d") else "none"
    stem = IMAGENET_STEM.model_copy(update={"norm": True, "width": 2 * growth, "deep": deep})
    block = Block(kind="bottleneck", link="dense", activation="pre", growth_rate=growth)
    return imagenet(name, depths, (16,) * 4, block, stem=stem, compression=0.5)


def _dual_path(
    name: str, width: int, kernel: int, groups: int, depths: tuple[int, ...], inner: int, growths: tuple[int, ...]
) -> Architecture:
    first = 64 if kernel == 3 else 256
    block = Block(kind="bottleneck", link="dual_path", activation="pre", cardinality=groups)
    return Architecture(
        name=name,
        input=(3, 224, 224),
        classes=1000,
        stem=IMAGENET_STEM.model_copy(update={"norm": True, "width": width, "kernel": kernel}),
        stages=tuple(
            Stage(
                depth=depth,
                width=first * 2**number,
                stride=1 if number == 0 else 2,
                block=block.model_copy(update={"bottleneck_ratio": inner / first, "growth_rate": growth}),
            )
            for number, (depth, growth) in enumerate(zip(depths, growths, strict=True))
        ),
        head=Head(classifier="conv"),
        norm_eps=1e-3,
    )

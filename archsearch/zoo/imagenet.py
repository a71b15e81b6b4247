"""The literature's networks for 224x224 images."""

from __future__ import annotations

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.zoo.entry import IMAGENET_STEM, Entry, imagenet
from archsearch.zoo.errors import DPN, HE_2015, HE_2016, HU, HUANG, WOO, XIE, ZAGORUYKO

BASIC_WIDTHS = (64, 128, 256, 512)
WIDTHS = (256, 512, 1024, 2048)
DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
DENSE_STEM = IMAGENET_STEM.model_copy(update={"norm": True})
TORCHVISION = "torchvision"


def entries() -> tuple[Entry, ...]:
    """All of them, family by family."""
    return (*_resnets(), *_resnexts(), *_wide(), *_densenets(), *_preactivated(), *_attentive(), *_dual_paths())


def _bottleneck(
    name: str,
    depth: int,
    ratio: float = 0.25,
    cardinality: int = 1,
    *,
    pool: str = "adaptive",
    stem: Stem = IMAGENET_STEM,
    classifier: str = "linear",
    **fields: str,
) -> Architecture:
    block = Block(kind="bottleneck", bottleneck_ratio=ratio, cardinality=cardinality, **fields)  # type: ignore[arg-type]
    return imagenet(name, DEPTHS[depth], WIDTHS, block, stem=stem, pool=pool, classifier=classifier)


def _resnets() -> tuple[Entry, ...]:
    """v1 strides the first 1x1 and averages by a mean, as the paper's networks do; v1.5 is torchvision's."""

    def basic(name: str, depth: int, pool: str = "mean", **fields: str) -> Architecture:
        return imagenet(name, DEPTHS[depth], BASIC_WIDTHS, Block(**fields), pool=pool)  # type: ignore[arg-type]

    plain = tuple(Entry("plain", HE_2015, basic(f"plain{depth}", depth, link="plain")) for depth in (18, 34))
    options = ((18, "A"), (34, "A"), (34, "B"), (34, "C"))
    return (
        *plain,
        *(
            Entry("resnet_v1", HE_2015, basic(f"resnet{depth}_option_{option.lower()}", depth, shortcut=option))
            for depth, option in options
        ),
        *(Entry("resnet_v1", HE_2015, basic(f"resnet{depth}", depth, "adaptive")) for depth in (18, 34)),
        *(
            Entry("resnet_v1", HE_2015, _bottleneck(f"resnet{depth}_v1", depth, pool="mean", stride_at="conv1x1"))
            for depth in (50, 101, 152)
        ),
        *(Entry("resnet_v1.5", TORCHVISION, _bottleneck(f"resnet{depth}", depth)) for depth in (50, 101, 152)),
    )


def _resnexts() -> tuple[Entry, ...]:
    return (
        Entry("resnext", XIE, _bottleneck("resnext50_32x4d", 50, 0.5, 32)),
        Entry("resnext", TORCHVISION, _bottleneck("resnext101_32x8d", 101, 1.0, 32)),
        Entry("resnext", XIE, _bottleneck("resnext101_64x4d", 101, 1.0, 64)),
    )


def _wide() -> tuple[Entry, ...]:
    return (
        Entry("wide_resnet", ZAGORUYKO, _bottleneck("wide_resnet50_2", 50, 0.5)),
        Entry("wide_resnet", TORCHVISION, _bottleneck("wide_resnet101_2", 101, 0.5)),
    )


def _densenets() -> tuple[Entry, ...]:
    def dense(name: str, depths: tuple[int, int, int, int], k: int = 32, stem: Stem = DENSE_STEM) -> Entry:
        block = Block(kind="bottleneck", link="dense", activation="pre", growth_rate=k)
        return Entry("densenet", HUANG, imagenet(name, depths, (16,) * 4, block, stem=stem, compression=0.5))

    return (
        dense("densenet121", (6, 12, 24, 16)),
        dense("densenet161", (6, 12, 36, 24), 48, DENSE_STEM.model_copy(update={"width": 96})),
        dense("densenet169", (6, 12, 32, 32)),
        dense("densenet201", (6, 12, 48, 32)),
    )


def _preactivated() -> tuple[Entry, ...]:
    """fb.resnet.torch's end the stem in norm, ReLU and pool, and leave the first block's pre-activation to it;
    timm's stem is a convolution and the pool, and its classifier a 1x1 convolution."""
    fb = IMAGENET_STEM.model_copy(update={"norm": True, "preactivates": True})
    timm = IMAGENET_STEM.model_copy(update={"norm": False})
    return (
        *(
            Entry(
                "resnet_v2",
                f"{HE_2016}; facebook/fb.resnet.torch, preresnet.lua",
                _bottleneck(f"preact_resnet{depth}", depth, pool="mean", stem=fb, activation="pre"),
            )
            for depth in (50, 152, 200)
        ),
        *(
            Entry(
                "resnet_v2",
                "timm",
                _bottleneck(f"resnetv2_{depth}", depth, stem=timm, classifier="conv", activation="pre"),
            )
            for depth in (50, 101, 152)
        ),
    )


def _attentive() -> tuple[Entry, ...]:
    return (
        Entry("se", "timm", _bottleneck("seresnet50", 50, attention="se")),
        Entry("se", HU, _bottleneck("seresnet50_v1", 50, attention="se", stride_at="conv1x1")),
        Entry("se", HU, _bottleneck("seresnext50_32x4d", 50, 0.5, 32, attention="se")),
        Entry("cbam", WOO, _bottleneck("cbam_resnet50", 50, pool="mean", attention="cbam")),
        Entry("cbam", WOO, _bottleneck("cbam_resnet50_v1", 50, pool="mean", attention="cbam", stride_at="conv1x1")),
    )


def _dual_paths() -> tuple[Entry, ...]:
    """Blocks, then inner width, residual channels and growth of each stage (Chen 2017, table 1)."""

    def dual(name: str, stem: Stem, groups: int, blocks: tuple[int, ...], inner: int, growth: tuple[int, ...]) -> Entry:
        first = 64 if name == "dpn68" else 256
        network = Architecture(
            name=name,
            input=(3, 224, 224),
            classes=1000,
            stem=stem.model_copy(update={"norm": True}),
            stages=tuple(
                Stage(
                    depth=depth,
                    width=first * 2**i,
                    stride=1 if i == 0 else 2,
                    block=Block(
                        kind="bottleneck",
                        link="dual_path",
                        activation="pre",
                        bottleneck_ratio=inner / first,
                        cardinality=groups,
                        growth_rate=grows,
                    ),
                )
                for i, (depth, grows) in enumerate(zip(blocks, growth, strict=True))
            ),
            head=Head(classifier="conv"),
            norm_eps=1e-3,
        )
        return Entry("dual_path", DPN, network)

    def stem(width: int, kernel: int = 7) -> Stem:
        return IMAGENET_STEM.model_copy(update={"width": width, "kernel": kernel})

    return (
        dual("dpn68", stem(10, 3), 32, (3, 4, 12, 3), 128, (16, 32, 32, 64)),
        dual("dpn92", stem(64), 32, (3, 4, 20, 3), 96, (16, 32, 24, 128)),
        dual("dpn98", stem(96), 40, (3, 6, 20, 3), 160, (16, 32, 32, 128)),
        dual("dpn107", stem(128), 50, (4, 8, 20, 3), 200, (20, 64, 64, 128)),
        dual("dpn131", stem(128), 40, (4, 8, 28, 3), 160, (16, 32, 32, 128)),
    )

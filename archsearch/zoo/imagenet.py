"""The literature's networks for 224x224 images."""

from __future__ import annotations

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Head, Stage, Stem
from archsearch.zoo.entry import FB_RESNET, HE_2015, HE_2016, IMAGENET_STEM, TORCHVISION, Entry, imagenet

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
XIE = "Xie et al. 2017, arXiv:1611.05431, table 5"
HUANG = "Huang et al. 2017, arXiv:1608.06993, table 3; torchvision"


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

    return (
        Entry("plain", HE_2015, basic("plain18", 18, link="plain"), 27.94),
        Entry("plain", HE_2015, basic("plain34", 34, link="plain"), 28.54),
        Entry("resnet_v1", HE_2015, basic("resnet18_option_a", 18, shortcut="A"), 27.88),
        Entry("resnet_v1", HE_2015, basic("resnet34_option_a", 34, shortcut="A"), 25.03),
        Entry("resnet_v1", HE_2015, basic("resnet34_option_b", 34), 24.52),
        Entry("resnet_v1", HE_2015, basic("resnet34_option_c", 34, shortcut="C"), 24.19),
        Entry("resnet_v1", FB_RESNET, basic("resnet18", 18, "adaptive"), 30.43),
        Entry("resnet_v1", FB_RESNET, basic("resnet34", 34, "adaptive"), 26.73),
        *(
            Entry("resnet_v1", HE_2015, _bottleneck(f"resnet{d}_v1", d, pool="mean", stride_at="conv1x1"), error)
            for d, error in ((50, 22.85), (101, 21.75), (152, 21.43))
        ),
        *(
            Entry("resnet_v1.5", FB_RESNET, _bottleneck(f"resnet{d}", d), error)
            for d, error in ((50, 24.01), (101, 22.44), (152, 22.16))
        ),
    )


def _resnexts() -> tuple[Entry, ...]:
    return (
        Entry("resnext", XIE, _bottleneck("resnext50_32x4d", 50, 0.5, 32), 22.2),
        Entry("resnext", TORCHVISION, _bottleneck("resnext101_32x8d", 101, 1.0, 32)),
        Entry("resnext", XIE, _bottleneck("resnext101_64x4d", 101, 1.0, 64), 20.4),
    )


def _wide() -> tuple[Entry, ...]:
    source = "Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 8; torchvision"
    return (
        Entry("wide_resnet", source, _bottleneck("wide_resnet50_2", 50, 0.5), 21.9),
        Entry("wide_resnet", TORCHVISION, _bottleneck("wide_resnet101_2", 101, 0.5)),
    )


def _densenets() -> tuple[Entry, ...]:
    def dense(
        name: str, depths: tuple[int, int, int, int], error: float, k: int = 32, stem: Stem = DENSE_STEM
    ) -> Entry:
        block = Block(kind="bottleneck", link="dense", activation="pre", growth_rate=k)
        return Entry("densenet", HUANG, imagenet(name, depths, (16,) * 4, block, stem=stem, compression=0.5), error)

    return (
        dense("densenet121", (6, 12, 24, 16), 25.02),
        dense("densenet161", (6, 12, 36, 24), 22.2, 48, DENSE_STEM.model_copy(update={"width": 96})),
        dense("densenet169", (6, 12, 32, 32), 23.8),
        dense("densenet201", (6, 12, 48, 32), 22.58),
    )


def _preactivated() -> tuple[Entry, ...]:
    """fb.resnet.torch's end the stem in norm, ReLU and pool, and leave the first block's pre-activation to it;
    timm's stem is a convolution and the pool, and its classifier a 1x1 convolution."""
    fb = IMAGENET_STEM.model_copy(update={"norm": True, "preactivates": True})
    timm = IMAGENET_STEM.model_copy(update={"norm": False})
    source = f"{HE_2016}, table 5; facebook/fb.resnet.torch, preresnet.lua"
    return (
        *(
            Entry(
                "resnet_v2",
                source,
                _bottleneck(f"preact_resnet{depth}", depth, pool="mean", stem=fb, activation="pre"),
                error,
            )
            for depth, error in ((50, None), (152, 21.1), (200, 20.7))
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
    hu = "Hu et al. 2018, arXiv:1709.01507, table 2"
    woo = "Woo et al. 2018, arXiv:1807.06521, table 4; Jongchan/attention-module"
    return (
        Entry("se", "timm", _bottleneck("seresnet50", 50, attention="se")),
        Entry("se", hu, _bottleneck("seresnet50_v1", 50, attention="se", stride_at="conv1x1"), 23.29),
        Entry("se", hu, _bottleneck("seresnext50_32x4d", 50, 0.5, 32, attention="se"), 21.1),
        Entry("cbam", woo, _bottleneck("cbam_resnet50", 50, pool="mean", attention="cbam")),
        Entry(
            "cbam", woo, _bottleneck("cbam_resnet50_v1", 50, pool="mean", attention="cbam", stride_at="conv1x1"), 22.66
        ),
    )


def _dual_paths() -> tuple[Entry, ...]:
    """Blocks, then inner width, residual channels and growth of each stage (Chen 2017, table 1)."""

    def dual(
        name: str, error: float, stem: Stem, groups: int, blocks: tuple[int, ...], inner: int, growth: tuple[int, ...]
    ) -> Entry:
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
        return Entry("dual_path", "Chen et al. 2017, arXiv:1707.01629; cypw/DPNs", network, error)

    def stem(width: int, kernel: int = 7) -> Stem:
        return IMAGENET_STEM.model_copy(update={"width": width, "kernel": kernel})

    return (
        dual("dpn68", 23.57, stem(10, 3), 32, (3, 4, 12, 3), 128, (16, 32, 32, 64)),
        dual("dpn92", 20.73, stem(64), 32, (3, 4, 20, 3), 96, (16, 32, 24, 128)),
        dual("dpn98", 20.15, stem(96), 40, (3, 6, 20, 3), 160, (16, 32, 32, 128)),
        dual("dpn107", 19.75, stem(128), 50, (4, 8, 20, 3), 200, (20, 64, 64, 128)),
        dual("dpn131", 19.93, stem(128), 40, (4, 8, 28, 3), 160, (16, 32, 32, 128)),
    )

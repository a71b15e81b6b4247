"""The literature's networks for 224x224 images."""

from __future__ import annotations

from archsearch.architecture.spec import Architecture, Block, Stem
from archsearch.zoo.entry import FB_RESNET, HE_2015, IMAGENET_STEM, TORCHVISION, Entry, imagenet

BASIC_WIDTHS = (64, 128, 256, 512)
WIDTHS = (256, 512, 1024, 2048)
DEPTHS: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
DENSE_STEM = IMAGENET_STEM.model_copy(update={"norm": True})
XIE = "Xie et al. 2017, arXiv:1611.05431, table 5"
HUANG = "Huang et al. 2017, arXiv:1608.06993, table 3; torchvision"


def entries() -> tuple[Entry, ...]:
    """All of them, family by family."""
    return (*_resnets(), *_resnexts(), *_wide(), *_densenets())


def _bottleneck(
    name: str, depth: int, ratio: float = 0.25, cardinality: int = 1, pool: str = "adaptive", **words: str
) -> Architecture:
    block = Block(kind="bottleneck", bottleneck_ratio=ratio, cardinality=cardinality, **words)  # type: ignore[arg-type]
    return imagenet(name, DEPTHS[depth], WIDTHS, block, pool=pool)


def _entry(family: str, source: str, architecture: Architecture, error: float | None = None) -> Entry:
    name = architecture.name or ""
    return Entry(
        name=name, family=family, architecture=architecture, published_error_percent=error, source=source
    )


def _resnets() -> tuple[Entry, ...]:
    """v1 strides the first 1x1 and averages by a mean, as the paper's networks do; v1.5 is torchvision's."""

    def basic(name: str, depth: int, pool: str = "mean", **words: str) -> Architecture:
        return imagenet(name, DEPTHS[depth], BASIC_WIDTHS, Block(**words), pool=pool)  # type: ignore[arg-type]

    return (
        _entry("plain", HE_2015, basic("plain18", 18, link="plain"), 27.94),
        _entry("plain", HE_2015, basic("plain34", 34, link="plain"), 28.54),
        _entry("resnet_v1", HE_2015, basic("resnet18_option_a", 18, shortcut="A"), 27.88),
        _entry("resnet_v1", HE_2015, basic("resnet34_option_a", 34, shortcut="A"), 25.03),
        _entry("resnet_v1", HE_2015, basic("resnet34_option_b", 34), 24.52),
        _entry("resnet_v1", HE_2015, basic("resnet34_option_c", 34, shortcut="C"), 24.19),
        _entry("resnet_v1", FB_RESNET, basic("resnet18", 18, "adaptive"), 30.43),
        _entry("resnet_v1", FB_RESNET, basic("resnet34", 34, "adaptive"), 26.73),
        *(
            _entry(
                "resnet_v1", HE_2015, _bottleneck(f"resnet{d}_v1", d, pool="mean", stride_at="conv1x1"), error
            )
            for d, error in ((50, 22.85), (101, 21.75), (152, 21.43))
        ),
        *(
            _entry("resnet_v1.5", FB_RESNET, _bottleneck(f"resnet{d}", d), error)
            for d, error in ((50, 24.01), (101, 22.44), (152, 22.16))
        ),
    )


def _resnexts() -> tuple[Entry, ...]:
    return (
        _entry("resnext", XIE, _bottleneck("resnext50_32x4d", 50, 0.5, 32), 22.2),
        _entry("resnext", TORCHVISION, _bottleneck("resnext101_32x8d", 101, 1.0, 32)),
        _entry("resnext", XIE, _bottleneck("resnext101_64x4d", 101, 1.0, 64), 20.4),
    )


def _wide() -> tuple[Entry, ...]:
    source = "Zagoruyko & Komodakis 2016, arXiv:1605.07146, table 8; torchvision"
    return (
        _entry("wide_resnet", source, _bottleneck("wide_resnet50_2", 50, 0.5), 21.9),
        _entry("wide_resnet", TORCHVISION, _bottleneck("wide_resnet101_2", 101, 0.5)),
    )


def _densenets() -> tuple[Entry, ...]:
    def dense(
        name: str, depths: tuple[int, int, int, int], error: float, k: int = 32, stem: Stem = DENSE_STEM
    ) -> Entry:
        block = Block(kind="bottleneck", link="dense", activation="pre", growth_rate=k)
        return _entry(
            "densenet", HUANG, imagenet(name, depths, (16,) * 4, block, stem=stem, compression=0.5), error
        )

    return (
        dense("densenet121", (6, 12, 24, 16), 25.02),
        dense("densenet161", (6, 12, 36, 24), 22.2, 48, DENSE_STEM.model_copy(update={"width": 96})),
        dense("densenet169", (6, 12, 32, 32), 23.8),
        dense("densenet201", (6, 12, 48, 32), 22.58),
    )

"""The families of the literature, each by a few networks of the zoo, in the order of their papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsearch import zoo
from archsearch.analysis.outline import Column, outline
from archsearch.architecture.spec import Architecture
from archsearch.zoo.cifar import SHORTCUTS


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A network whose second stage shows its family's unit. One without a name is in no paper's table."""

    name: str = ""
    network: Architecture

    def columns(self) -> tuple[Column, ...]:
        """The stage's entry, where it has one, and its blocks."""
        return tuple(column for column in outline(self.network)[2].columns if column.title != "exit")

    def fields(self) -> str:
        """The fields of a block that give it, as they are written in a file; those with their defaults are left out."""
        stage = self.network.stages[1].to_dict()
        fields: dict[str, Any] = stage.get("block", {})
        fields |= {key: stage[key] for key in ("entry", "compression") if key in stage}
        fields |= {f"survival.{key}": value for key, value in self.network.survival.to_dict().items()}
        if self.network.norm_eps != type(self.network).model_fields["norm_eps"].default:
            fields["norm_eps"] = self.network.norm_eps
        spelled = (f"`{key}: {str(value).lower() if value is True else value}`" for key, value in fields.items())
        return ", ".join(spelled) or "the defaults"


@dataclass(frozen=True, kw_only=True)
class Family:
    """A section of the page."""

    title: str
    prose: str
    specimens: tuple[Specimen, ...]


def families() -> tuple[Family, ...]:
    """The lineage."""
    return tuple(
        Family(title=title, prose=prose, specimens=tuple(specimen(name) for name in names))
        for title, prose, names in SECTIONS
    )


def specimen(name: str) -> Specimen:
    """A network of the zoo."""
    return Specimen(name=name, network=zoo.get(name))


SECTIONS: Sequence[tuple[str, str, Sequence[str]]] = (
    (
        "Highway",
        "A gate T weights the layer against its input: T F + (1 - T) x (Srivastava 2015). No norms.",
        ("highway19_cifar",),
    ),
    ("Plain networks", "The control: no shortcut at all (He 2015).", ("plain20_cifar",)),
    (
        "VGG",
        "Plain stages of single convolutions, a max pool before each, two hidden layers in the head (Simonyan & "
        "Zisserman 2015, arXiv:1409.1556).",
        ("vgg16_bn",),
    ),
    (
        "ResNet",
        "The shortcut is an identity. Where shapes change, option A pads with zeros, B projects; C projects every "
        "shortcut (He 2015). `stride_at` distinguishes v1 and v1.5.",
        ("resnet20_cifar", "resnet20_option_b_cifar", "resnet110_option_c_cifar", "resnet50_v1", "resnet50"),
    ),
    (
        "ResNet-C, -D and -T",
        "A deep stem of three 3x3 convolutions (C), an average pool before the shortcut's projection (D), the stem "
        "tiered (T). He 2018, arXiv:1812.01187; timm.",
        ("resnet50d",),
    ),
    (
        "Anti-aliased networks, ResNet-RS",
        "A blur or an average pool has the stride in place of a convolution, in the stem and in branches (Zhang 2019, "
        "arXiv:1904.11486; timm). ResNet-RS: ResNet-D with squeeze-and-excitation and a convolution in "
        "place of the stem's pool (Bello 2021, arXiv:2103.07579).",
        ("resnetblur50", "resnetaa50", "resnetrs50"),
    ),
    (
        "Other shortcuts",
        "Other shortcuts of ResNet-110 (He 2016, table 1); none was better than the identity.",
        tuple(f"resnet110_shortcut_{name}_cifar" for name in SHORTCUTS),
    ),
    (
        "Other positions of norm and ReLU",
        "He 2016, figure 4. In a pre-activated block that changes shape, both sides take "
        "the output of `shared`; a norm and a ReLU follow the last block.",
        (
            "resnet110_bn_after_addition_cifar",
            "resnet110_relu_before_addition_cifar",
            "resnet110_relu_only_preact_cifar",
            "preact_resnet110_cifar",
        ),
    ),
    ("Wide ResNet", "Pre-activated blocks, few and wide (Zagoruyko & Komodakis 2016).", ("wrn28_10_cifar",)),
    ("ResNeXt", "A bottleneck whose 3x3 has groups (Xie 2017).", ("resnext29_8x64d_cifar",)),
    (
        "RegNet",
        "A ResNeXt whose groups have one width throughout, with no bottleneck; depths and widths follow a line "
        "(Radosavovic 2020, arXiv:2003.13678). Y: squeeze-and-excitation behind the 3x3.",
        ("regnetx_400mf", "regnety_400mf"),
    ),
    (
        "Several paths",
        "Res2Net cuts the 3x3 into parts, of which each reads the one before too (Gao 2019). ResNeSt and SKNet weight "
        "the paths of the 3x3 channel by channel and add them (Zhang 2020, arXiv:2004.08955; Li 2019).",
        ("res2net50_26w_4s", "resnest50d", "skresnext50_32x4d"),
    ),
    (
        "DenseNet",
        "The branch's channels are concatenated to the block's input; a transition opens a stage (Huang 2017). "
        "B: a 1x1 before each 3x3; C: transitions that compress.",
        ("densenet40_12_cifar", "densenet_bc100_12_cifar"),
    ),
    (
        "Dual path",
        "The first r channels are added, the others concatenated (Chen 2017): ResNeXt and DenseNet at once.",
        ("dpn92",),
    ),
    (
        "Weighted residuals",
        "The branch is multiplied by a learned scalar (Shen & Zeng 2016); a separate convolution changes the shape.",
        ("weighted_resnet118_cifar",),
    ),
    (
        "Stochastic depth",
        "A ResNet whose branches are dropped at random in training; the last block is kept with probability "
        "`survival.last` (Huang 2016). With `survival: {schedule: count, blocks: 23}` exactly 23 are kept each time "
        "(Veit 2016).",
        ("stochastic_depth_resnet110_cifar",),
    ),
    (
        "Attention",
        "Attention on the branch, before the join: squeeze-and-excitation (Hu 2018), CBAM (Woo 2018), ECA (Wang 2020). "
        "Any other unit takes them too.",
        ("seresnet50", "cbam_resnet50", "ecaresnet50d"),
    ),
)

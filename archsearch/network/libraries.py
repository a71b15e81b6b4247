"""The families of other libraries whose weights are converted: their names, and what their classes fix."""

from __future__ import annotations

from archsearch.network import library_names as names
from archsearch.network.layouts import ANY, Allowed, Layout

IMAGENET_STEM: Allowed = {"kernel": (7,), "stride": (2,), "width": ANY, "pool": ("max",)}
SHAPES: Allowed = {"kind": ANY, "bottleneck_ratio": ANY, "cardinality": ANY, "group_width": ANY}
MEANS: Allowed = {"pool": ("adaptive", "mean")}  # with equal outputs
REGNET: Allowed = {
    **SHAPES,
    "kind": ("bottleneck",),
    "attention": ("none", "se"),
    "attention_at": ("inside",),
    "attention_from": ANY,
    "attention_reduction": ANY,
}
LAYOUTS = (
    Layout(
        title="ResNet",
        libraries=("torchvision", "timm"),
        mark="fc.weight",
        name=names.resnet,
        stem=IMAGENET_STEM,
        block={**SHAPES, "zero_init": ANY},
        head=MEANS,
    ),
    Layout(
        title="ResNet",
        libraries=("timm",),
        mark="fc.weight",
        name=names.resnet,
        stem={**IMAGENET_STEM, "deep": ANY},
        block={
            **SHAPES,
            "shortcut": ("B", "B_pool"),
            "attention": ("none", "se", "eca"),
            "attention_reduction": ANY,
            "attention_rounding": ANY,
            "first_ratio": ANY,
            "nonlinearity": ANY,
            "zero_init": ANY,
        },
        head=MEANS,
    ),
    Layout(
        title="DenseNet",
        libraries=("torchvision", "timm"),
        mark="features.conv0.weight",
        name=names.densenet,
        stem={**IMAGENET_STEM, "norm": (True,), "deep": ("none", "half")},
        stage={"compression": ANY},
        block={
            "kind": ("bottleneck",),
            "link": ("dense",),
            "activation": ("pre",),
            "growth_rate": ANY,
            "dense_bottleneck": ANY,
            "dropout": ANY,
        },
        head=MEANS,
    ),
    Layout(
        title="ResNetV2",
        libraries=("timm",),
        mark="head.fc.weight",
        name=names.preactivated,
        stem={**IMAGENET_STEM, "norm": (False,), "deep": ANY, "first_shortcut": ("raw",)},
        block={**SHAPES, "kind": ("basic", "bottleneck"), "activation": ("pre",), "shortcut": ("B", "B_pool")},
        head={**MEANS, "classifier": ("conv",)},
    ),
    Layout(
        title="RegNet",
        libraries=("timm",),
        mark="s1.b1.conv1.conv.weight",
        name=names.regnet,
        stem={"kernel": (3,), "stride": (2,), "width": ANY},
        block=REGNET,
        head=MEANS,
        strides=(2, 2, 2, 2),
    ),
    Layout(
        title="RegNet",
        libraries=("torchvision",),
        mark="trunk_output.block1.block1-0.f.a.0.weight",
        name=names.regnet_of_torchvision,
        stem={"kernel": (3,), "stride": (2,), "width": ANY},
        block=REGNET,
        head=MEANS,
        strides=(2, 2, 2, 2),
    ),
    Layout(
        title="DPN",
        libraries=("timm",),
        mark="features.conv1_1.conv.weight",
        name=names.dual_path,
        stem={**IMAGENET_STEM, "kernel": (7, 3), "norm": (True,)},
        block={
            **SHAPES,
            "kind": ("bottleneck",),
            "link": ("dual_path",),
            "activation": ("pre",),
            "growth_rate": ANY,
            "nonlinearity": ANY,
        },
        head={**MEANS, "classifier": ("conv",)},
        norm_eps=1e-3,
    ),
    Layout(
        title="ResNet for CIFAR",
        libraries=("pytorch_resnet_cifar10",),
        mark="linear.weight",
        name=names.cifar_resnet,
        stem={"width": ANY},
        block={"kind": ANY, "bottleneck_ratio": ANY, "shortcut": ("A", "B"), "zero_init": ANY},
        head=MEANS,
        strides=(1, 2, 2),
        pads_on_both_sides=True,
    ),
    Layout(
        title="ResNet for CIFAR",
        libraries=("pytorch-cifar",),
        mark="linear.weight",
        name=names.cifar_resnet,
        stem={"width": ANY},
        block={"kind": ANY, "bottleneck_ratio": ANY, "zero_init": ANY},
        head=MEANS,
    ),
)

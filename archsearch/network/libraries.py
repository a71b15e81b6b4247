"""The families of other libraries whose weights are converted: their names, and what their classes fix."""

from __future__ import annotations

from dataclasses import replace

from archsearch.network import library_names as names
from archsearch.network.layouts import ANY, MEANS, Allowed, Layout

IMAGENET_STEM: Allowed = {"kernel": (7,), "stride": (2,), "width": ANY, "pool": ("max",)}
SHAPES: Allowed = {"kind": ANY, "bottleneck_ratio": ANY, "cardinality": ANY, "group_width": ANY}
REGNET: Allowed = {
    **SHAPES,
    "kind": ("bottleneck",),
    "attention": ("none", "se"),
    "attention_at": ("inside",),
    "attention_from": ANY,
    "attention_reduction": ANY,
}
MIXED: Allowed = {
    **SHAPES,
    "shortcut": ("B", "B_pool"),
    "radix": ANY,
    "attention_reduction": ANY,
    "attention_rounding": ANY,
}
TIMM_REGNET = Layout(
    title="RegNet",
    mark="s1.b1.conv1.conv.weight",
    name=names.regnet,
    stem={"kernel": (3,), "stride": (2,), "width": ANY},
    block=REGNET,
    strides=(2, 2, 2, 2),
)
LAYOUTS = (
    Layout(
        title="ResNet",
        libraries=("torchvision", "timm"),
        name=names.resnet,
        stem=IMAGENET_STEM,
        block={**SHAPES, "zero_init": ANY},
    ),
    Layout(
        title="ResNet",
        name=names.resnet,
        stem={**IMAGENET_STEM, "deep": ANY, "pool": ("max", "average", "blur", "conv")},
        block={
            **SHAPES,
            "shortcut": ("B", "B_pool"),
            "norm": ("batch", "group"),
            "norm_groups": ANY,
            "shortcut_kernel": ANY,
            "downsample": ("stride", "average", "blur"),
            "attention": ("none", "se", "eca"),
            "attention_reduction": ANY,
            "attention_rounding": ANY,
            "first_ratio": ANY,
            "nonlinearity": ANY,
            "zero_init": ANY,
        },
    ),
    Layout(
        title="Res2Net",
        name=names.res2net,
        stem={**IMAGENET_STEM, "deep": ANY},
        block={**SHAPES, "kind": ("bottleneck",), "shortcut": ("B", "B_pool"), "scales": ANY},
    ),
    Layout(
        title="ResNeSt",
        name=names.resnest,
        stem={**IMAGENET_STEM, "deep": ANY},
        block={
            **MIXED,
            "kind": ("bottleneck",),
            "attention": ("split",),
            "downsample": ("average_overlapping", "average_before"),
        },
    ),
    Layout(
        title="SKNet",
        name=names.sknet,
        stem={**IMAGENET_STEM, "deep": ANY},
        block={**MIXED, "attention": ("selective", "selective_sliced")},
    ),
    Layout(
        title="SENet",
        mark="last_linear.weight",
        name=names.senet,
        stem={**IMAGENET_STEM, "deep": ANY, "pool": ("max_unpadded",)},
        block={
            **SHAPES,
            "stride_at": ANY,
            "shortcut_kernel": ANY,
            "first_ratio": ANY,
            "attention": ("se",),
            "attention_reduction": ANY,
        },
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
    ),
    Layout(
        title="ResNetV2",
        mark="head.fc.weight",
        name=names.preactivated,
        stem={
            **IMAGENET_STEM,
            "norm": (False,),
            "deep": ANY,
            "first_shortcut": ("raw",),
            "pool": ("max", "max_zero_padded"),
        },
        block={
            **SHAPES,
            "kind": ("basic", "bottleneck"),
            "activation": ("pre",),
            "shortcut": ("B", "B_pool"),
            "norm": ("batch", "group"),
            "norm_groups": ANY,
            "weight_standardization": ANY,
        },
        head={**MEANS, "classifier": ("conv",)},
    ),
    Layout(
        title="ByobNet",
        mark="stages.0.0.conv1_1x1.conv.weight",
        name=names.byobnet,
        stem={**IMAGENET_STEM, "deep": ("half", "tiered")},
        block={
            **SHAPES,
            "kind": ("bottleneck",),
            "nonlinearity": ANY,
            "attention": ("none", "se", "eca"),
            "attention_at": ("inside",),
            "attention_reduction": ANY,
            "attention_rounding": ANY,
        },
    ),
    TIMM_REGNET,
    replace(
        TIMM_REGNET,
        libraries=("torchvision",),
        mark="trunk_output.block1.block1-0.f.a.0.weight",
        name=names.regnet_of_torchvision,
    ),
    Layout(
        title="DPN",
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
    ),
    *(
        Layout(
            title="VGG",
            libraries=(library,),
            mark=mark,
            name=name,
            stem={"width": ANY},
            stage={"entry": ("pool",)},
            block={"kind": ("single",), "link": ("plain",), "norm": ("none", "batch"), "bias": (True,)},
            head={
                "pool": ("max",),
                "hidden": ANY,
                "hidden_form": ("conv",),
                "grid": (7,),
                "dropout": ANY,
            },
            strides=strides,
        )
        for library, mark, name in (
            ("timm", "pre_logits.fc1.weight", names.vgg),
            ("torchvision", "classifier.3.weight", names.vgg_of_torchvision),
        )
        for strides in ((2, 2, 2, 2), (1, 2, 2, 2, 2))
    ),
)

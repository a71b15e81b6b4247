"""Published top-1 test errors in %, by how they were measured and who published them.

Errors of one protocol can be compared; those of two cannot: ten crops are 1 to 2 points lower than one.
"""

from __future__ import annotations

from dataclasses import dataclass

ONE_CROP = "1 crop, 224 px"
TEN_CROPS = "10 crops, 224 px"
HE_2015 = "He et al. 2015, arXiv:1512.03385"
HE_2016 = "He et al. 2016, arXiv:1603.05027"
HUANG_2016 = "Huang et al. 2016, arXiv:1603.09382"
HUANG = "Huang et al. 2017, arXiv:1608.06993"
HU = "Hu et al. 2018, arXiv:1709.01507"
SHEN = "Shen & Zeng 2016, arXiv:1605.08831 (abstract); re-implementations"
SRIVASTAVA = "Srivastava et al. 2015, arXiv:1507.06228, table 2"
WOO = "Woo et al. 2018, arXiv:1807.06521, table 4; Jongchan/attention-module"
XIE = "Xie et al. 2017, arXiv:1611.05431"
ZAGORUYKO = "Zagoruyko & Komodakis 2016, arXiv:1605.07146"
DPN = "Chen et al. 2017, arXiv:1707.01629; cypw/DPNs"
FB_RESNET = "facebook/fb.resnet.torch, README"
TORCHVISION = "torchvision, IMAGENET1K_V1"


@dataclass(frozen=True, kw_only=True)
class Published:
    """The top-1 test error of a network in %, how it was measured, and where it is published."""

    percent: float
    protocol: str
    source: str


VGG = {
    **{"vgg11": 30.98, "vgg13": 30.07, "vgg16": 28.41, "vgg19": 27.62},
    **{"vgg11_bn": 29.63, "vgg13_bn": 28.41, "vgg16_bn": 26.64, "vgg19_bn": 25.78},
}
# CIFAR-10 and MNIST: trained on 50,000 (60,000) images, CIFAR-10's flipped and shifted by up to 4 pixels.
SMALL_IMAGES: dict[tuple[str, str], dict[str, float]] = {
    (f"{HE_2015}, table 6", "1 run"): {
        "resnet20_cifar": 8.75,
        "resnet32_cifar": 7.51,
        "resnet44_cifar": 7.17,
        "resnet56_cifar": 6.97,
        "resnet1202_cifar": 7.93,
    },
    (f"{HE_2015}, table 6", "best of 5 runs"): {"resnet110_cifar": 6.43},
    (f"{HE_2016}, table 1", "median of 5 runs"): {
        "resnet110_shortcut_scaled_05_05_cifar": 12.35,
        "resnet110_shortcut_exclusive_gate_cifar": 8.7,
        "resnet110_shortcut_only_gate_cifar": 6.91,
        "resnet110_shortcut_conv1x1_cifar": 12.22,
        "resnet110_option_c_cifar": 12.22,
    },
    (f"{HE_2016}, tables 2 and 4", "median of 5 runs"): {
        "resnet164_cifar": 5.93,
        "resnet1001_cifar": 7.61,
        "resnet110_bn_after_addition_cifar": 8.17,
        "resnet164_bn_after_addition_cifar": 6.5,
        "resnet110_relu_before_addition_cifar": 7.84,
        "resnet164_relu_before_addition_cifar": 6.14,
        "resnet110_relu_only_preact_cifar": 6.71,
        "resnet164_relu_only_preact_cifar": 5.91,
        "preact_resnet110_cifar": 6.37,
        "preact_resnet164_cifar": 5.46,
        "preact_resnet1001_cifar": 4.92,
    },
    (HUANG_2016, "1 run, trained on 45,000 images"): {
        "stochastic_depth_resnet110_cifar": 5.25,
        "stochastic_depth_resnet1202_cifar": 4.91,
    },
    (SHEN, "1 run"): {"weighted_resnet1192_cifar": 5.1},
    (f"{ZAGORUYKO}, table 5", "1 run"): {
        "wrn16_4_cifar": 5.02,
        "wrn16_8_cifar": 4.27,
        "wrn22_8_cifar": 4.38,
        "wrn40_1_cifar": 6.85,
        "wrn40_2_cifar": 5.33,
        "wrn40_4_cifar": 4.53,
    },
    (f"{ZAGORUYKO}, its code's README", "median of 5 runs"): {"wrn28_10_cifar": 4.0, "wrn28_10_dropout_cifar": 3.89},
    (f"{ZAGORUYKO}, its code's README", "1 run"): {"wrn40_10_dropout_cifar": 3.8},
    (f"{XIE}, table 7", "mean of 10 runs"): {"resnext29_8x64d_cifar": 3.65, "resnext29_16x64d_cifar": 3.58},
    (f"{HUANG}, table 2", "1 run"): {
        "densenet40_12_cifar": 5.24,
        "densenet100_12_cifar": 4.1,
        "densenet100_24_cifar": 3.74,
        "densenet_bc100_12_cifar": 4.51,
        "densenet_bc190_40_cifar": 3.46,
        "densenet_bc250_24_cifar": 3.62,
    },
    (SRIVASTAVA, "1 run"): {"highway19_cifar": 7.54, "highway10_32_mnist": 0.45, "highway10_16_mnist": 0.57},
}
IMAGENET: dict[tuple[str, str], dict[str, float]] = {
    (f"{HE_2015}, tables 2 and 3", TEN_CROPS): {
        "plain18": 27.94,
        "plain34": 28.54,
        "resnet18_option_a": 27.88,
        "resnet34_option_a": 25.03,
        "resnet34_option_b": 24.52,
        "resnet34_option_c": 24.19,
        "resnet50_v1": 22.85,
        "resnet101_v1": 21.75,
        "resnet152_v1": 21.43,
    },
    # Its ResNet-50 (24.01) has a norm behind the addition, not before it: another network.
    (FB_RESNET, ONE_CROP): {"resnet18": 30.43, "resnet34": 26.73, "resnet101": 22.44, "resnet152": 22.16},
    (TORCHVISION, ONE_CROP): {"resnet50": 23.87, "resnext101_32x8d": 20.69, "wide_resnet101_2": 21.15, **VGG},
    (f"{XIE}, table 5", ONE_CROP): {"resnext50_32x4d": 22.2, "resnext101_64x4d": 20.4},
    (f"{ZAGORUYKO}, table 8", ONE_CROP): {"wide_resnet50_2": 21.9},
    (f"{HUANG}, table 3; its code's README", ONE_CROP): {
        "densenet121": 25.02,
        "densenet161": 22.2,
        "densenet169": 23.8,
        "densenet201": 22.58,
    },
    (f"{HE_2016}, table 5", "1 crop, 320 px"): {"preact_resnet152": 21.1, "preact_resnet200": 20.7},
    (f"{HU}, table 2", ONE_CROP): {"seresnet50_v1": 23.29, "seresnext50_32x4d": 21.1},
    (WOO, ONE_CROP): {"cbam_resnet50_v1": 22.66},
    (DPN, ONE_CROP): {"dpn68": 23.57, "dpn92": 20.73, "dpn98": 20.15, "dpn131": 19.93},
    (DPN, f"{ONE_CROP}, pretrained on ImageNet-5k"): {"dpn107": 19.75},
}
PUBLISHED = {
    name: Published(percent=percent, protocol=protocol, source=source)
    for table in (SMALL_IMAGES, IMAGENET)
    for (source, protocol), errors in table.items()
    for name, percent in errors.items()
}

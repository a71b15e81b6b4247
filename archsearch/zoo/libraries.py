"""Which of the zoo's networks other libraries have, under these names."""

from __future__ import annotations

RESNETS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
)
DENSENETS = ("densenet121", "densenet161", "densenet169", "densenet201")
VGGS = tuple(f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in (11, 13, 16, 19))
TIMM = (
    *RESNETS,
    *("resnet10t", "resnet14t", "resnet18d", "resnet26", "resnet26d", "resnet26t", "resnet34d"),
    *("resnet50c", "resnet50d", "resnet50s", "resnet50t", "resnet101c", "resnet101d", "resnet101s"),
    *("resnet152c", "resnet152d", "resnet152s", "resnet200", "resnet200d"),
    *("resnext50d_32x4d", "resnext101_32x4d", "resnext101_32x16d", "resnext101_32x32d"),
    *(
        "seresnet18",
        "seresnet34",
        "seresnet50",
        "seresnet50t",
        "seresnet101",
        "seresnet152",
        "seresnet152d",
        "seresnet200d",
        "seresnet269d",
    ),
    *("seresnext26d_32x4d", "seresnext26t_32x4d", "seresnext50_32x4d", "seresnext101_32x4d"),
    *("seresnext101_32x8d", "seresnext101_64x4d", "seresnext101d_32x8d"),
    *("ecaresnet26t", "ecaresnet50d", "ecaresnet50t", "ecaresnet101d", "ecaresnet200d", "ecaresnet269d"),
    *("ecaresnext26t_32x4d", "ecaresnext50t_32x4d", "ecaresnetlight"),
    *("resnetaa34d", "resnetaa50", "resnetaa50d", "resnetaa101d", "seresnetaa50d", "seresnextaa101d_32x8d"),
    *("seresnextaa201d_32x8d", "resnetblur18", "resnetblur50", "resnetblur50d", "resnetblur101d", "senet154"),
    *(f"resnetrs{depth}" for depth in (50, 101, 152, 200, 270, 350, 420)),
    *("legacy_senet154", "legacy_seresnet50", "legacy_seresnet101", "legacy_seresnet152"),
    *("legacy_seresnext26_32x4d", "legacy_seresnext50_32x4d", "legacy_seresnext101_32x4d"),
    *("res2net50_26w_4s", "res2net101_26w_4s", "res2net50_26w_6s", "res2net50_26w_8s", "res2net50_48w_2s"),
    *("res2net50_14w_8s", "res2next50", "res2net50d", "res2net101d"),
    *("resnest14d", "resnest26d", "resnest50d", "resnest101e", "resnest200e", "resnest269e"),
    *("resnest50d_4s2x40d", "resnest50d_1s4x24d"),
    *("skresnet18", "skresnet34", "skresnet50", "skresnet50d", "skresnext50_32x4d"),
    *("resnet50_gn", "resnetv2_50d_gn", "resnetv2_50x1_bit", "resnetv2_50x3_bit", "resnetv2_101x1_bit"),
    *("resnetv2_101x3_bit", "resnetv2_152x2_bit", "resnetv2_152x4_bit"),
    *("resnetv2_18", "resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
    *("resnetv2_18d", "resnetv2_34d", "resnetv2_50d", "resnetv2_50t", "resnetv2_101d", "resnetv2_152d"),
    *VGGS,
    *(*DENSENETS, "densenet264d", "dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131"),
    *(f"regnetx_{flops:03}" for flops in (2, 4, 6, 8, 16, 32, 40, 64, 80, 120, 160, 320)),
    *(f"regnety_{flops:03}" for flops in (2, 4, 6, 8, 16, 32, 40, 64, 80, 120, 160, 320, 640, 1280)),
    *("regnetx_004_tv", "regnety_008_tv", "regnety_080_tv"),
)
LIBRARIES = {
    "torchvision": (
        *(*RESNETS, *DENSENETS, *VGGS),
        *(f"regnet_x_{flops}" for flops in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
        *(f"regnet_y_{flops}" for flops in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
    ),
    "timm": TIMM,
    "pytorch_resnet_cifar10": tuple(f"resnet{depth}_cifar" for depth in (20, 32, 44, 56, 110, 1202)),
}

"""Training recipes by name: short for settings, so that a file's own win and a resolved file holds numbers alone."""

from __future__ import annotations

from typing import Any, Literal

RecipeName = Literal[
    "auto",
    "none",
    "fast",
    "paper_resnet",
    "paper_wrn",
    "paper_resnext",
    "paper_densenet",
    "paper_stochastic_depth",
    "paper_imagenet",
    "paper_resnet_imagenet",
    "rsb_a3",
    "fine_tuning",
]

# What the papers have in common: SGD from 0.1, steps downwards. Their texts do not say what decays; their codes give
# Torch's optim.sgd, with its weightDecay, all parameters as one vector: norms and biases too.
_PAPER = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "decay_norms_and_biases": True,
    "schedule": "step",
    "step_factor": 0.1,
    "milestones": [0.5, 0.75],
    "warmup": 0.0,
    "batch_size": 128,
    "label_smoothing": 0.0,
    "flip": True,
}
# CIFAR's augmentation since Lee 2015: four pixels of padding, a crop, a flip.
_CIFAR = {**_PAPER, "crop_padding": 4}

RECIPES: dict[str, dict[str, Any]] = {
    # The defaults' one-cycle schedule (Smith 2018, arXiv:1708.07120), which carries a higher rate; a weight decay that
    # suits a few epochs; smoothed labels (He 2019, arXiv:1812.01187, section 5.2); the average of the weights (Polyak &
    # Juditsky 1992), whose scores before the schedule's end are those of a calmer network.
    "fast": {"optimizer": "sgd", "schedule": "one_cycle", "nesterov": True, "momentum": 0.9, "learning_rate": 0.2,
             "weight_decay": 1e-3, "label_smoothing": 0.05, "ema": 0.99},
    # He 2015, section 4.2: 64,000 steps of 128 of 50,000 images are 164 epochs; 32,000 and 48,000 of them the
    # milestones. Its ResNet-110 began at a rate of 0.01 for about 400 steps: `warmup` stands nearest to that.
    "paper_resnet": {**_CIFAR, "epochs": 164, "nesterov": False},
    # Zagoruyko 2016, section 3.
    "paper_wrn": {
        **_CIFAR, "epochs": 200, "weight_decay": 5e-4, "step_factor": 0.2, "milestones": [0.3, 0.6, 0.8],
    },
    # Xie 2017, section 5.2 (Nesterov in its code).
    "paper_resnext": {**_CIFAR, "epochs": 300, "weight_decay": 5e-4},
    # Huang 2017, section 4.2.
    "paper_densenet": {**_CIFAR, "epochs": 300, "batch_size": 64},
    # Huang 2016, section 4.
    "paper_stochastic_depth": {**_CIFAR, "epochs": 500},
    # fb.resnet.torch, ResNet on ImageNet: a tenth at epochs 30 and 60; "lighting" along the principal components.
    "paper_imagenet": {**_PAPER, "epochs": 90, "batch_size": 256, "milestones": [1 / 3, 2 / 3], "resized_crop": 0.08,
                       "crop_from": "file", "colour_jitter": 0.4, "pca_colour": 0.1},
    # He 2015, section 3.4: 600,000 steps of 256 of 1.28 million images are 120 epochs. It does not say how long a
    # plateau is.
    "paper_resnet_imagenet": {**_PAPER, "epochs": 120, "batch_size": 256, "nesterov": False, "schedule": "plateau",
                              "patience": 5, "scale_jitter": [256 / 224, 480 / 224], "crop_from": "file",
                              "pca_colour": 0.1},
    # Wightman 2021, arXiv:2110.00476, table 2, procedure A3; norms and biases do not decay in its code.
    "rsb_a3": {"optimizer": "lamb", "learning_rate": 8e-3, "momentum": 0.9, "weight_decay": 0.02,
               "decay_norms_and_biases": False, "schedule": "cosine", "warmup": 0.05, "epochs": 100,
               "batch_size": 2048, "loss": "binary_cross_entropy", "label_smoothing": 0.0, "ema": 0.0, "flip": True,
               "resized_crop": 0.08, "crop_from": "file", "train_resolution": 160 / 224, "policy": "rand_augment",
               "policy_operations": 2, "policy_magnitude": 6.0, "policy_spread": 0.5, "mixup": 0.1, "cutmix": 1.0},
    # Of a training that begins with weights: short, at a low rate, which falls from the first step.
    "fine_tuning": {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "schedule": "linear",
                    "warmup": 0.0, "ema": 0.0, "epochs": 30},
}  # fmt: skip
FINE_TUNING = RECIPES["fine_tuning"]
# What they have to say of `data:`, for image files alone: what evaluation sees of them.
DATA_OF_RECIPES: dict[str, dict[str, Any]] = {
    "paper_imagenet": {"crop_ratio": 0.875},
    "paper_resnet_imagenet": {"crop_ratio": 0.875, "normalise": "mean"},
    "rsb_a3": {"crop_ratio": 0.95},
}
# A file that gives one of them has chosen among them.
EXCLUSIVE = (("crop_padding", "resized_crop", "scale_jitter"),)
SCHEDULES_WITHOUT_WARMUP = ("linear", "step", "plateau")


def filled(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of `training:`, and those of the recipe that they name for what they leave out; the recipe itself
    is then `none`. A schedule that starts at its highest rate gets no warm-up where none is set.

    Recipe auto needs the images (see fitting.py): here it fills nothing, and stays. A name that is no recipe's is left
    for the validation to refuse. Raises ValueError for a recipe all of whose
    settings are set, as in a file that was resolved before: it would do nothing.
    """
    name = settings.get("recipe", "none")
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    if recipe is not None:
        if recipe.keys() <= settings.keys():
            raise ValueError(
                f"recipe {name} has no effect, since all of its settings are given; allowed: fewer "
                "settings beside it, or recipe: none"
            )
        excluded = {key for pair in EXCLUSIVE if any(key in settings for key in pair) for key in pair}
        if "crop_padding" in settings:
            excluded |= {"crop_from", "train_resolution"}  # of crops that are resized
        added = {key: value for key, value in recipe.items() if key not in excluded}
        settings = {**added, **settings, "recipe": "none"}
    if settings.get("schedule") in SCHEDULES_WITHOUT_WARMUP:
        settings = {"warmup": 0.0, **settings}
    return settings

"""Recipes, each with some of the settings that change what a training step computes."""

from __future__ import annotations

from typing import Any

MIXED = {"mixup": 0.2, "cutmix": 1.0}
# Every setting of a recipe that changes what a step computes.
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "crop": {"crop_padding": 2, "flip": True, "cutout": 4, "random_erasing": 0.5},
    "resized": {"resized_crop": 0.3, "flip": True, "colour_jitter": 0.4, "pca_colour": 0.1},
    "scaled": {"scale_jitter": (1.1, 2.0), "train_resolution": 0.75},
    "policy": {"policy": "trivial_augment"},
    "repeated": {"repeated_augmentation": 3, "sampling": "balanced"},
    "sgd": {"nesterov": False, "momentum": 0.0, "clip_norm": 1.0, "decay_norms_and_biases": True},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.003, "ema": 0.9},
    "lamb": {"optimizer": "lamb", "learning_rate": 0.01, "clip_norm": 1.0},
    "by_layer": {"layer_decay": 0.6, "optimizer": "adamw", "learning_rate": 0.003},
    "ema": {"ema": 0.99, "precision": "bfloat16"},
    "mixup": {"mixup": 0.4, "label_smoothing": 0.1},
    "cutmix": {"cutmix": 1.0, "train_resolution": 0.75, "resized_crop": 0.5},
    "mixed": {**MIXED, "micro_batch": 3},
    "binary": {**MIXED, "loss": "binary_cross_entropy", "label_smoothing": 0.1},
    "focal": {**MIXED, "loss": "focal", "class_weights": "balanced"},
}

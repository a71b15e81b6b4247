"""TrivialAugment and RandAugment: torchvision's operations on uint8 images are the oracle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from archsearch.data.weighing import check_recipe
from archsearch.reading.errors import InputError
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws
from archsearch.training.feeds.feed import DeviceFeed, HostFeed
from archsearch.training.feeds.policies import OPERATIONS, changed, draw_operations
from archsearch.training.loop import Training
from tests.training.nets import tiny
from tests.training.test_augmentation import chi_square
from tests.training.test_feed import CPU, order_of, same, seeded, some_images

V2 = pytest.importorskip("torchvision.transforms.v2")
THEIRS = {
    "identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
    "translate_y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "colour": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "autocontrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip
MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
FILL = torch.tensor([17.0, 90.0, 200.0])


def pictures(count: int, channels: int = 3, height: int = 40, width: int = 33) -> torch.Tensor:
    """Smooth ones (N, C, H, W), uint8, of several ranges; the last is of one colour."""
    coarse = torch.rand(count, channels, 6, 5, generator=seeded(1)) * 220 + 20
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)
    smooth[-1] = 77
    return smooth.to(torch.uint8)


def theirs(image: torch.Tensor, name: str, strength: float, policy: str) -> torch.Tensor:
    kind = V2.TrivialAugmentWide if policy == "trivial_augment" else V2.RandAugment
    values, signed = kind._AUGMENTATION_SPACE[THEIRS[name]]
    magnitudes = values(31, *image.shape[1:])
    magnitude = 0.0 if magnitudes is None else float(magnitudes[round(abs(strength) * 30)])
    magnitude = math.copysign(magnitude, strength) if signed else magnitude
    fill = {torch.Tensor: FILL[: len(image)].tolist()}
    return kind()._apply_image_or_video_transform(image, THEIRS[name], magnitude, V2.InterpolationMode.NEAREST, fill)


@pytest.mark.parametrize("policy", ["trivial_augment", "rand_augment"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_torchvisions_of_the_same_magnitude(name, channels, policy):
    images = pictures(31, channels)
    strengths = (torch.randperm(61, generator=seeded())[:31] - 30) / 30
    operations = torch.full((31, 1), list(OPERATIONS).index(name))
    ours = changed(images.permute(0, 2, 3, 1), operations, strengths[:, None], policy, FILL[:channels])
    wanted = torch.stack([theirs(*both, policy) for both in zip(images, [name] * 31, strengths.tolist(), strict=True)])
    difference = (ours.permute(0, 3, 1, 2) - wanted.float()).abs()
    share = (difference > 0).float().mean()
    if name in (*MOVES, "solarize"):  # the nearest of two pixels that are as near; a value at the threshold
        assert share < 0.02
    else:  # values that float32 has just below a whole number, such as those of the image of one colour
        assert difference.max() <= 1 and share < 0.04
    if name not in ("identity", "equalize", "posterize") and not (channels == 1 and name == "colour"):
        assert (wanted != images).any(), "a test that cannot fail"


def test_operations_are_as_likely_as_each_other_and_strengths_as_asked_for():
    operations, strengths = draw_operations(40_000, "trivial_augment", 5, 9.0, 0.0, seeded())
    assert operations.shape == strengths.shape == (40_000, 1)
    assert chi_square(operations[:, 0], 14) < 13 + 5 * 5.1
    assert chi_square((strengths.abs() * 30).round().long()[:, 0], 31) < 30 + 5 * 7.8
    assert abs((strengths < 0).float().mean() - (strengths > 0).float().mean()) < 0.02
    operations, strengths = draw_operations(20_000, "rand_augment", 2, 6.0, 0.5, seeded())
    assert operations.shape == (20_000, 2) and chi_square(operations[:, 0] * 14 + operations[:, 1], 196) < 195 + 5 * 20
    assert abs(strengths.abs().mean() - 0.6) < 0.002 and abs(strengths.abs().std() - 0.05) < 0.002
    assert draw_operations(500, "rand_augment", 3, 10.0, 0.5, seeded())[1].abs().max() <= 1
    fixed = draw_operations(500, "rand_augment", 3, 9.0, 0.0, seeded())[1]
    assert torch.allclose(fixed.abs(), torch.full((500, 3), 0.9))


@pytest.mark.parametrize("crop", [{}, {"crop_padding": 2}, {"resized_crop": 0.3}, {"scale_jitter": (1.1, 1.5)}])
@pytest.mark.parametrize("policy", ["trivial_augment", "rand_augment"])
def test_a_policy_changes_batches_the_same_wherever_images_lie(policy, crop):
    images, settings = some_images(), TrainingSettings(flip=True, policy=policy, policy_spread=0.5, **crop)
    batches = list(DeviceFeed(images, settings, CPU).training(order_of(), seeded(), 16))
    assert same(HostFeed(images, settings, CPU).training(order_of(), seeded(), 16), batches)
    plain = DeviceFeed(images, TrainingSettings(flip=True, **crop), CPU).training(order_of(), seeded(), 16)
    assert not same(plain, batches)
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch, _ in batches)
    assert all(batch.isfinite().all() for batch, _ in batches)


def test_what_came_later_is_drawn_last():
    plain, more = (
        Draws.draw(50, (9, 7), TrainingSettings(random_erasing=0.5, policy=policy), seeded())
        for policy in ("none", "rand_augment")
    )
    assert torch.equal(plain.erased, more.erased) and plain.operations is None and more.operations.shape == (50, 2)


def test_a_training_with_a_policy_is_seeded_and_images_of_16_bits_are_refused():
    settings = TrainingSettings(epochs=2, batch_size=16, policy="rand_augment", device="cpu")
    runs = [
        [epoch.train_loss for epoch in Training(tiny(0, 3, classes=4), some_images(), settings, seed=seed)]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    images = some_images()
    wide = replace(images.train, images=images.train.images.astype(np.uint16))
    with pytest.raises(InputError, match=r"policy: rand_augment, but the images have 16 bits; allowed: none"):
        check_recipe(replace(images, train=wide), settings)

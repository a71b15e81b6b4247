"""Scaled crops, crops smaller than the image, erased boxes, shifts along the colours' principal components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data.form import ImageForm
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Normaliser, without_boxes
from archsearch.training.feeds.batches import draws_for
from archsearch.training.feeds.feed import DeviceFeed
from archsearch.training.feeds.pixels import as_pixels
from archsearch.training.feeds.resizing import draw_boxes, draw_erasures, draw_scaled, reduced, resized
from archsearch.training.feeds.stream_feed import FileCrops
from archsearch.training.loop import Training
from tests.training.nets import tiny
from tests.training.test_augmentation import chi_square, differ, images
from tests.training.test_feed import order_of, same, seeded, some_images

CPU = torch.device("cpu")
HE = (256 / 224, 480 / 224)
ALL = TrainingSettings(
    epochs=2, batch_size=16, flip=True, scale_jitter=(1.1, 2.0), train_resolution=0.75, random_erasing=0.5, cutout=2,
    pca_colour=0.5, colour_jitter=0.2,
)  # fmt: skip


@pytest.mark.parametrize("whole", [(300, 400), (400, 300), (480, 480)])
def test_the_shorter_side_is_uniform_between_the_scales_and_the_crop_lies_anywhere(whole):
    boxes = draw_scaled(20_000, whole, HE, seeded(), form=(224, 224))
    top, left, high, wide = boxes.unbind(1)
    shorter = 224 / high * min(whole)  # to what it would have been resized
    assert torch.equal(high, wide) and 254 < shorter.min() < 258 and 478 < shorter.max() < 482
    assert chi_square(((shorter - 255.5) / 225 * 20).long().clamp(0, 19), 20) < 19 + 8 * 6.2  # boxes are whole pixels
    for start, room in ((top, whole[0] - high), (left, whole[1] - wide)):
        assert (start >= 0).all() and (start <= room).all()
        assert chi_square((start / (room + 1) * 10).long(), 10) < 9 + 5 * 4.3


def test_a_scaled_crop_of_a_file_is_a_crop_of_the_resized_picture(tmp_path):
    """At twice the crop's size, where boxes begin at even pixels, as far as the border's pixels go."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC)
    picture.save(tmp_path / "x.png")
    crop = FileCrops(ImageForm(channels=3, height=16, width=16), TrainingSettings(scale_jitter=(2.0, 2.0)))
    assert crop.size == (16, 16) and crop._least == (32, 32)
    half, seen = np.asarray(picture.resize((48, 32), Image.Resampling.BILINEAR)).astype(int), 0
    for seed in range(40):
        top, left, high, wide = draw_scaled(1, (64, 96), (2.0, 2.0), seeded(seed), form=(16, 16))[0].tolist()
        assert (high, wide) == (32, 32)
        if top % 2 == left % 2 == 0:
            ours = crop(tmp_path / "x.png", "x", seed).transpose(1, 2, 0).astype(int)
            wanted = half[top // 2 : top // 2 + 16, left // 2 : left // 2 + 16]
            assert abs(ours - wanted)[1:-1, 1:-1].max() <= 1
            seen += 1
    assert seen > 3


def test_crops_of_files_can_be_smaller_than_the_images():
    settings = TrainingSettings(resized_crop=0.2, crop_from="file", train_resolution=160 / 224)
    assert FileCrops(ImageForm(channels=3, height=224, width=224), settings).size == (160, 160)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 6), (5, 5), (3, 2)])
def test_a_crop_that_is_smaller_than_the_image_is_torchvisions_antialiased_one(channels, size):
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    data, generator = images(channels=channels), seeded(3)
    boxes, flipped = draw_boxes(50, (9, 7), 0.1, generator), torch.rand(50, generator=generator) < 0.5
    index = torch.randperm(50, generator=generator)
    ours = reduced(as_pixels(data, CPU), index, boxes, flipped, size)
    assert ours.shape == (50, *size, channels)
    for place, number in enumerate(index.tolist()):
        image = torch.from_numpy(data[number]).float()
        crop = functional.resized_crop(image, *boxes[place].tolist(), size=list(size), antialias=True)
        crop = crop.flip(2) if flipped[place] else crop
        assert torch.allclose(ours[place].permute(2, 0, 1), crop, atol=2e-3)
    full = [way(as_pixels(data, CPU), index, boxes, flipped, *more) for way, *more in ((reduced, (9, 7)), (resized,))]
    assert torch.allclose(*full, atol=2e-3)


@pytest.mark.parametrize("size", [(12, 12), (9, 30), (3, 4)])
def test_erased_boxes_are_distributed_as_torchvisions(size):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = [v2.RandomErasing(p=1.0).make_params([torch.empty(3, *size)]) for _ in range(2000)]
    wanted = np.array([[box[side] for side in "ijhw"] if box["v"] is not None else [0] * 4 for box in drawn])
    ours = draw_erasures(20_000, size, 1.0, seeded(1)).numpy()
    codes = [(boxes * np.array([1_000_000, 10_000, 100, 1])).sum(1) for boxes in (wanted, ours)]
    assert differ(*[code % 10_000 for code in codes]) < 5
    assert differ(*[boxes[:, 0] * 100 + boxes[:, 2] for boxes in (wanted, ours)]) < 5
    some = draw_erasures(20_000, size, 0.25, seeded(1)).numpy()
    assert abs((some[:, 2] > 0).mean() - 0.25 * (ours[:, 2] > 0).mean()) < 0.02


def test_an_erased_box_is_the_mean_and_nothing_else_changes():
    batch, boxes = torch.randn(50, 3, 9, 7, generator=seeded()), draw_erasures(50, (9, 7), 0.5, seeded(2))
    batch = batch.contiguous(memory_format=torch.channels_last)
    erased = without_boxes(batch.clone(memory_format=torch.preserve_format), *boxes.unbind(1))
    for one, whole, (top, left, high, wide) in zip(erased, batch, boxes.tolist(), strict=True):
        wanted = whole.clone()
        wanted[:, top : top + high, left : left + wide] = 0
        assert torch.equal(one, wanted)


def test_colours_are_shifted_along_their_principal_components_by_their_eigenvalues():
    some = some_images(count=400)
    components = some.principal_colours
    values = some.train.images.swapaxes(0, 1).reshape(3, -1) / 255
    lengths = np.linalg.norm(components, axis=1)
    assert np.allclose(np.cov(values) @ components.T, components.T * lengths), "eigenvectors, times eigenvalues"
    settings = TrainingSettings(pca_colour=0.1)
    draws = draws_for(some, settings, 50_000, seeded(), (9, 7))
    shifts = draws.shifts.double().numpy() * np.array(some.std)
    assert np.allclose(np.cov(shifts.T), 0.01 * components.T @ components, atol=1e-5)
    plain, shifted = (
        torch.cat([batch for batch, _ in DeviceFeed(some, chosen, CPU).training(order_of(), seeded(), 16)])
        for chosen in (TrainingSettings(), settings)
    )
    difference = shifted - plain
    assert torch.allclose(difference, difference.mean((2, 3), keepdim=True).expand_as(difference), atol=1e-5)
    assert difference.abs().max() > 1e-3 and some_images(1).principal_colours.shape == (1, 1)


def test_every_crop_and_shift_is_seeded_and_trains():
    some = some_images()
    batches = list(DeviceFeed(some, ALL, CPU).training(order_of(), seeded(), 16))
    assert {batch.shape[1:] for batch, _ in batches} == {(3, 7, 5)}
    assert all(
        batch.is_contiguous(memory_format=torch.channels_last) and batch.isfinite().all() for batch, _ in batches
    )
    assert same(DeviceFeed(some, ALL, CPU).training(order_of(), seeded(), 16), batches)
    runs = [[m.to_dict() for m in Training(tiny(0, 3, classes=4), some, ALL, seed=1, device="cpu")] for _ in range(2)]
    losses = [[epoch["train_loss"] for epoch in run] for run in runs]
    assert losses[0] == losses[1] and len(set(losses[0])) == 2


def test_a_recipe_crops_one_way_and_smaller_only_where_it_crops():
    for words, message in (
        ({"scale_jitter": (1.2, 2.0), "crop_padding": 4}, "scale_jitter together with crop_padding"),
        ({"scale_jitter": (1.2, 2.0), "resized_crop": 0.2}, "resized_crop together with scale_jitter"),
        ({"train_resolution": 0.5, "crop_padding": 2}, r"train_resolution of 0.5 without resized_crop or scale_jitter"),
        ({"scale_jitter": (0.5, 2.0)}, r"scales of \[0.5, 2.0\]; allowed: \[low, high\], 1 <= low"),
    ):
        with pytest.raises(ValueError, match=message):
            TrainingSettings(**words)


def test_what_is_normalised_is_what_was_reduced():
    """A constant image stays one."""
    data = np.full((4, 3, 9, 7), 100, np.uint8)
    ours = reduced(
        as_pixels(data, CPU), torch.arange(4), draw_boxes(4, (9, 7), 0.2, seeded()), torch.ones(4) > 0, (5, 4)
    )
    assert torch.allclose(ours, torch.full_like(ours, 100.0), atol=1e-4)
    assert Normaliser((0.4,) * 3, (0.2,) * 3, CPU)(ours).shape == (4, 3, 5, 4)

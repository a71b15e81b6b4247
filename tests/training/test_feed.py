"""The same batches wherever the images lie."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from archsearch.data.images import ImageSet, Split
from archsearch.data.laid_out import rows_of
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows
from archsearch.training.feeds.batches import gathered
from archsearch.training.feeds.feed import DeviceFeed, HostFeed, feed_of
from archsearch.training.feeds.pixels import as_pixels

CPU = torch.device("cpu")
RECIPES = {
    "as they are": TrainingSettings(),
    "flip": TrainingSettings(flip=True),
    "crop, flip, cutout": TrainingSettings(crop_padding=2, flip=True, cutout=3),
    "all but that crop": TrainingSettings(flip=True, cutout=3, resized_crop=0.3, colour_jitter=0.4),
}
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


def some_images(channels: int = 3, count: int = 50) -> ImageSet:
    generator = np.random.default_rng(0)

    def split(many: int) -> Split:
        pixels = generator.integers(0, 256, (many, channels, 9, 7), dtype=np.uint8)
        return Split(images=pixels, labels=generator.integers(0, 4, many))

    names = ("a", "b", "c", "d")
    return ImageSet.of(name="noise", classes=names, train=split(count), validation=split(11), test=split(7))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def order_of(count: int = 45) -> torch.Tensor:
    return torch.randperm(50, generator=seeded(9))[:count]


def same(one, other) -> bool:
    one, other = list(one), list(other)
    return len(one) == len(other) > 0 and all(
        torch.equal(x, y) for left, right in zip(one, other, strict=True) for x, y in zip(left, right, strict=True)
    )


def test_batches_are_gathered_by_another_thread_one_ahead_and_in_order():
    made = [threading.Event() for _ in range(5)]

    def batches(fails: bool = False):
        for number, event in enumerate(made):
            assert threading.current_thread() is not threading.main_thread()
            event.set()
            yield torch.tensor(number), torch.tensor(number)
        if fails:
            raise OSError("a file that cannot be read")

    for number, (batch, _) in enumerate(gathered(batches(), CPU)):
        assert batch == number and all(event.wait(60) for event in made[: number + 2])
        assert not any(event.is_set() for event in made[number + 2 :])
    with pytest.raises(OSError, match="a file that cannot be read"):
        list(gathered(batches(fails=True), CPU))
    first = gathered(batches(), CPU)
    next(first)
    first.close()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_feed_gives_the_windows_of_one_draw_for_the_whole_epoch(recipe, channels):
    images, settings, order = some_images(channels), RECIPES[recipe], order_of()
    normalise = Normaliser(images.mean, images.std, CPU)
    rows = rows_of(images.train, settings.crop_padding, normalise.fill.numpy())
    windows = Windows(Store.of(rows, CPU), normalise, settings)
    draws = Draws.draw(45, (9, 7), settings, seeded())
    wanted = [
        (windows.batch(order[part], draws[part]), torch.from_numpy(images.train.labels)[order[part]])
        for part in (slice(0, 16), slice(16, 32), slice(32, 45))
    ]
    for feed in (DeviceFeed(images, settings, CPU), HostFeed(images, settings, CPU)):
        assert feed.count == 50 and same(feed.training(order, seeded(), 16), wanted)
        assert not same(feed.training(order, seeded(1), 16), wanted) or recipe == "as they are"


@pytest.mark.parametrize("kind", [DeviceFeed, HostFeed])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluation_is_the_split_as_it_is(kind, split):
    images = some_images()
    feed = kind(images, RECIPES["all but that crop"], CPU)
    found, held = list(feed.evaluation(split, 4)), images.split(split)
    assert [len(labels) for _, labels in found[:-1]] == [4] * (len(found) - 1)
    wanted = Normaliser(images.mean, images.std, CPU)(as_pixels(held.images, CPU))
    assert torch.equal(torch.cat([batch for batch, _ in found]), wanted)
    assert torch.cat([labels for _, labels in found]).tolist() == held.labels.tolist()
    assert same(feed.evaluation(split, 4), found)  # held now, and not touched


@pytest.mark.parametrize("kind", [DeviceFeed, HostFeed])
def test_batches_are_float_channels_last_and_labels_whole_numbers(kind):
    batch, labels = next(kind(some_images(), RECIPES["crop, flip, cutout"], CPU).training(order_of(), seeded(), 8))
    assert batch.dtype == torch.float32 and batch.shape == (8, 3, 9, 7) and labels.dtype == torch.int64
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_two_epochs_may_be_read_in_turns():
    feed, alone = (DeviceFeed(some_images(), RECIPES["crop, flip, cutout"], CPU) for _ in range(2))
    turns = list(zip(feed.training(order_of(), seeded(1), 9), feed.training(order_of(), seeded(2), 9), strict=True))
    assert same([one for one, _ in turns], alone.training(order_of(), seeded(1), 9))
    assert same([other for _, other in turns], alone.training(order_of(), seeded(2), 9))


@pytest.mark.parametrize("kind", [DeviceFeed, HostFeed])
def test_evaluating_first_leaves_a_feed_that_can_be_trained_on(kind):
    """What is made in inference mode must not reach what is differentiated."""
    feed, conv = kind(some_images(), RECIPES["crop, flip, cutout"], CPU), torch.nn.Conv2d(3, 2, 3)
    with torch.inference_mode():
        list(feed.evaluation("validation", 4))
        list(feed.evaluation("train", 4))
    for batch, _ in (*feed.training(order_of(), seeded(), 16), *feed.evaluation("train", 16)):
        conv(batch).sum().backward()
    assert conv.weight.grad.isfinite().all()


def test_images_that_ray_shares_read_only_are_fed():
    images = some_images()
    for split in (images.train, images.validation, images.test):
        split.images.flags.writeable = split.labels.flags.writeable = False
    for kind in (DeviceFeed, HostFeed):
        feed = kind(images, RECIPES["crop, flip, cutout"], CPU)
        next(feed.training(order_of(), seeded(), 8))
        next(feed.evaluation("validation", 8))


def test_on_a_cpu_images_stay_where_they_are():
    assert isinstance(feed_of(some_images(), TrainingSettings(), CPU), DeviceFeed)


@pytest.mark.gpu
@on_gpu
def test_where_images_lie_depends_on_the_free_memory(monkeypatch):
    images, gpu = some_images(), torch.device("cuda", 0)
    for free, kind in ((4 * images.nbytes, DeviceFeed), (4 * images.nbytes - 8, HostFeed)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert isinstance(feed_of(images, TrainingSettings(), gpu), kind)


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gpu_is_fed_what_a_cpu_is(recipe):
    images, settings, gpu = some_images(), RECIPES[recipe], torch.device("cuda", 0)
    wanted = list(DeviceFeed(images, settings, CPU).training(order_of(), seeded(), 8))
    for kind in (DeviceFeed, HostFeed):
        feed = kind(images, settings, gpu)
        found = list(feed.training(order_of(), seeded(), 8))
        for (batch, labels), (batch_wanted, labels_wanted) in zip(found, wanted, strict=True):
            assert batch.device.type == labels.device.type == "cuda"
            assert torch.allclose(batch.cpu(), batch_wanted, atol=1e-4) and torch.equal(labels.cpu(), labels_wanted)

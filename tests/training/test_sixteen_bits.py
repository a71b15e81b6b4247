"""Images of 16 bits keep them from the file to the network's input, on every way that images take."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from archsearch.data.arrays import collect
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split
from archsearch.data.laid_out import fill_of, laid_out, rows_of
from archsearch.data.streaming import StreamedImages
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows
from archsearch.training.feeds.colour import draw_jitter, jittered
from archsearch.training.feeds.feed import DeviceFeed, HostFeed
from archsearch.training.feeds.pixels import as_float, as_pixels
from archsearch.training.feeds.resizing import draw_boxes, resized
from archsearch.training.feeds.stream_feed import StreamFeed
from archsearch.training.loop import Training
from tests.training.nets import tiny

CPU = torch.device("cpu")
AUGMENTED = TrainingSettings(crop_padding=2, flip=True, cutout=3, colour_jitter=0.3)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The digits as 16-bit PNGs and TIFFs, grey values between those of 8 bits."""
    top, digits = tmp_path_factory.mktemp("scans") / "digits", load_digits()
    noise = np.random.default_rng(0).integers(0, 4000, digits.images.shape)
    values = np.minimum(digits.images * 3850 + noise, 65535).astype(np.uint16)
    for number, (image, label) in enumerate(zip(values[:400], digits.target[:400], strict=True)):
        (top / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(top / str(label) / f"{number}.{'png' if number % 2 else 'tif'}")
    return top


def load(root: Path, **words) -> ImageSet:
    given = {"size": 8, "channels": 1, "bits": 16, "validation": 0.2, "in_memory": True} | words
    return load_images(DataSettings(name="folder", root=str(root), **given))


def epoch(feed) -> list[tuple[torch.Tensor, torch.Tensor]]:
    order = torch.randperm(feed.count, generator=torch.Generator().manual_seed(7))
    return list(feed.training(order, torch.Generator().manual_seed(0), 32))


def same(one, other) -> bool:
    return len(one) == len(other) > 0 and all(
        torch.equal(x, y) for left, right in zip(one, other, strict=True) for x, y in zip(left, right, strict=True)
    )


def test_the_values_the_moments_and_the_digest_are_those_of_16_bits(root):
    images, coarse = load(root), load(root, bits=8)
    assert images.train.images.dtype == np.uint16 and images.white == 65535 and coarse.white == 255
    values = images.train.images.astype(np.float64) / 65535
    assert np.allclose(images.mean, values.mean((0, 2, 3)), rtol=1e-12)
    assert np.allclose(images.std, values.std((0, 2, 3)), rtol=1e-9)
    assert np.array_equal(np.rint(images.train.images / 257), coarse.train.images)
    assert len(np.unique(images.train.images)) > 256 and images.nbytes > 1.5 * coarse.nbytes
    streamed = [load(root, bits=bits, in_memory=False).digest for bits in (8, 16)]
    assert len({images.digest, coarse.digest, *streamed}) == 4


def test_every_window_of_16_bits_is_a_direct_crop():
    data = np.random.default_rng(1).integers(0, 65536, (20, 2, 9, 7), dtype=np.uint16)
    settings, mean, std = TrainingSettings(crop_padding=2, flip=True), (0.4, 0.6), (0.2, 0.3)
    normalise = Normaliser(mean, std, CPU, 65535)
    fill = np.rint(np.array(mean, np.float32) * 65535).astype(np.uint16)
    assert np.array_equal(normalise.fill.numpy().view(np.uint16), fill)
    rows = rows_of(Split(images=data, labels=np.zeros(20, np.int64)), 2, fill)
    draws = Draws.draw(20, (9, 7), settings, torch.Generator().manual_seed(0))
    batch = Windows(Store.of(rows, CPU), normalise, settings).batch(torch.arange(20), draws)
    for number in range(20):
        padded = np.empty((2, 13, 11), np.uint16)
        padded[:] = fill[:, None, None]
        padded[:, 2:11, 2:9] = data[number]
        top, left = int(draws.rows[number]), int(draws.columns[number])
        direct = padded[:, top : top + 9, left : left + 7]
        direct = direct[:, :, ::-1] if draws.flipped[number] else direct
        wanted = (direct / 65535 - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]
        assert np.allclose(batch[number].numpy(), wanted, atol=1e-5)


def test_resized_crops_and_colours_of_16_bits_are_those_of_the_same_numbers():
    data = np.random.default_rng(2).integers(0, 65536, (30, 3, 9, 7), dtype=np.uint16)
    generator = torch.Generator().manual_seed(3)
    pixels = as_pixels(data, CPU)
    numbers = torch.from_numpy(data.transpose(0, 2, 3, 1).astype(np.float32))
    assert torch.equal(as_float(pixels), numbers)
    boxes, flipped = draw_boxes(30, (9, 7), 0.1, generator), torch.rand(30, generator=generator) < 0.5
    assert torch.equal(
        resized(pixels, torch.arange(30), boxes, flipped), resized(numbers, torch.arange(30), boxes, flipped)
    )
    factors, order = draw_jitter(30, 0.9, generator)
    eighth = jittered(numbers / 257, factors, order)
    assert torch.allclose(jittered(pixels, factors, order, 65535), eighth * 257, atol=0.5)


@pytest.mark.parametrize("settings", [AUGMENTED, TrainingSettings()], ids=["augmented", "plain"])
def test_all_feeds_have_the_same_batches_of_16_bits(root, settings):
    held, streamed = load(root), load(root, in_memory=False)
    assert isinstance(streamed, StreamedImages) and streamed.white == 65535
    assert (streamed.mean, streamed.std) == (held.mean, held.std)
    feeds = [feed(held, settings, CPU) for feed in (DeviceFeed, HostFeed)]
    feeds += [DeviceFeed(pickle.loads(pickle.dumps(laid_out(held, padding=settings.crop_padding))), settings, CPU)]
    feeds += [StreamFeed(streamed, settings, CPU, workers) for workers in (0, 2)]
    first = epoch(feeds[0])
    assert all(same(first, epoch(feed)) for feed in feeds[1:])
    evaluated = [list(feed.evaluation("test", 16)) for feed in feeds]
    assert all(same(evaluated[0], other) for other in evaluated[1:])
    wanted = (held.test.images[:16] / 65535 - held.mean[0]) / held.std[0]
    assert np.allclose(evaluated[0][0][0].numpy(), wanted, atol=1e-5)
    assert fill_of(held).dtype == np.uint16


def test_a_network_learns_from_16_bits(root):
    settings = TrainingSettings(epochs=8, batch_size=32, learning_rate=0.05, device="cpu", crop_padding=1)
    *_, last = Training(tiny(0, 1), load(root), settings, seed=0)
    assert last.validation_accuracy > 0.5


def test_uint16_arrays_are_kept_where_a_value_needs_it():
    values = np.random.default_rng(4).integers(0, 65536, (20, 8, 8), dtype=np.uint16)
    labels = np.arange(20) % 2
    wide = collect({"train": (values, labels), "validation": (values // 300, labels)})
    assert all(split.images.dtype == np.uint16 for split in wide.splits.values())
    assert np.array_equal(wide.splits["train"].images[:, 0], values)
    narrow = collect((values // 300, labels)).splits["train"].images
    assert narrow.dtype == np.uint8 and np.array_equal(narrow[:, 0], values // 300)
    items = [(values[number], int(labels[number])) for number in range(20)]
    assert np.array_equal(collect(items_of(items)).splits["train"].images[:, 0], values)
    with pytest.raises(InputError, match="images of several types"):
        collect({"train": (values, labels), "test": ((values // 300).astype(np.uint8), labels)})


def test_arrays_of_many_channels_have_them_where_the_axis_is_short():
    values = np.random.default_rng(5).integers(0, 256, (20, 8, 10, 12), dtype=np.uint8)
    labels = np.arange(20) % 2
    first, last = (collect((array, labels)).splits["train"].images for array in (values, values.transpose(0, 2, 3, 1)))
    assert first.shape == (20, 8, 10, 12) and np.array_equal(first, last)
    for shape in ((20, 8, 8, 12), (20, 10, 8, 12), (20, 80, 90, 100)):
        with pytest.raises(InputError, match=r"allowed: .*fewer than height and width"):
            collect((np.zeros(shape, np.uint8), labels))


class items_of:
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

"""Images as they are shared between processes: the same batches to the last bit, and no second copy on a CPU."""

import pickle

import numpy as np
import pytest
import torch

from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split
from archsearch.data.laid_out import RowsSplit, laid_out
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.feed import DeviceFeed


def colourful() -> ImageSet:
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = rng.integers(0, 256, (count, 3, 8, 6), dtype=np.uint8)
        return Split(images=images, labels=rng.integers(0, 2, count))

    return ImageSet.of(name="colourful", classes=("a", "b"), train=split(20), validation=split(7), test=split(5))


def mapped(images: ImageSet, padding: int) -> tuple[ImageSet, list[bytes]]:
    """As Ray hands it over: arrays out of band, read-only; and those arrays' bytes."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(laid_out(images, padding=padding), protocol=5, buffer_callback=buffers.append)
    held = [bytes(buffer.raw()) for buffer in buffers]
    assert len(data) < 4096, "pixels travel in the pickle itself, and each process would copy them"
    return pickle.loads(data, buffers=held), held


@pytest.mark.parametrize(
    "words",
    [{}, {"crop_padding": 2, "flip": True}, {"resized_crop": 0.3, "flip": True}, {"cutout": 3, "colour_jitter": 0.4}],
)
@pytest.mark.parametrize("name", ["colourful", "digits"])
def test_batches_are_the_same_to_the_last_bit(words: dict[str, object], name: str) -> None:
    images = colourful() if name == "colourful" else load_images(DataSettings(limit=60))
    settings, device = TrainingSettings(**words), torch.device("cpu")
    shared, _ = mapped(images, settings.crop_padding)
    feeds = [DeviceFeed(held, settings, device) for held in (images, shared)]
    order = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(1))
    batches = [list(feed.training(order, torch.Generator().manual_seed(2), 16)) for feed in feeds]
    evaluated = [list(feed.evaluation("validation", 4)) for feed in feeds]
    for one, other in [*zip(*batches, strict=True), *zip(*evaluated, strict=True)]:
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_a_training_reads_the_mapped_bytes_themselves() -> None:
    images, settings = colourful(), TrainingSettings(crop_padding=2)
    shared, _ = mapped(images, 2)
    assert isinstance(shared.train, RowsSplit)
    feed = DeviceFeed(shared, settings, torch.device("cpu"))
    assert feed._windows.store.flat.data_ptr() == shared.train.flat.ctypes.data
    list(feed.evaluation("test", 4))
    assert feed._evaluated["test"][0].data_ptr() == shared.test.flat.ctypes.data
    assert not shared.train.flat.flags.writeable
    assert np.array_equal(shared.train.images, images.train.images)


def test_another_padding_has_a_copy_of_its_own_and_the_same_batches() -> None:
    """A search may vary `crop_padding`."""
    images, settings, device = colourful(), TrainingSettings(crop_padding=1), torch.device("cpu")
    shared, _ = mapped(images, 2)
    order, drawn = torch.arange(20), torch.Generator
    found = [
        list(DeviceFeed(held, settings, device).training(order, drawn().manual_seed(2), 16))
        for held in (images, shared)
    ]
    assert all(torch.equal(one[0], other[0]) for one, other in zip(*found, strict=True))

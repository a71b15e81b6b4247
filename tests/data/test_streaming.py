"""Folders read from disk: real files, the same batches as from memory, whoever reads them."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archsearch.data import sourced
from archsearch.data.datasets import load_images
from archsearch.data.decoding import open_whole
from archsearch.data.form import ImageForm
from archsearch.data.images import ImageSet
from archsearch.data.splitting import Fold, fold_of
from archsearch.data.streaming import StreamedImages, some_files
from archsearch.reading.errors import InputError
from archsearch.space.overrides import read_train_settings
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.feeds.feed import DeviceFeed, feed_of
from archsearch.training.feeds.stream_feed import FileCrops, StreamFeed, usual_workers
from archsearch.training.loop import Training
from tests.training.nets import tiny

SQUARE = ImageForm(channels=3, height=16, width=16)
CPU = torch.device("cpu")
AUGMENTED = TrainingSettings(crop_padding=2, flip=True, cutout=5, colour_jitter=0.3)
RESIZED = TrainingSettings(flip=True, resized_crop=0.2, cutout=3)
SCALED = TrainingSettings(
    scale_jitter=(1.2, 2.0), train_resolution=0.75, random_erasing=0.5, pca_colour=0.5, colour_jitter=0.2
)
OF_FILES = RESIZED.model_copy(update={"crop_from": "file"})


def write(root: Path, each: int = 20) -> Path:
    """Two classes of smooth images, PNG and JPEG in turns, no two of a size."""
    generator = np.random.default_rng(0)
    for name in ("blue", "red"):
        (root / name).mkdir(parents=True)
        for number in range(each):
            coarse = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((24 + 3 * number, 70 - 2 * number), Image.Resampling.BICUBIC)
            image.save(root / name / f"{number}.{'jpg' if number % 2 else 'png'}")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("images") / "pets")


def load(root: Path, *, in_memory: bool) -> ImageSet:
    return load_images(
        DataSettings(name="folder", root=str(root), size=16, validation=0.25, in_memory=in_memory, limit=25)
    )


def epoch(feed, seed: int = 0, size: int = 8) -> list[tuple[torch.Tensor, torch.Tensor]]:
    order = torch.randperm(feed.count, generator=torch.Generator().manual_seed(7))
    return list(feed.training(order, torch.Generator().manual_seed(seed), size))


def same(one, other) -> bool:
    return len(one) == len(other) > 0 and all(
        torch.equal(x, y) for left, right in zip(one, other, strict=True) for x, y in zip(left, right, strict=True)
    )


def test_a_fold_of_streamed_images_is_that_of_held_ones(root):
    streamed, held = (fold_of(load(root, in_memory=held), Fold(number=2, of=3, seed=1)) for held in (False, True))
    assert isinstance(streamed, StreamedImages)
    for name in ("train", "validation", "test"):
        one, other = streamed.split(name), held.split(name)
        assert np.array_equal(one.labels, other.labels) and np.array_equal(one.images[:], other.images)
    assert (streamed.mean, streamed.std) == (held.mean, held.std)


@pytest.mark.parametrize("in_memory", [True, False])
def test_mean_subtraction_divides_by_one_in_every_fold(root, in_memory):
    words = {"name": "folder", "root": str(root), "size": 16, "in_memory": in_memory}
    plain, centred = (load_images(DataSettings(**words, normalise=normalise)) for normalise in ("standard", "mean"))
    assert centred.mean == plain.mean and centred.std == (1.0, 1.0, 1.0) != plain.std
    fold = fold_of(centred, Fold(number=2, of=3, seed=1))
    assert fold.mean == fold_of(plain, Fold(number=2, of=3, seed=1)).mean and fold.std == (1.0, 1.0, 1.0)
    batch, _ = next(feed_of(centred, TrainingSettings(), CPU, workers=0).evaluation("train", 100))
    wanted = plain.train.images[:100] / 255 - np.array(plain.mean)[:, None, None]
    assert np.allclose(batch.numpy(), wanted, atol=1e-5)


def test_what_evaluation_sees_of_files_is_part_of_streamed_images(root):
    words = {"name": "folder", "root": str(root), "size": 16, "in_memory": False}
    whole, cropped = (load_images(DataSettings(**words, crop_ratio=ratio)) for ratio in (1.0, 0.8))
    assert whole.digest != cropped.digest and not np.array_equal(whole.train.images[:4], cropped.train.images[:4])


def test_streamed_images_have_the_face_of_held_ones(root):
    streamed, held = load(root, in_memory=False), load(root, in_memory=True)
    assert isinstance(streamed, StreamedImages) and not isinstance(held, StreamedImages)
    for name in ("name", "classes", "shape", "mean", "std"):
        assert getattr(streamed, name) == getattr(held, name)
    for name in ("train", "validation", "test"):
        one, other = streamed.split(name), held.split(name)
        assert len(one) == len(other) == len(one.images) and np.array_equal(one.labels, other.labels)
        assert one.images.shape == other.images.shape
        index = np.arange(len(one))[::-3]
        assert np.array_equal(one.images[index], other.images[index])
        assert np.array_equal(one.images[:3], other.images[:3])
    assert 0 < streamed.nbytes < held.nbytes / 5


def test_what_takes_a_batch_of_held_images_takes_one_of_streamed_ones(root):
    drawn = np.array([5, 0, 3, 3])
    one, other = (load(root, in_memory=memory).train for memory in (False, True))
    assert np.array_equal(one.images[drawn], other.images[drawn])
    assert np.array_equal(one.labels[drawn], other.labels[drawn])


def test_the_digest_knows_names_lengths_and_splits(root, tmp_path):
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    first = load(root, in_memory=False).digest
    assert first == load(moved, in_memory=False).digest != load(root, in_memory=True).digest
    (moved / "red" / "0.png").rename(moved / "red" / "0b.png")
    renamed = load(moved, in_memory=False).digest
    for path in moved.rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"more")
    assert len({first, renamed, load(moved, in_memory=False).digest}) == 3


def test_some_files_are_the_first_the_middle_and_the_last_of_each_split(root):
    images = load(root, in_memory=False)
    splits = [split.images for split in (images.train, images.validation, images.test)]
    assert some_files(images) == [str(f.path(n)) for f in splits for n in (0, len(f) // 2, len(f) - 1)]
    assert all(Path(file).is_file() for file in some_files(images))
    assert some_files(load(root, in_memory=True)) == []


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("settings", [AUGMENTED, RESIZED, SCALED], ids=["padded", "resized", "scaled"])
def test_streamed_batches_are_those_of_held_images(root, settings, workers):
    """Resized crops too: what is cropped does not depend on what fits into memory."""
    streamed, held = load(root, in_memory=False), load(root, in_memory=True)
    feed, wanted = StreamFeed(streamed, settings, CPU, workers), DeviceFeed(held, settings, CPU)
    assert feed.count == wanted.count == 25
    for split in ("validation", "test"):
        assert same(list(feed.evaluation(split, 3)), list(wanted.evaluation(split, 3)))
    assert same(epoch(feed), epoch(wanted)) and not same(epoch(feed, seed=1), epoch(wanted))
    other = StreamFeed(streamed, TrainingSettings(), CPU, workers)
    assert same(epoch(other), epoch(DeviceFeed(held, TrainingSettings(), CPU)))
    assert not multiprocessing.active_children()


def test_crops_of_files_are_the_same_whoever_reads_them(root):
    images = load(root, in_memory=False)
    alone, two = (StreamFeed(images, OF_FILES, CPU, workers) for workers in (0, 2))
    assert same(epoch(alone), epoch(two)) and not same(epoch(alone), epoch(two, seed=1))
    assert same(epoch(alone), epoch(alone)) and not same(epoch(alone), epoch(StreamFeed(images, RESIZED, CPU, 0)))
    batch, labels = epoch(two)[0]
    assert batch.shape == (8, 3, 16, 16) and batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.float32 and labels.dtype == torch.int64


def test_a_resized_crop_is_torchvisions_of_the_original_image(root):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    path = root / "red" / "10.png"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = np.asarray(v2.RandomResizedCrop(16, scale=(0.2, 1.0))(Image.open(path)))
    ours = FileCrops(SQUARE, OF_FILES)
    assert np.array_equal(ours(path, "x", 3).transpose(1, 2, 0), wanted)
    elsewhere = pickle.loads(pickle.dumps(ours))  # as processes that are not forked get it
    assert np.array_equal(elsewhere(path, "x", 3).transpose(1, 2, 0), wanted)


def test_a_recipe_that_crops_files_reads_them_in_each_epoch_and_refuses_images_in_memory(root):
    folder = {"data.name": ("data", "folder"), "data.root": ("data", str(root)), "data.size": ("data", 16)}
    for crop_from, in_memory in (("image", "auto"), ("file", False)):
        overrides = ["training.resized_crop=0.2", f"training.crop_from={crop_from}"]
        assert read_train_settings(folder, overrides).data.in_memory == in_memory
    held = load(root, in_memory=True)
    with pytest.raises(InputError, match=r"crop_from: file, but.*in memory; allowed: image(?s:.*)in_memory=false"):
        Training(tiny(0, 3, classes=2), held, OF_FILES, seed=0)
    Training(tiny(0, 3, classes=2), held, RESIZED, seed=0)
    Training(tiny(0, 3, classes=2), replace(held, form=None), OF_FILES, seed=0)  # arrays: image and file are the same


def test_a_large_jpeg_is_decoded_smaller_and_its_crops_are_distributed_as_before(tmp_path):
    """On slopes in both directions a crop's mean says where it lay, its range how large it was."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    path = tmp_path / "large.jpg"
    across, down = np.meshgrid(np.linspace(0, 250, 800), np.linspace(0, 250, 640))
    Image.fromarray(np.stack([across, down, (across + down) / 2], 2).astype(np.uint8)).save(path, quality=95)
    sizes = [open_whole(path, SQUARE, "x", (side, side))[0].size for side in (42, 81)]
    assert sizes == [(100, 80), (200, 160)]  # 42 x 42: a fifth of 3/4
    ours, crop = FileCrops(SQUARE, OF_FILES), v2.RandomResizedCrop(16, scale=(0.2, 1.0))
    assert ours._least == (42, 42)
    with Image.open(path) as image, torch.random.fork_rng(devices=[]):
        image.load()
        torch.manual_seed(0)
        crops = [
            [np.asarray(crop(image)) for _ in range(200)],
            [ours(path, "x", seed).transpose(1, 2, 0) for seed in range(200)],
        ]
    for measure in (lambda x: x.mean((1, 2)), lambda x: np.ptp(x, (1, 2))):
        theirs, found = (measure(np.stack(some).astype(float)) for some in crops)
        error = np.sqrt((theirs.var(0) + found.var(0)) / 200)
        assert (np.abs(theirs.mean(0) - found.mean(0)) < 4.5 * error).all()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "settings",
    [AUGMENTED, OF_FILES, SCALED.model_copy(update={"crop_from": "file"})],
    ids=["padded", "of files", "scaled of files"],
)
def test_torchs_own_generator_is_left_alone(root, settings, workers):
    feed = StreamFeed(load(root, in_memory=False), settings, CPU, workers)
    before = torch.get_rng_state()
    epoch(feed)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_named_when_it_is_read(tmp_path, workers):
    top = write(tmp_path / "pets")
    feed = StreamFeed(load(top, in_memory=False), OF_FILES, CPU, workers)
    broken = feed.images.train.images.path(4)
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(InputError) as caught:
        epoch(feed)
    assert str(caught.value).startswith(f"{broken}: not a readable image") and "repair or remove it" in str(
        caught.value
    )
    missing = feed.images.validation.images.path(0)
    missing.unlink()
    with pytest.raises(InputError, match=missing.name):
        list(feed.evaluation("validation", 4))
    assert not multiprocessing.active_children()


def test_an_epoch_left_in_the_middle_leaves_no_process(root):
    reading = StreamFeed(load(root, in_memory=False), AUGMENTED, CPU, 2).training(
        torch.arange(20), torch.Generator().manual_seed(0), 2
    )
    next(reading)
    assert len(multiprocessing.active_children()) == 2
    reading.close()
    assert not multiprocessing.active_children()


def test_a_training_on_streamed_images_is_that_on_held_ones(root):
    """Dropout too: reading takes no draw that would be the network's."""
    settings, found = TrainingSettings(epochs=2, batch_size=8, crop_padding=2, flip=True, device="cpu"), []
    for in_memory in (False, True):
        training = Training(tiny(0, 3, dropout=0.5, classes=2), load(root, in_memory=in_memory), settings, seed=3)
        metrics = [epoch.to_dict() for epoch in training] + [training.evaluate("test").to_dict()]
        found.append([{key: kept for key, kept in one.items() if "second" not in key} for one in metrics])
    assert found[0] == found[1]


def test_streamed_images_survive_pickling_and_stay_small(root):
    images = load(root, in_memory=False)
    back = pickle.loads(pickle.dumps(images))
    assert back.digest == images.digest and np.array_equal(back.train.images[:4], images.train.images[:4])
    assert len(pickle.dumps(images)) < 10_000


def test_what_takes_more_than_a_quarter_of_the_free_memory_is_streamed(root, monkeypatch):
    def settings(**words) -> DataSettings:
        return DataSettings(name="folder", root=str(root), size=16, **words)

    needed, told = 40 * 3 * 16 * 16, []
    monkeypatch.setattr(sourced, "free_memory", lambda: 4 * needed)
    assert not isinstance(load_images(settings()), StreamedImages)
    monkeypatch.setattr(sourced, "free_memory", lambda: 4 * needed - 1)
    images = load_images(settings(), progress=told.append)
    assert isinstance(images, StreamedImages) and "read from disk" in told[0]
    assert isinstance(feed_of(images, TrainingSettings(), CPU), StreamFeed)
    assert not isinstance(load_images(settings(in_memory=True)), StreamedImages)
    monkeypatch.setattr(sourced, "free_memory", lambda: 2 * needed - 1)
    with pytest.raises(InputError, match=r"half of the free memory.*\n.*data\.in_memory=auto"):
        load_images(settings(in_memory=True))


def test_a_cpu_keeps_half_of_its_threads_for_training(root):
    threads, feed = torch.get_num_threads(), feed_of(load(root, in_memory=False), TrainingSettings(), CPU)
    try:
        for given, workers in ((1, 0), (2, 1), (8, 4)):
            torch.set_num_threads(given)
            assert usual_workers(CPU) == feed.workers == workers
    finally:
        torch.set_num_threads(threads)

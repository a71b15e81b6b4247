from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.data import digits
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split, moments
from archsearch.data.splitting import Fold, fold_of, folds, stratified
from archsearch.reading.errors import InputError
from archsearch.space.data_settings import Folds
from archsearch.space.datasets import validation_images
from archsearch.space.settings import DataSettings


def rows(split: Split) -> set[bytes]:
    return {image.tobytes() + bytes([label]) for image, label in zip(split.images, split.labels, strict=True)}


def test_digits_are_scikit_learns_own():
    """The digest is of what sklearn.datasets.load_digits returned, 1.9.1; importing it here would take seconds."""
    pixels, labels = digits._table()
    data = pixels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    wanted = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert hashlib.sha256(data).hexdigest() == wanted


def test_every_digit_is_in_one_split_scaled_to_bytes():
    images = load_images(DataSettings())
    pixels, labels = digits._table()
    expected = np.rint(pixels / 16 * 255).astype(np.uint8)
    known = sorted(row.tobytes() + bytes([int(y)]) for row, y in zip(expected, labels, strict=True))
    parts = (images.train, images.validation, images.test)
    found = [image.tobytes() + bytes([y]) for part in parts for image, y in zip(part.images, part.labels, strict=True)]
    assert sorted(found) == known
    assert [len(part) for part in parts] == [1222, 216, 359]
    assert images.shape == (1, 8, 8) and images.classes == tuple("0123456789")


def test_the_test_split_depends_on_no_setting():
    one = load_images(DataSettings())
    other = load_images(DataSettings(split_seed=5, validation=300, limit=100))
    assert np.array_equal(one.test.images, other.test.images)
    assert len(other.train) == 100 and len(other.validation) == 300


def test_the_split_seed_decides_the_validation_split_and_the_digest():
    one, same, other = (load_images(DataSettings(split_seed=seed)) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    assert rows(one.validation) != rows(other.validation)


def test_a_limit_keeps_the_validation_split_and_thins_out_each_class():
    whole, few = load_images(DataSettings()), load_images(DataSettings(limit=100))
    assert np.array_equal(whole.validation.images, few.validation.images)
    assert rows(few.train) <= rows(whole.train)
    assert set(np.bincount(few.train.labels)) <= {9, 10, 11}


@pytest.mark.parametrize("validation", [1438, 5000, 5000.0, 0.9999])
def test_a_validation_split_that_leaves_nothing_is_refused(validation):
    with pytest.raises(InputError, match=r"data.validation.*1 to 1437"):
        load_images(DataSettings(validation=validation))


@pytest.mark.parametrize(("validation", "count"), [(0.15, 216), (0.0001, 1), (100, 100), (100.6, 101), (1, 1)])
def test_the_validation_split_has_as_many_images_as_is_foretold(validation, count):
    assert validation_images(validation, 1438) == count
    assert len(load_images(DataSettings(validation=validation)).validation) == count


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=300), st.integers(0, 2**20), st.data())
def test_a_stratified_draw_has_each_class_by_its_share(labels, seed, data):
    labels = np.array(labels)
    count = data.draw(st.integers(0, len(labels)))
    chosen, rest = stratified(labels, count, seed=seed)
    assert len(chosen) == count and sorted([*chosen, *rest]) == list(range(len(labels)))
    for label in set(labels.tolist()):
        exact = (labels == label).sum() * count / len(labels)
        assert abs((labels[chosen] == label).sum() - exact) < 1


def test_what_no_class_can_have_whole_goes_to_the_largest_remainders():
    """Of 10 images 7 are drawn: 3.5, 2.1 and 1.4 of the classes."""
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    chosen, rest = stratified(labels, 7, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [4, 2, 1]
    assert np.bincount(labels[rest]).tolist() == [1, 1, 1]


def test_a_rare_class_gets_an_image_where_another_was_rounded_up():
    """Of 43 images 6 are drawn: 2.8, 2.8 and 0.4; of a class of one image none is taken from training so."""
    chosen, _ = stratified(np.repeat([0, 1, 2], [20, 20, 3]), 6, seed=0)
    assert np.bincount(np.repeat([0, 1, 2], [20, 20, 3])[chosen]).tolist() in ([2, 3, 1], [3, 2, 1])
    chosen, _ = stratified(np.repeat([0, 1, 2], [20, 20, 1]), 6, seed=0)
    assert np.bincount(np.repeat([0, 1, 2], [20, 20, 1])[chosen], minlength=3).tolist() == [3, 3, 0]


def test_the_bytes_of_a_set_are_those_of_all_images_and_labels():
    assert load_images(DataSettings()).nbytes == 1797 * (64 + 8)


def test_moments_are_those_of_the_floats():
    images = np.random.default_rng(0).integers(0, 256, (2100, 3, 5, 4), dtype=np.uint8)
    images[:, 2] = 7
    mean, std = moments(images)
    floats = images / 255.0
    assert np.allclose(mean, floats.mean((0, 2, 3)))
    assert np.allclose(std[:2], floats.std((0, 2, 3))[:2]) and std[2] == 1.0


def test_moments_are_of_the_training_split_alone():
    images = load_images(DataSettings())
    assert np.allclose(images.mean[0], images.train.images.mean() / 255)
    assert np.allclose(images.std[0], images.train.images.std() / 255)


def test_an_image_set_survives_out_of_band_pickling_without_a_copy():
    images, buffers = load_images(DataSettings()), []
    data = pickle.dumps(images, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 2000
    back = pickle.loads(data, buffers=[memoryview(b).toreadonly() for b in buffers])
    assert back.digest == images.digest and np.shares_memory(back.train.images, images.train.images)


def test_splits_that_do_not_fit_are_refused():
    images = np.zeros((4, 1, 2, 2), np.uint8)
    good = Split(images=images, labels=np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="contiguous uint8"):
        Split(images=images.astype(np.float32), labels=np.zeros(4, np.int64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one for each image"):
        Split(images=images, labels=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="1 classes"):
        bad = Split(images=images, labels=np.ones(4, np.int64))
        ImageSet.of(name="x", classes=("a",), train=good, validation=good, test=bad)


def test_reading_images_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from archsearch.data.datasets import load_images;"
        "from archsearch.space.settings import DataSettings; load_images(DataSettings());"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'ray'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_folds_are_disjoint_stratified_and_drawn_by_the_seed() -> None:
    labels = np.repeat(np.arange(3), [50, 20, 5])
    drawn = folds(labels, 5, seed=0)
    assert sorted(np.concatenate(drawn).tolist()) == list(range(75))
    assert [np.bincount(labels[fold]).tolist() for fold in drawn] == [[10, 4, 1]] * 5
    assert all(np.array_equal(a, b) for a, b in zip(drawn, folds(labels, 5, seed=0), strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(drawn, folds(labels, 5, seed=1), strict=True))
    rare = folds(np.array([0, 0, 0, 1, 2, 3]), 5, seed=0)
    assert sorted(map(len, rare)) == [1, 1, 1, 1, 2], "no class is in each fold"
    several = folds(np.eye(6, dtype=np.uint8), 3, seed=0)
    assert list(map(len, several)) == [2, 2, 2], "labels that are no classes"
    with pytest.raises(InputError, match="9 folds of 6 images"):
        folds(np.zeros(6, np.int64), 9, seed=0)


def test_images_of_a_group_are_in_one_fold() -> None:
    labels, groups = np.tile([0, 1], 30), np.repeat(np.arange(15), 4)
    drawn = folds(labels, 5, seed=0, groups=groups)
    assert sorted(np.concatenate(drawn).tolist()) == list(range(60))
    held = [set(groups[fold].tolist()) for fold in drawn]
    assert sum(map(len, held)) == 15 and all(held)
    with pytest.raises(InputError, match="16 folds of 15 groups"):
        folds(labels, 16, seed=0, groups=groups)


def test_a_fold_is_validated_on_and_the_others_trained_on() -> None:
    images = load_images(DataSettings(name="digits"))
    both = np.concatenate([images.train.images, images.validation.images])
    sets = [fold_of(images, Fold(number=number, of=4, seed=3)) for number in range(1, 5)]
    seen = np.concatenate([each.validation.images for each in sets])
    assert sorted(map(bytes, seen)) == sorted(map(bytes, both)), "each image is validated on once"
    for each in sets:
        assert len(each.train) + len(each.validation) == len(both) and len(each.validation) in (359, 360)
        assert sorted(map(bytes, np.concatenate([each.train.images, each.validation.images]))) == sorted(
            map(bytes, both)
        )
        assert (each.mean, each.std) == each.train.moments(), "of its own training images"
        assert each.test is images.test and each.name == images.name
    assert len({images.digest, *(each.digest for each in sets)}) == 5


def test_validation_by_folds_keeps_that_share_for_a_search() -> None:
    settings = DataSettings(name="digits", validation=Folds(folds=5))
    assert settings.folds == 5 and DataSettings().folds is None
    images, share = load_images(settings), load_images(DataSettings(name="digits", validation=0.2))
    assert images.digest == share.digest and len(images.validation) == 288

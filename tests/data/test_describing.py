"""Whether a mirrored image is still one of its class, by a linear classifier: of real digits it is not."""

import numpy as np
import pytest

from archsearch.data.datasets import load_images
from archsearch.data.describing import describe, mirrored_share
from archsearch.data.images import Split
from archsearch.space.settings import DataSettings, TrainingSettings


@pytest.fixture(scope="module")
def digits():
    return load_images(DataSettings())


def split(images, labels) -> Split:
    return Split(images=np.ascontiguousarray(images), labels=labels.astype(np.int64))


def test_mirrored_digits_are_recognised_less(digits) -> None:
    facts = describe(digits, TrainingSettings())
    assert (facts.train, facts.shape) == (1222, (1, 8, 8))
    assert 0.15 < facts.mirrored < 0.5


@pytest.mark.parametrize("settings", [{"recipe": "fast"}, {"recipe": "none"}, {"flip": False}])
def test_what_no_setting_is_left_to_is_not_measured(digits, monkeypatch, settings) -> None:
    monkeypatch.delattr("archsearch.data.describing.mirrored_share")
    facts = describe(digits, TrainingSettings.model_validate(settings))
    assert (facts.train, facts.mirrored) == (1222, 1.0)


def test_of_images_that_come_in_both_hands_nothing_is_lost(digits) -> None:
    images, labels = digits.train.images, digits.train.labels
    both = split(np.concatenate([images, images[..., ::-1]]), np.concatenate([labels, labels]))
    assert mirrored_share(both) > 0.9


def test_classes_that_are_one_anothers_mirror_image(digits) -> None:
    images = digits.train.images[digits.train.labels == 7]
    pair = np.concatenate([images, images[..., ::-1]])
    assert mirrored_share(split(pair, np.repeat([0, 1], len(images)))) == 0


def test_the_images_of_one_class_say_nothing(digits) -> None:
    one = split(digits.train.images[:3], np.zeros(3))
    assert mirrored_share(one) == 1.0

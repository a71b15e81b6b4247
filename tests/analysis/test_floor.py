"""What simple models reach on real digits, and that a set of one class or of broken files is no fault."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from archsearch.analysis.floor import Floor, FloorInBackground, measure_floor
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Split
from archsearch.reading.errors import refuse
from archsearch.space.settings import DataSettings


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images(DataSettings())


def test_the_floor_of_the_digits(digits) -> None:
    floor = measure_floor(digits)
    assert (floor.images, floor.learnt) == (len(digits.validation), len(digits.train))
    assert floor.logistic_regression is not None and floor.random_forest is not None
    assert 0.9 < floor.logistic_regression < 0.99 and 0.93 < floor.random_forest < 1
    labels = digits.validation.labels
    assert floor.commonest_class == pytest.approx((labels == np.bincount(digits.train.labels).argmax()).mean())
    assert measure_floor(digits).to_dict() | {"seconds": 0} == floor.to_dict() | {"seconds": 0}


def test_its_regression_is_scikit_learns_on_pixels_from_0_to_1(digits) -> None:
    learnt, judged = digits.train, digits.validation
    pixels = [split.images.reshape(len(split), -1).astype(np.float64) / 255 for split in (learnt, judged)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=0.1, max_iter=100).fit(pixels[0], learnt.labels)
    expected = model.score(pixels[1], judged.labels)
    assert measure_floor(digits).logistic_regression == pytest.approx(expected, abs=1.5 / len(judged))


def test_labels_that_say_nothing_of_the_images_are_not_learnt(digits) -> None:
    rng = np.random.default_rng(0)

    def shuffled(split: Split) -> Split:
        return Split(images=split.images, labels=rng.permutation(split.labels))

    floor = measure_floor(
        ImageSet.of(
            name="noise",
            classes=digits.classes,
            train=shuffled(digits.train),
            validation=shuffled(digits.validation),
            test=digits.test,
        )
    )
    assert max(floor.logistic_regression or 1, floor.random_forest or 1) < 0.25


def test_training_images_of_a_single_class(digits) -> None:
    ones = Split(images=digits.train.images[:30], labels=np.zeros(30, np.int64))
    floor = measure_floor(ImageSet.of(name="one", classes=("a", "b"), train=ones, validation=ones, test=ones))
    assert (floor.commonest_class, floor.logistic_regression, floor.random_forest) == (1.0, None, None)


def test_in_the_background_it_is_written_once_it_is_there(digits) -> None:
    written: list[Floor] = []
    assert FloorInBackground(digits).then(written.append, patience=60)
    assert [floor.images for floor in written] == [len(digits.validation)]


def test_images_that_cannot_be_read_have_no_floor(digits, monkeypatch) -> None:
    def unreadable(*_: object) -> None:
        raise refuse("broken.png cannot be read")

    monkeypatch.setattr("archsearch.analysis.floor.averaged", unreadable)
    assert not FloorInBackground(digits).then(print, patience=60)


def test_the_floor_of_several_labels_and_of_numbers() -> None:
    from tests.training.task_images import task_images

    labels = measure_floor(task_images("multi_label"))
    assert labels.metric == "mean_average_precision" and labels.commonest_class is not None
    assert labels.commonest_class == pytest.approx(task_images("multi_label").validation.labels.mean())
    assert labels.commonest_class + 0.2 < min(labels.logistic_regression or 0, labels.random_forest or 0) < 1
    numbers = measure_floor(task_images("regression"))
    assert numbers.metric == "r2" and numbers.commonest_class == pytest.approx(0, abs=0.05)
    assert 0.5 < min(numbers.logistic_regression or 0, numbers.random_forest or 0) < 1
    errors = measure_floor(task_images("regression"), metric="mean_absolute_error")
    assert errors.random_forest is not None and errors.random_forest < 20 < (errors.commonest_class or 0)


def test_the_floor_by_another_metric(digits) -> None:
    floor = measure_floor(digits, metric="balanced_accuracy")
    assert floor.metric == "balanced_accuracy" and floor.commonest_class == pytest.approx(0.1)
    assert 0.9 < (floor.logistic_regression or 0) < 1
    assert measure_floor(digits, metric="auc").commonest_class == 0.5

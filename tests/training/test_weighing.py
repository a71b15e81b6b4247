"""Rare classes: class weights, balanced sampling and the focal loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from archsearch.data.datasets import load_images
from archsearch.data.describing import describe
from archsearch.data.images import ImageSet
from archsearch.data.splitting import subset
from archsearch.data.weighing import check_recipe, class_counts, class_weights, image_weights
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.losses import Loss
from tests.training.nets import tiny
from tests.training.task_images import task_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rare() -> ImageSet:
    """Digits, of which each class from 5 on has six training images."""
    images = load_images(DataSettings())
    labels = images.train.labels
    used = [np.flatnonzero(labels == label)[: None if label < 5 else 6] for label in range(10)]
    return replace(images, train=subset(images.train, np.concatenate(used)))


def settings(**fields: object) -> TrainingSettings:
    return TrainingSettings.model_validate({"epochs": 3, "batch_size": 32, "device": "cpu", **fields})


def history(images: ImageSet, recipe: TrainingSettings, **fields: object) -> list[dict]:
    metrics = [m.to_dict() for m in Training(tiny(), images, recipe, seed=0, threads=1, **fields)]
    return [{k: v for k, v in m.items() if k not in ("seconds", "images_per_second")} for m in metrics]


def test_balanced_weights_are_inverse_to_the_classes_sizes(rare):
    counts, weights = class_counts(rare), class_weights(rare, settings(class_weights="balanced"))
    assert np.allclose(weights * counts, len(rare.train) / 10) and counts[9] == 6
    assert class_weights(rare, settings()) is None
    assert class_weights(rare, settings(class_weights={"3": 2, "9": 0.5})).tolist() == [1, 1, 1, 2, *[1] * 5, 0.5]


def test_balanced_weights_of_labels_make_presence_and_absence_equal():
    images = task_images("multi_label")
    present = images.train.labels.mean(0)
    assert np.allclose(class_weights(images, settings(class_weights="balanced")) * present, 1 - present)


def test_a_loss_is_multiplied_by_its_classs_weight(rare):
    plain, weighted = Loss.of(rare, CPU), Loss.of(rare, CPU, settings(class_weights={"9": 3}))
    scores, labels = torch.randn(4, 10), torch.tensor([9, 9, 9, 9])
    assert weighted(scores, labels) == pytest.approx(float(3 * plain(scores, labels)))
    assert weighted(scores, labels - 1) == pytest.approx(float(plain(scores, labels - 1)))
    assert weighted(scores, labels, 0.0, labels - 1, 0.25) == pytest.approx(
        float(0.75 * plain(scores, labels) + 0.75 * plain(scores, labels - 1))
    )


def test_the_focal_loss_is_that_of_its_paper(rare):
    scores, labels = torch.randn(7, 10), torch.arange(7)
    right = scores.softmax(1)[labels, labels]
    for gamma in (0.0, 0.5, 2.0):
        focal = Loss.of(rare, CPU, settings(loss="focal", focal_gamma=gamma))
        assert focal(scores, labels) == pytest.approx(float((-((1 - right) ** gamma) * right.log()).mean()), rel=1e-5)
    sure = torch.full((1, 10), -50.0).scatter(1, torch.tensor([[0]]), 50.0).requires_grad_()
    focal = Loss.of(rare, CPU, settings(loss="focal", focal_gamma=0.5))(sure, torch.tensor([0]))
    torch.autograd.backward(focal)
    assert torch.isfinite(sure.grad).all()


def test_the_focal_loss_of_labels_is_torchvisions():
    from torchvision.ops import sigmoid_focal_loss

    images = task_images("multi_label")
    scores, labels = torch.randn(6, 5), torch.from_numpy(images.train.labels[:6])
    focal = Loss.of(images, CPU, settings(loss="focal"))(scores, labels)
    assert focal == pytest.approx(float(sigmoid_focal_loss(scores, labels.float(), alpha=-1, reduction="mean")))


def test_smooth_l1_is_of_standardised_targets():
    images = task_images("regression")
    scores, labels = torch.randn(6, 1), torch.from_numpy(images.train.labels[:6])
    standard = (labels - images.train.labels.mean()) / images.train.labels.std()
    smooth = Loss.of(images, CPU, settings(loss="smooth_l1"))(scores, labels)
    assert smooth == pytest.approx(float(functional.smooth_l1_loss(scores, standard)), rel=1e-4)


def test_balanced_sampling_draws_every_class_equally_often(rare):
    training = Training(tiny(), rare, settings(sampling="balanced"), seed=0)
    drawn = torch.cat([training._order(torch.Generator().manual_seed(seed)) for seed in range(20)]).numpy()
    shares = np.bincount(rare.train.labels[drawn], minlength=10) / len(drawn)
    assert len(drawn) == 20 * len(rare.train) and (abs(shares - 0.1) < 0.01).all()
    assert sorted(Training(tiny(), rare, settings(), seed=0)._order(torch.Generator()).tolist()) == list(
        range(len(rare.train))
    )


def test_images_are_drawn_by_the_weights_that_the_data_states(rare):
    weights = np.zeros(len(rare.train), np.float32)
    weights[[3, 5]] = 1, 3
    images = replace(rare, train=replace(rare.train, weights=weights))
    assert images.digest != rare.digest
    training = Training(tiny(), images, settings(sampling="weights"), seed=0)
    drawn = training._order(torch.Generator().manual_seed(0)).numpy()
    assert set(drawn.tolist()) == {3, 5} and (drawn == 5).mean() == pytest.approx(0.75, abs=0.06)
    assert image_weights(images, settings()) is None


@pytest.mark.parametrize(
    "recipe",
    [
        {"class_weights": "balanced"},
        {"sampling": "balanced"},
        {"loss": "focal"},
        {"class_weights": "balanced", "loss": "focal", "mixup": 0.4, "label_smoothing": 0.1, "sampling": "balanced"},
    ],
)
def test_the_same_seed_gives_the_same_bits_and_another_training_than_without(rare, recipe):
    one = history(rare, settings(**recipe))
    assert one == history(rare, settings(**recipe)) != history(rare, settings())


def test_micro_batches_weigh_as_their_batch(rare):
    step = {"class_weights": "balanced", "loss": "focal", "batch_size": 30}
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    losses = []
    for micro in (None, 7):
        state = {name: value.clone() for name, value in model.state_dict().items()}
        training = Training(model, rare, settings(**step, micro_batch=micro), seed=0)
        losses.append(next(training).train_loss)
        model.load_state_dict(state)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_training_with_drawn_images_goes_on_bit_for_bit(rare):
    recipe = settings(sampling="balanced", class_weights="balanced")
    whole = Training(tiny(), rare, recipe, seed=0)
    next(whole)
    state = whole.state()
    restored = Training(tiny(1), rare, recipe, seed=0).restore(*state)
    kept = [{k: v.clone() for k, v in state[0].items()}, state[1]]
    restored.restore(*kept)
    one, other = next(whole), next(restored)
    assert one.train_loss == other.train_loss and one.scores == other.scores


def test_rare_classes_are_found_more_often_by_weights(rare):
    plain, weighted = (
        list(Training(tiny(), rare, settings(epochs=6, **recipe), seed=0))[-1].scores
        for recipe in ({}, {"class_weights": "balanced"})
    )
    assert weighted["balanced_accuracy"] > plain["balanced_accuracy"] + 0.05


def test_a_set_with_rare_classes_is_sought_by_balanced_accuracy(rare):
    none = settings(recipe="none")
    assert describe(rare, none).imbalanced and describe(rare, none).metric == "balanced_accuracy"
    assert describe(load_images(DataSettings()), none).metric == "accuracy"
    assert describe(task_images("multi_label"), none).metric == "mean_average_precision"
    assert describe(task_images("regression"), none).metric == "r2"


def test_an_angle_is_lost_in_a_mirror():
    assert describe(task_images("regression"), TrainingSettings()).mirrored < 0.3
    assert 0 <= describe(task_images("multi_label"), TrainingSettings()).mirrored < 0.9


@pytest.mark.parametrize(
    ("task", "recipe", "message"),
    [
        ("regression", {"loss": "focal"}, "the task is regression; allowed: auto, squared_error, smooth_l1"),
        (
            "multi_label",
            {"loss": "squared_error"},
            "the task is multi_label; allowed: auto, cross_entropy, binary_cross_entropy, focal",
        ),
        ("regression", {"class_weights": "balanced"}, "no classes"),
        ("regression", {"sampling": "balanced"}, "no classes"),
        ("multi_label", {"sampling": "weights"}, "the data states none; allowed: uniform, balanced"),
        ("multi_label", {"class_weights": {"label 2": 2, "lable 3": 2}}, r"did you mean label 3\?"),
    ],
)
def test_what_a_task_does_not_admit_is_refused(task, recipe, message):
    images = task_images(task)
    for refused in (check_recipe, describe, lambda *given: Training(tiny(classes=5), *given, seed=0)):
        with pytest.raises(InputError, match=f"(?s){message}"):
            refused(images, settings(**recipe))

"""Several labels and numbers are trained, tested, handed over, gone on with and started from, as classes are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.network import build
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.space.tasks import metrics_of
from archsearch.training.checkpoint import CheckpointDamaged, thresholds_of, weights_from_bytes, weights_to_bytes
from archsearch.training.feeds.feed import HostFeed
from archsearch.training.fit import evaluate_test, train_architecture
from archsearch.training.loop import Training
from archsearch.training.losses import Loss
from archsearch.training.run import TrainingRun
from tests.training.nets import tiny
from tests.training.task_images import task_images

SETTINGS = TrainingSettings(epochs=8, batch_size=32, device="cpu", ema=0.9)
RUN = TrainingRun(settings=SETTINGS, seed=1, threads=1, precision="float32")
TASKS = ("multi_label", "regression")


def architecture(images):
    stages = [{"depth": 1, "width": 16, "stride": 1}, {"depth": 1, "width": 32}]
    fields = {"input": list(images.shape), "classes": len(images.classes), "stem": {"width": 16}, "stages": stages}
    return Architecture.from_dict({"name": "small", **fields})


def lasting(history):
    return [{k: v for k, v in m.items() if k not in ("seconds", "images_per_second")} for m in history]


def test_several_labels_are_learnt_and_their_thresholds_kept_with_the_weights(tmp_path):
    images = task_images("multi_label")
    result = train_architecture(architecture(images), images, RUN, tmp_path)
    names = {metric.name for metric in metrics_of("multi_label", 5)}
    assert set(result["validation"]) == {"loss", *names} and set(result["test"]) == {"loss", "images", *names}
    assert result["test"]["mean_average_precision"] > 0.9 and result["test"]["exact_match"] > 0.6
    assert result["data"]["task"] == "multi_label" and "train_accuracy" not in result["history"][0]
    thresholds = thresholds_of((tmp_path / "weights.safetensors").read_bytes())
    assert thresholds.tolist() == result["thresholds"] and len(set(thresholds)) == 5


def test_an_angle_is_learnt_and_given_back_in_degrees(tmp_path):
    images = task_images("regression")
    assert images.train.labels.std() > 30
    result = train_architecture(architecture(images), images, RUN, tmp_path)
    assert result["test"]["r2"] > 0.8 and result["test"]["mean_absolute_error"] < 15
    assert result["test"]["root_mean_square_error"] ** 2 == pytest.approx(
        result["test"]["loss"] * images.train.labels.var(), rel=1e-3
    ), "the loss is that of standardised targets"
    network = build(architecture(images))
    network.load_state_dict(weights_from_bytes((tmp_path / "weights.safetensors").read_bytes()))
    pixels = (images.test.images / 255 - np.array(images.mean)) / np.array(images.std)
    degrees = network.scores(pixels.astype(np.float32))
    error = np.abs(degrees - images.test.labels).mean()
    assert error == pytest.approx(result["test"]["mean_absolute_error"], rel=1e-4)
    assert result["thresholds"] is None


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_training_goes_on_bit_for_bit(task, tmp_path):
    images = task_images(task)
    run = replace(RUN, settings=SETTINGS.model_copy(update={"epochs": 4}))

    def train(folder, on_epoch=None):
        return train_architecture(
            architecture(images), images, run, tmp_path / folder, on_epoch=on_epoch, checkpoint_seconds=0
        )

    def interrupt(metrics):
        if metrics.epoch == 2:
            raise KeyboardInterrupt

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("cut", interrupt)
    resumed = train("cut")
    assert lasting(resumed["history"]) == lasting(whole["history"]) and resumed["test"] == whole["test"]
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


@pytest.mark.parametrize("task", TASKS)
def test_a_state_of_the_end_hands_the_same_weights_over(task):
    images = task_images(task)
    settings = SETTINGS.model_copy(update={"epochs": 2})
    training = Training(tiny(classes=len(images.classes)), images, settings, seed=0, device="cpu")
    list(training)
    restored = Training(tiny(3, classes=len(images.classes)), images, settings, seed=0, device="cpu")
    restored.restore(*training.state())
    assert restored.packed_weights() == training.packed_weights()
    assert restored.evaluate("test") == training.evaluate("test")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("task", TASKS)
def test_weights_that_were_handed_over_are_tested_the_same(task, precision, tmp_path):
    images = task_images(task)
    run = replace(RUN, precision=precision, settings=SETTINGS.model_copy(update={"epochs": 2}))
    train_architecture(architecture(images), images, run, tmp_path, test=False)
    later = evaluate_test(tmp_path, images, run)["test"]
    tested = train_architecture(architecture(images), images, run, tmp_path / "tested")["test"]
    assert (
        later == pytest.approx(tested, rel=1e-5 if precision == "float32" else 1e-3) and later.keys() == tested.keys()
    )


def test_a_regression_begins_where_its_initial_weights_ended(tmp_path):
    images = task_images("regression")
    first = train_architecture(architecture(images), images, RUN, tmp_path / "first")
    slow = SETTINGS.model_copy(update={"epochs": 1, "learning_rate": 1e-5, "ema": 0.0})
    run = replace(RUN, settings=slow)
    weights = tmp_path / "first" / "weights.safetensors"
    second = train_architecture(architecture(images), images, run, tmp_path / "second", weights=weights)
    assert second["history"][0]["train_loss"] < 0.3
    assert second["validation"]["mean_absolute_error"] < 1.5 * first["validation"]["mean_absolute_error"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("mixing", [{"mixup": 1.0}, {"cutmix": 1.0}, {"label_smoothing": 0.1}, {"micro_batch": 8}])
def test_every_word_of_the_training_has_its_meaning_for_every_task(task, mixing):
    images = task_images(task)
    settings = TrainingSettings(epochs=2, batch_size=32, device="cpu", **mixing)
    runs = [Training(tiny(classes=len(images.classes)), images, settings, seed=0, device="cpu") for _ in range(2)]
    one, other = (lasting(metrics.to_dict() for metrics in training) for training in runs)
    assert one == other and one[1]["train_loss"] < one[0]["train_loss"]


def test_smoothing_and_mixing_change_several_labels_targets():
    images = task_images("multi_label")
    loss = Training(tiny(classes=5), images, SETTINGS, seed=0, device="cpu").loss
    labels = torch.tensor([[1, 0, 0, 1, 0]], dtype=torch.uint8)
    assert torch.allclose(loss.targets(labels, 0.1), torch.tensor([[0.95, 0.05, 0.05, 0.95, 0.05]]))
    scores, others = torch.randn(1, 5), 1 - labels
    mixed = loss(scores, labels, 0.0, others, 0.7)
    assert mixed == pytest.approx(float(0.7 * loss(scores, labels) + 0.3 * loss(scores, others)), rel=1e-5)


def test_classes_as_labels_are_present_or_absent_each_by_itself():
    loss = Loss(binary=True)
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    labels, partners = torch.tensor([0, 4, 2]), torch.tensor([1, 4, 3])
    present = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0]])
    both = torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 1, 0]])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    assert torch.equal(loss(scores, labels), entropy(scores, present))
    for share, targets in ((0.75, both), (torch.tensor(0.75), both), (0.85, present)):
        assert torch.equal(loss(scores, labels, 0.0, partners, share), entropy(scores, targets))
    timm = pytest.importorskip("timm.loss")
    assert loss(scores, labels, 0.1) == pytest.approx(float(timm.BinaryCrossEntropy(0.1)(scores, labels)), rel=1e-6)
    mixed = (0.75 * present + 0.25 * torch.nn.functional.one_hot(partners, 5)).float()
    theirs = timm.BinaryCrossEntropy(target_threshold=0.2)(scores, mixed)
    assert loss(scores, labels, 0.0, partners, 0.75) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_images_in_the_hosts_memory_give_the_same_batches(task):
    images = task_images(task)
    device = torch.device("cpu")
    feeds = [None, HostFeed(images, SETTINGS, device)]
    settings = SETTINGS.model_copy(update={"epochs": 1})
    one, other = (
        lasting(m.to_dict() for m in Training(tiny(classes=len(images.classes)), images, settings, seed=0, feed=feed))
        for feed in feeds
    )
    assert one == other


def test_single_label_keeps_its_bits_and_has_every_metric():
    images = load_images(DataSettings(limit=200))
    settings = TrainingSettings(epochs=2, batch_size=32, device="cpu", label_smoothing=0.1, mixup=0.5)
    training = Training(tiny(), images, settings, seed=0, threads=1)
    metrics = list(training)[-1]
    assert metrics.scores.keys() == {metric.name for metric in metrics_of("single_label", 10)}
    assert metrics.scores["accuracy"] == metrics.validation_accuracy
    assert metrics.to_dict()["validation_macro_f1"] == metrics.scores["macro_f1"]
    assert training.packed_weights() == weights_to_bytes(training.model.state_dict())
    assert training.evaluate("test").to_dict()["auc"] > 0.5


@pytest.mark.parametrize("thresholds", ["[1, null]", "{}", "[[1]]", "nonsense", '["a"]'])
def test_thresholds_that_are_none_are_refused(thresholds):
    from safetensors.torch import save

    with pytest.raises(CheckpointDamaged, match="weights"):
        thresholds_of(save({"a": torch.ones(1)}, {"thresholds": thresholds}))
    with pytest.raises(CheckpointDamaged, match="weights"):
        thresholds_of(b"\xff" * 20)
    assert thresholds_of(save({"a": torch.ones(1)})) is None

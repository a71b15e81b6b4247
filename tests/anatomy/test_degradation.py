"""The degradation experiment: which networks, what is measured of a training without touching it, what follows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from archsearch import zoo
from archsearch.anatomy.degradation import Sample, members
from archsearch.anatomy.degradation_figures import chance, document, published
from archsearch.anatomy.degradation_page import html
from archsearch.anatomy.gradients import layer_norms, layers
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.network import build
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.losses import Loss
from archsearch.training.run import TrainingRun

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images(DataSettings(name="digits", limit=96))


def of_digits(name: str) -> Architecture:
    return zoo.get(name).model_copy(update={"input": (1, 8, 8)})


def test_the_networks_are_those_of_the_zoo_and_rows_have_the_greatest_depth() -> None:
    networks = members([14, 8], ["identities", "shortcuts"])
    assert [network.name for network in networks[:4]] == [
        "plain8_cifar",
        "plain14_cifar",
        "resnet8_cifar",
        "resnet14_cifar",
    ]
    assert [network.label for network in networks[:4]] == ["plain-8", "plain-14", "ResNet-8", "ResNet-14"]
    assert [network.group for network in networks[4:]] == ["shortcuts"] * 3 + ["identities"] * 6
    assert {network.depth for network in networks[4:]} == {14}
    assert len({network.name for network in networks}) == 11, "the residual network of each group is the same one"


@pytest.mark.parametrize(
    ("depths", "rows", "problem"),
    [
        ([8, 21], [], "--depths: no network has 21 layers; allowed: 6n . 2 layers.*\n.*hint: the nearest depth is 20"),
        ([8, 164], [], "the nearest depth is 158"),
        ([8, 0], [], "the nearest depth is 8"),
        ([20, 20], [], "20, 20: fewer than two depths"),
        ([], [], "none: fewer than two depths"),
        ([8, 14], ["shortcut"], "--rows: rows 'shortcut'.*\n.*did you mean shortcuts"),
    ],
)
def test_other_depths_and_rows_are_refused(depths: list[int], rows: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        members(depths, rows)


@pytest.mark.parametrize(
    "name", ["plain14_cifar", "resnet14_option_c_cifar", "resnet14_shortcut_only_gate_cifar", "preact_resnet14_cifar"]
)
def test_a_layer_a_convolution_on_the_way_and_the_classifier(name: str) -> None:
    names = list(layers(build(zoo.get(name))))
    assert len(names) == 14
    assert (names[0], names[-1]) == ("stem.conv1", "head.linear1")
    assert not any("shortcut" in layer or "gate" in layer for layer in names)


def test_norms_are_autograds_and_nothing_is_left_behind(digits: ImageSet) -> None:
    model = build(of_digits("resnet8_shortcut_dropout_cifar"), seed=4).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    pixels = torch.from_numpy(digits.train.images[:32]).float() / 255
    batch = pixels, torch.from_numpy(digits.train.labels[:32])
    state = torch.get_rng_state()
    norms = layer_norms(model, batch, Loss())
    assert norms == layer_norms(model, batch, Loss()), "dropout draws the same"
    assert torch.equal(torch.get_rng_state(), state) and not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    twin = copy.deepcopy(model).train()
    torch.manual_seed(0)
    torch.nn.functional.cross_entropy(twin(batch[0]), batch[1]).backward()
    expected = [weight.grad.norm().item() for weight in layers(twin).values() if weight.grad is not None]
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


def test_shortcuts_keep_the_first_layers_gradient_small_before_training(digits: ImageSet) -> None:
    """What was seen by hand on digits: 6 in plain-20, 2,300 in plain-56, 3.8e7 in plain-110, 27 in ResNet-110."""
    sample = Sample.of(digits, TrainingSettings(batch_size=16), CPU, 96)
    (batch,) = sample.feed.evaluation("test", sample.batch)
    first = {
        name: layer_norms(build(of_digits(name), seed=1), batch, Loss())[0]
        for name in ("plain20_cifar", "plain56_cifar", "plain110_cifar", "resnet110_cifar")
    }
    assert 2 < first["plain20_cifar"] < 20
    assert 500 < first["plain56_cifar"] < 10_000
    assert first["plain110_cifar"] > 1e6
    assert 5 < first["resnet110_cifar"] < 100


def test_a_training_that_is_measured_is_the_one_that_is_not(digits: ImageSet) -> None:
    settings = TrainingSettings(epochs=3, batch_size=32, ema=0.9, precision="float32")
    name = "resnet8_shortcut_dropout_cifar"
    sample = Sample.of(digits, settings, CPU, 1000)
    runs = []
    for measured in (False, True):
        training = Training(build(of_digits(name), seed=2), digits, TrainingRun(settings=settings, seed=2))
        rows = [sample.measure(training)] if measured else []
        metrics = []
        for epoch in training:
            metrics.append((epoch.train_loss, epoch.validation_loss))
            if measured:
                rows.append(sample.measure(training))
        runs.append((metrics, training.packed_weights()))
    assert runs[0] == runs[1]
    assert len(rows) == 4 and all(len(row["gradient"]) == 8 for row in rows)
    whole = training.evaluate("train")
    assert sample.size == 96 and whole.accuracy is not None
    assert rows[-1]["sample_error"] == pytest.approx(1 - whole.accuracy)
    assert rows[-1]["sample_loss"] == pytest.approx(whole.loss, rel=1e-4)
    assert rows[-1]["gradient"] != rows[0]["gradient"]


def test_a_sample_has_every_class_and_a_long_training_few_gradients(digits: ImageSet) -> None:
    settings = TrainingSettings(epochs=164, batch_size=20)
    sample = Sample.of(digits, settings, CPU, 40)
    ((_, labels),) = sample.feed.evaluation("test", sample.batch)
    assert (sample.size, sample.batch, sample.every) == (40, 20, 9)
    assert set(labels.tolist()) == set(range(10))
    training = Training(build(of_digits("resnet8_cifar")), digits, TrainingRun(settings=settings, seed=0))
    measured = []
    for training.epoch in (0, 1, 9, 18, 163, 164):
        measured.append("gradient" in sample.measure(training))
    assert measured == [True, False, True, True, False, True]


def test_published_errors() -> None:
    by_label = {(each.group, each.label): list(published(each)) for each in
                members([20, 56], ["shortcuts", "placements", "identities"])}  # fmt: skip
    figures = {key: [error["percent"] for error in errors] for key, errors in by_label.items()}
    assert figures[None, "plain-56"] == [13.31] and figures[None, "plain-20"] == [8.18]
    assert figures[None, "ResNet-20"] == [8.75, 7.37] and figures[None, "ResNet-56"] == [6.97, 5.89]
    assert [figures["shortcuts", f"option {option}"] for option in "ABC"] == [[25.03], [24.52], [24.19]]
    assert [*(figures["placements", label][0] for _, label in by_label if ("placements", label) in figures)] == [
        6.61, 8.17, 7.84, 6.71, 6.37,
    ]  # fmt: skip
    assert [*(figures["identities", label][0] for _, label in by_label if ("identities", label) in figures)] == [
        6.61, 12.35, 8.7, 6.91, 12.22, None,
    ]  # fmt: skip
    assert by_label["identities", "dropout (0.5)"][0]["above"] == 20


def result(errors: list[float], validation: list[float], stem: float) -> dict[str, object]:
    """What result.json holds of a training with such training and validation errors by epoch."""
    history = [
        {"epoch": epoch, "sample_loss": 3 * error, "sample_error": error, "validation_loss": 1.0,
         "validation_accuracy": 1 - wrong, "gradient": [stem / 2, 0.1]}
        for epoch, (error, wrong) in enumerate(zip(errors, validation, strict=True), start=1)
    ]  # fmt: skip
    return {"folder": "f", "history": history, "initially": {"gradient": [stem, 0.1]}, "test": {"accuracy": 0.5}}


FACTS = {"data": "digits", "depths": [8, 14], "rows": ["shortcuts"], "seeds": [3, 4], "epochs": 2, "images": 96,
         "gradient_images": 32, "validation_images": 200, "training": {"batch_size": 32}}  # fmt: skip


def test_what_follows_from_the_figures() -> None:
    networks = members([8, 14], ["shortcuts"])
    final = {
        "plain8_cifar": (0.1, 0.2),
        "plain14_cifar": (0.3, 0.5),
        "resnet8_cifar": (0.1, 0.11),
        "resnet14_cifar": (0.0, 0.1),
    }
    trained = [
        (each, [(seed, result([0.9, final.get(each.name, (0.2, 0.4))[0]], [0.9, final.get(each.name, (0.2, 0.4))[1]],
                              stem=1.0 if each.depth == 8 else 500.0)) for seed in (3, 4)])
        for each in networks
    ]  # fmt: skip
    figures = document(trained, FACTS)
    plain, residual, shortcuts = figures["comparisons"]
    assert plain["training_error"] == {"first": 0.1, "second": 0.3, "change": pytest.approx(0.2), "higher": 2}
    assert residual["training_loss"]["higher"] == 0
    assert shortcuts["validation_error"]["change"] == pytest.approx(-0.4)
    remarks = " ".join(figures["remarks"])
    assert "from 10.0 % to 30.0 %" in remarks and "degradation" in remarks and "higher with 0 of 2 seeds" in remarks
    assert "at 14 layers changes by -40.0 points, to 10.0 %" in remarks
    assert "ResNet-14 has the lowest validation error, 10.0 %; ResNet-8 is within chance of it" in remarks
    assert "option A: 10.0 %, option B: 40.0 %, option C: 40.0 %" in remarks
    assert chance(0.1, 200) == pytest.approx(2 * (2 * 0.09 / 200) ** 0.5)
    text = html(figures)
    assert text.count('<svg class="chart wide"') == 6 and "Shortcut options, 14 layers" in text
    assert "plain +20.0, residual -10.0 points of training error" in text


def test_a_network_that_diverged_has_no_errors() -> None:
    networks = members([8, 14])
    fine = [(3, result([0.9, 0.1], [0.9, 0.2], 1.0)), (4, result([0.9, 0.1], [0.9, 0.2], 1.0))]
    trained = [(each, [fine[0], (4, {"diverged": {"epoch": 2}})] if each.name == "plain14_cifar" else fine)
               for each in networks]  # fmt: skip
    figures = document(trained, {**FACTS, "rows": []})
    assert figures["networks"][1]["final"]["validation_error"] is None
    assert figures["comparisons"][0]["training_error"]["change"] is None
    assert figures["remarks"][0] == "plain-14 diverged in epoch 2 (seed 4): its errors are not known."
    assert "plain diverged, residual +0.0 points" in html(figures)

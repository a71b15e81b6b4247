"""Networks for several labels and for numbers, exported and asked about image files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import archsearch
from archsearch.architecture.spec import Architecture, Stage, Stem
from archsearch.cli import main
from archsearch.data.images import ImageSet
from archsearch.export.bundle import write_bundle
from archsearch.export.origin import Origin, with_weights
from archsearch.network import build
from archsearch.space.settings import TrainingSettings
from archsearch.training.checkpoint import thresholds_of
from archsearch.training.loop import Training
from archsearch.training.metrics import measured
from archsearch.training.run import TrainingRun
from tests.training.task_images import task_images

TASKS = ("multi_label", "regression")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained network's bundle for each task, with the validation images as files beside it."""
    top, found = tmp_path_factory.mktemp("tasks"), {}
    for task in TASKS:
        images = task_images(task)
        architecture = Architecture(
            input=images.shape, classes=len(images.classes), stem=Stem(width=8),
            stages=(Stage(depth=1, width=8), Stage(depth=1, width=16)),
        )  # fmt: skip
        settings = TrainingSettings(epochs=8, batch_size=32, precision="float32", recipe="none", learning_rate=0.05)
        training = Training(build(architecture), images, TrainingRun(settings=settings, seed=0))
        for _ in training:
            pass
        weights = training.packed_weights()
        thresholds = thresholds_of(weights)
        origin = Origin(
            network=with_weights(architecture, weights, "weights"), images=images,
            thresholds=None if thresholds is None else tuple(thresholds.tolist()),
        )  # fmt: skip
        write_bundle(origin, top / task, lambda _: None)
        (top / f"{task}-new").mkdir()
        for number, pixels in enumerate(images.validation.images):
            Image.fromarray(pixels[0]).save(top / f"{task}-new" / f"{number:04}.png")
        found[task] = top / task
    return found


def new(bundle: Path) -> Path:
    return bundle.with_name(f"{bundle.name}-new")


def told(images: ImageSet, predictions: archsearch.Predictions) -> dict[str, float]:
    thresholds = None if predictions.thresholds is None else np.array(predictions.thresholds)
    return measured(images.task, predictions.values, images.validation.labels, thresholds)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_several_labels_are_given_by_their_thresholds(backend: str, bundles: dict[str, Path]) -> None:
    images = task_images("multi_label")
    predictions = archsearch.predict(
        bundles["multi_label"], new(bundles["multi_label"]), backend=backend, progress=False
    )
    assert (predictions.task, predictions.classes) == ("multi_label", images.classes)
    scores = told(images, predictions)
    assert scores["macro_f1"] > 0.75 and scores["auc"] > 0.85
    card = (bundles["multi_label"] / "MODEL_CARD.md").read_text()
    assert f"macro f1: {100 * scores['macro_f1']:.2f} %" in card and "before the sigmoid" in card
    assert "-> 5 labels" in card
    present = predictions.values >= np.array(predictions.thresholds)
    expected = [{images.classes[column] for column in np.flatnonzero(row)} for row in present]
    assert [set(labels) for labels in predictions.labels] == expected


def test_the_temperature_changes_no_label(bundles: dict[str, Path]) -> None:
    written = json.loads((bundles["multi_label"] / "preprocessing.json").read_text())
    before = task_images("multi_label")
    predictions = archsearch.predict(bundles["multi_label"], new(bundles["multi_label"]), progress=False)
    temperature = written["calibration"]["temperature"]
    assert temperature != 1
    logits = np.log(predictions.values.astype(float) / (1 - predictions.values.astype(float))) * temperature
    plain = 1 / (1 + np.exp(-logits))
    trained = [1 / (1 + ((1 - t) / t) ** temperature) for t in written["thresholds"]]
    assert ((plain >= trained) == (predictions.values >= written["thresholds"])).all()
    assert measured("multi_label", plain.astype(np.float32), before.validation.labels, np.array(trained))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_regression_gives_numbers_in_the_units_of_its_targets(backend: str, bundles: dict[str, Path], capsys) -> None:
    images = task_images("regression")
    predictions = archsearch.predict(bundles["regression"], new(bundles["regression"]), backend=backend, progress=False)
    scores = told(images, predictions)
    assert scores["mean_absolute_error"] < 15, "degrees, of -60 to 60"
    assert scores["r2"] > 0.6
    assert predictions.temperature is None and predictions.thresholds is None
    card = (bundles["regression"] / "MODEL_CARD.md").read_text()
    assert f"mean absolute error: {scores['mean_absolute_error']:.4g}" in card and "## Probabilities" not in card
    file = new(bundles["regression"]) / "0000.png"
    assert main(["predict", str(bundles["regression"]), str(file), "--json", "--backend", backend]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    assert list(answer["values"].values()) == pytest.approx(predictions.values[0].tolist(), rel=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_predict_py_says_the_same(task: str, bundles: dict[str, Path]) -> None:
    command = [sys.executable, "-E", str(bundles[task] / "predict.py"), str(new(bundles[task])), "--json", "--top", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=new(bundles[task]))
    predictions = archsearch.predict(bundles[task], new(bundles[task]), progress=False)
    answers = json.loads(done.stdout)
    assert len(answers) == len(predictions.files) > 100
    for answer, label in zip(answers, predictions.labels, strict=True):
        if task == "regression":
            assert list(answer["values"].values()) == pytest.approx(label, rel=1e-4, abs=1e-3)
        else:
            assert sorted(answer["labels"]) == sorted(label)


@pytest.mark.parametrize("task", TASKS)
def test_the_lines_of_the_card_run(task: str, bundles: dict[str, Path], monkeypatch, capsys) -> None:
    lines = (bundles[task] / "MODEL_CARD.md").read_text().partition("```python\n")[2].partition("```")[0]
    image = new(bundles[task]) / "0000.png"
    done = subprocess.run(
        [sys.executable, "-E", "-c", lines.replace("image.jpg", str(image))],
        capture_output=True, text=True, check=True, cwd=bundles[task],
    )  # fmt: skip
    predictions = archsearch.predict(bundles[task], image, progress=False)
    if task == "multi_label":
        assert sorted(eval(done.stdout)) == sorted(predictions.labels[0])
    else:
        assert list(eval(done.stdout).values()) == pytest.approx(predictions.labels[0], rel=1e-4)


def test_eight_bit_integers_are_refused(tmp_path: Path) -> None:
    images = task_images("regression")
    architecture = Architecture(input=images.shape, classes=1, stem=Stem(width=8), stages=(Stage(depth=1, width=8),))
    network = build(architecture).eval()
    with torch.no_grad(), pytest.raises(archsearch.InputError, match="--int8"):
        write_bundle(Origin(network=network, images=images), tmp_path / "b", lambda _: None, max_loss=1.0)
    assert list(tmp_path.iterdir()) == []

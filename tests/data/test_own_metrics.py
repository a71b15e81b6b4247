"""Metrics of a person's own: functions from Python, and in a file module:function where the command line allows it."""

import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from archsearch.analysis.floor import measure_floor
from archsearch.data import own_metrics
from archsearch.data.datasets import load_images
from archsearch.data.own_metrics import MetricFailed, checked, give, imported, recorded
from archsearch.reading.errors import InputError
from archsearch.sources import own
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from tests.training.nets import tiny


def kappa(outputs: np.ndarray, labels: np.ndarray) -> float:
    assert outputs.dtype == np.float32 and np.allclose(outputs.sum(1), 1, atol=1e-5) and labels.dtype == np.int64
    return float(cohen_kappa_score(labels, outputs.argmax(1)))


NAMED = {"kappa": f"{__name__}:kappa"}


def test_a_metric_of_ones_own_is_measured_in_every_epoch(monkeypatch):
    monkeypatch.setattr(own, "ALLOWED_CLASSES", set(NAMED.values()))
    images = load_images(DataSettings(limit=300, metrics=NAMED))
    assert images.digest == load_images(DataSettings(limit=300)).digest
    images = pickle.loads(pickle.dumps(images))
    training = Training(tiny(), images, TrainingSettings(epochs=2, batch_size=32, device="cpu"), seed=0)
    metrics = list(training)[-1]
    assert (
        metrics.to_dict()["validation_kappa"]
        == metrics.scores["kappa"]
        == pytest.approx(metrics.validation_accuracy, abs=0.2)
    )
    assert training.evaluate("test").to_dict()["kappa"] < 1


def test_a_file_names_code_only_where_it_is_allowed():
    with pytest.raises(InputError, match="--allow-source MODULE:FUNCTION") as error:
        load_images(DataSettings(metrics=NAMED))
    assert "kappa" not in str(error.value)
    assert load_images(DataSettings(metrics=NAMED, limit=60), measured=False).metrics == {}


@pytest.mark.parametrize("title", ["tests.no_module:kappa", f"{__name__}:NAMED"])
def test_what_is_no_function_is_refused(title, monkeypatch):
    monkeypatch.setattr(own, "ALLOWED_CLASSES", {title})
    with pytest.raises(InputError, match=r"functions \(outputs, labels\) -> number"):
        load_images(DataSettings(metrics={"kappa": title}))


@pytest.mark.parametrize("name", ["accuracy", "loss", "flops", "Kappa", "a b", "", 7])
def test_names_that_are_taken_or_no_names_are_refused(name):
    with pytest.raises(InputError, match="a metric of the name"):
        checked({name: kappa})
    assert checked(None) == {} and checked({"kappa": kappa})["kappa"].function is kappa


def test_a_lambda_reaches_another_process():
    metrics = checked({"first": lambda outputs, labels: float(outputs[0, 0] + labels[0])})
    restored = pickle.loads(pickle.dumps(metrics))
    assert restored["first"](np.array([[0.5]], np.float32), np.array([2])) == 2.5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda outputs, labels: outputs[0, 99],
            "raised IndexError: index 99 is out of bounds .*test_own_metrics.py, li",
        ),
        (lambda outputs, labels: outputs.sort(), "raised ValueError: sort array is read-only"),
        (lambda outputs, labels: None, "returned None; allowed: a number"),
        (lambda outputs, labels: "0.5", "returned '0.5'"),
        (lambda outputs, labels: outputs[:, 0], "returned array"),
        (lambda outputs, labels: 1e300, "returned 1e[+]300; allowed: numbers below"),
    ],
)
def test_what_goes_wrong_in_a_metric_is_told_before_anything_is_trained(function, message, monkeypatch):
    monkeypatch.setattr(own_metrics, "GIVEN", {})
    with pytest.raises(MetricFailed, match=f"the metric odd {message}"):
        load_images(DataSettings(limit=60, metrics=recorded({"odd": function})))


def test_functions_of_modules_are_recorded_by_name_and_others_have_to_be_given_again(monkeypatch):
    monkeypatch.setattr(own_metrics, "GIVEN", {})
    titles = recorded({"kappa": kappa, "half": partial(kappa), "first": lambda outputs, labels: 0.5})
    assert titles["kappa"] == NAMED["kappa"]
    assert titles["first"].startswith("from_python:first_") and titles["half"].startswith("from_python:half_")
    assert DataSettings(metrics=titles).metrics == titles
    assert imported(titles)["first"](np.zeros((1, 2), np.float32), np.zeros(1)) == 0.5, "this process was given it"
    own_metrics.GIVEN.clear()
    with pytest.raises(InputError, match="first is a function that was given in Python") as error:
        imported({"first": titles["first"]})
    assert 'resume(metrics={"first": function})' in str(error.value)
    with pytest.raises(InputError, match="the metric last; allowed: kappa, half, first"):
        give({"last": kappa}, titles)
    give({"first": lambda outputs, labels: 2}, titles)
    assert imported({"first": titles["first"]})["first"](np.zeros((1, 2), np.float32), np.zeros(1)) == 2


def test_a_worker_gets_the_code_of_a_module_that_it_cannot_import(tmp_path: Path, monkeypatch):
    (tmp_path / "measures.py").write_text("HALF = 0.5\ndef half(outputs, labels):\n    return helped()\ndef helped():\n"
                                          "    return HALF\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "ALLOWED_CLASSES", {"measures:half"})
    content = pickle.dumps(imported({"half": "measures:half"}))
    monkeypatch.delitem(sys.modules, "measures")
    (tmp_path / "measures.py").unlink()
    assert pickle.loads(content)["half"](np.zeros((1, 2), np.float32), np.zeros(1)) == 0.5
    damaged = own_metrics.ByValue("half", None, b"cno_such_module\nhalf\n.")
    with pytest.raises(MetricFailed, match="the metric half cannot be loaded by a worker: ModuleNotFoundError"):
        pickle.loads(pickle.dumps(damaged))(np.zeros((1, 2), np.float32), np.zeros(1))


def test_simple_models_are_measured_by_it_too():
    images = load_images(DataSettings(limit=200)).with_metrics(checked({"kappa": kappa}))
    floor = measure_floor(images, metric="kappa")
    assert floor.metric == "kappa" and floor.commonest_class == 0 < 0.5 < floor.logistic_regression

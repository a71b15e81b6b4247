"""Metrics of a person's own: functions from Python, and in a file module:function where the command line allows it."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from archsearch.data.datasets import load_images
from archsearch.data.own_metrics import checked
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


@pytest.mark.parametrize("title", ["tests.no_module:kappa", f"{__name__}:NAMED"])
def test_what_is_no_function_is_refused(title, monkeypatch):
    monkeypatch.setattr(own, "ALLOWED_CLASSES", {title})
    with pytest.raises(InputError, match=r"functions \(outputs, labels\) -> number"):
        load_images(DataSettings(metrics={"kappa": title}))


@pytest.mark.parametrize("name", ["accuracy", "loss", "Kappa", "a b", "", 7])
def test_names_that_are_taken_or_no_names_are_refused(name):
    with pytest.raises(InputError, match="a metric of the name"):
        checked({name: kappa})
    assert checked(None) == {} and checked({"kappa": kappa})["kappa"].function is kappa


def test_a_lambda_reaches_another_process():
    metrics = checked({"first": lambda outputs, labels: float(outputs[0, 0] + labels[0])})
    restored = pickle.loads(pickle.dumps(metrics))
    assert restored["first"](np.array([[0.5]], np.float32), np.array([2])) == 2.5

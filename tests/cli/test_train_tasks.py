"""`archsearch train` for several labels and for a regression, from the command line and from Python, on real digits."""

import json
from pathlib import Path

import numpy as np
import pytest

import archsearch
from archsearch.cli import main
from archsearch.data.arrays import collect
from tests.training.task_images import pairs_of_digits, rotated_digits

OPTIONS = ["--set", "training.device=cpu", "--set", "training.precision=float32", "--epochs", "2"]
GIVEN = {"multi_label": pairs_of_digits, "regression": rotated_digits}


@pytest.mark.parametrize(
    ("task", "shown", "classes"), [("multi_label", "mean average precision ", 5), ("regression", "R2 ", 1)]
)
def test_train_from_the_command_line(task, shown, classes, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    collect(GIVEN[task](300)).write(tmp_path / "arrays")
    assert main(["train", "resnet20_cifar", "--data", "arrays", "--root", "arrays", *OPTIONS, "--output", "out"]) == 0
    shown_lines = capsys.readouterr()
    assert f"resnet20_cifar: {shown}" in shown_lines.out and f"validation {shown}" in shown_lines.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["data"]["task"] == task and len(result["data"]["classes"]) == classes


def test_train_from_python(tmp_path: Path):
    images, angles = rotated_digits(300)
    trained = archsearch.train(
        "resnet20_cifar",
        data={"train": (images, angles), "classes": ["angle"]},
        training={"epochs": 3, "device": "cpu", "precision": "float32"},
        metrics={"worst": lambda outputs, labels: float(np.abs(outputs - labels).max())},
        folder=tmp_path / "out",
        progress=False,
    )
    assert trained.test_accuracy is None and trained.scores()["worst"] >= trained.scores()["mean_absolute_error"]
    assert trained.result["data"]["classes"] == ["angle"] and "R2 " in repr(trained)
    assert "validation_worst" in trained.metrics.columns
    outputs = trained.module().scores(np.zeros((2, *trained.architecture.input), np.float32))
    assert outputs.shape == (2, 1) and np.abs(outputs).max() < 1000

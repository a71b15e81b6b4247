"""Distillation: the outputs of a trained network beside the labels."""

from pathlib import Path

import pytest
import torch

from archsearch import Architecture, build
from archsearch.architecture.spec import Stage
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.checkpoint import weights_to_bytes
from archsearch.training.loop import Training
from archsearch.training.teaching import Teacher
from tests.training.nets import tiny

WORDS = Architecture(input=(1, 8, 8), stages=(Stage(depth=1, width=4, stride=1),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.yaml").write_text(WORDS.to_yaml())
    (tmp_path / "weights.safetensors").write_bytes(weights_to_bytes(build(WORDS, seed=3).state_dict()))
    return tmp_path


def test_the_loss_is_the_divergence_of_softened_probabilities() -> None:
    draws = torch.Generator().manual_seed(0)
    scores, taught = torch.randn(5, 3, generator=draws), torch.randn(5, 3, generator=draws)
    teacher = Teacher(tiny(), task="single_label", share=0.25, temperature=2.0)
    p, q = (taught / 2).softmax(1), (scores / 2).softmax(1)
    expected = 0.75 * 7.0 + 0.25 * 4 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(teacher.blended(torch.tensor(7.0), scores, taught), expected)
    labels = Teacher(tiny(), task="multi_label", share=1.0, temperature=2.0)
    p, q = (taught / 2).sigmoid(), (scores / 2).sigmoid()
    expected = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    torch.testing.assert_close(labels.blended(torch.tensor(7.0), scores, taught), expected)


def test_a_network_learns_from_its_teacher_alone(folder: Path) -> None:
    few = load_images(DataSettings(limit=100))
    words = {"epochs": 2, "batch_size": 20, "device": "cpu", "teacher": str(folder), "teacher_share": 1.0}
    same = Training(build(WORDS, seed=3), few, TrainingSettings(**words, learning_rate=1e-12, warmup=0), seed=0)
    same.model.eval()
    taught = Training(build(WORDS, seed=4), few, TrainingSettings(**words, learning_rate=0.05), seed=0)
    losses = [epoch.train_loss for epoch in taught]
    assert losses[1] < losses[0]
    plain = Training(build(WORDS, seed=4), few, TrainingSettings(**words | {"teacher_share": 0.0}), seed=0)
    without = Training(build(WORDS, seed=4), few, TrainingSettings(**words | {"teacher": None}), seed=0)
    assert [epoch.train_loss for epoch in plain] == [epoch.train_loss for epoch in without]


def test_a_teacher_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    few = load_images(DataSettings(limit=100))
    settings = TrainingSettings(device="cpu", teacher=str(folder / "none"))
    with pytest.raises(InputError, match=r"training.teacher: no trained network in .*archsearch train"):
        next(Training(tiny(), few, settings, seed=0))
    (folder / "model.yaml").write_text(WORDS.model_copy(update={"classes": 3}).to_yaml())
    with pytest.raises(InputError, match=r"the teacher takes images \(1, 8, 8\) of 3 classes"):
        next(Training(tiny(), few, TrainingSettings(device="cpu", teacher=str(folder)), seed=0))


def test_the_folder_is_known_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = TrainingSettings(teacher="big")
    assert settings.teacher == str(tmp_path / "big")
    assert settings.inert.isdisjoint({"teacher_share"})
    assert {"teacher_share", "teacher_temperature"} <= TrainingSettings().inert


def test_a_search_refuses_it_before_anything_starts(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "digits", "--set", "training.teacher=nowhere"]) == 2
    said = capsys.readouterr().err
    assert f"training.teacher: no trained network in {tmp_path / 'nowhere'}" in said and "starting Ray" not in said

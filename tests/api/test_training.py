"""archsearch.train: a real training, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

import archsearch
from archsearch import InputError

LABELS = np.arange(90) % 3
IMAGES = (80 * LABELS[:, None, None] + np.random.default_rng(0).integers(0, 40, (90, 8, 8))).astype(np.uint8)


def test_a_network_is_trained_on_arrays_and_is_ready(tmp_path: Path, capsys) -> None:
    data = {"train": (IMAGES, LABELS), "validation": (IMAGES[:30], LABELS[:30]), "test": (IMAGES[30:60], LABELS[30:60])}
    settings = {"training": {"recipe": "none", "learning_rate": 0.02, "precision": "float32"}, "progress": False}
    trained = archsearch.train("resnet20_cifar", data=data, epochs=2, batch_size=8, folder=tmp_path / "t", **settings)
    assert capsys.readouterr() == ("", "")
    assert trained.architecture.input == (1, 8, 8)
    assert trained.metrics.index.tolist() == [1, 2]
    assert trained.metrics["validation_accuracy"].iloc[-1] == trained.validation_accuracy > 0.5
    described = trained.result["data"]
    images = torch.from_numpy(IMAGES[30:60, None] / 255).float()
    mean, std = (torch.tensor(described[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    right = trained.module()((images - mean) / std).argmax(1) == torch.from_numpy(LABELS[30:60])
    assert right.float().mean().item() == pytest.approx(trained.test_accuracy)
    assert trained.weights().keys() == archsearch.build(trained.architecture).state_dict().keys()
    assert "resnet20_cifar" in repr(trained)
    with pytest.raises(InputError, match="already holds a trained network"):
        archsearch.train("resnet20_cifar", data=data, folder=tmp_path / "t")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "nowhere"}, "data is 'nowhere'"),
        ({"epochs": 0}, "training.epochs"),
        ({"seed": -1}, "seed is -1"),
        ({"training": {"optimiser": "sgd"}}, "optimiser"),
        ({"architecture": "resnet21"}, "resnet21"),
        ({"optimizer": "sgd"}, "the override 'optimizer'"),
    ],
)
def test_only_input_errors_come_of_bad_input(arguments: dict, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        archsearch.train(**{"architecture": "resnet20_cifar", "data": "digits", **arguments})
    assert list(tmp_path.iterdir()) == []

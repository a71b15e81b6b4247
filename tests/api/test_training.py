"""archsearch.train: a real training, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import archsearch
from archsearch import InputError, zoo
from archsearch.api.training import sized_as
from archsearch.space.settings import DataSettings
from archsearch.training.epoch import graph

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


def test_why_steps_are_not_replayed_is_told_and_recorded(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(graph, "replayable", lambda step: True)
    monkeypatch.setattr(graph, "FEWEST", 0)  # there is no graph on a CPU
    settings = {"training": {"recipe": "none", "precision": "float32"}, "folder": tmp_path / "t"}
    trained = archsearch.train("resnet8_cifar", data={"train": (IMAGES, LABELS)}, epochs=1, batch_size=16, **settings)
    assert trained.result["no_graph"] == "no CUDA graph on cpu"
    assert "kernels were launched one by one, without CUDA graphs: no CUDA graph on cpu\n" in capsys.readouterr().err


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


def test_a_network_of_its_own_size_is_trained_at_that_size_and_one_of_the_zoo_at_the_settings(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.fromarray(IMAGES[0]).save(tmp_path / "cats" / "1.png")
    winner, told = zoo.get("resnet20_cifar").model_copy(update={"input": (1, 24, 32), "name": "best"}), []
    data = DataSettings(name="folder", root=str(tmp_path))
    sized = sized_as(winner, data, told.append)
    assert (sized.size, sized.channels) == ((24, 32), 1)
    assert told == ["data.size: [24, 32], data.channels: 1, as the input of best (--set data.size=VALUE trains it with "
                    "another)"]  # fmt: skip
    square = winner.model_copy(update={"input": (3, 32, 32)})
    assert (sized_as(square, data, told.append).size, len(told)) == (32, 2)
    stated = DataSettings(name="folder", root=str(tmp_path), size=48, channels=3)
    np.save(tmp_path / "cats" / "2.npy", np.zeros((9, 9, 5), np.uint8))
    (tmp_path / "cats" / "1.png").unlink()
    arrays = sized_as(winner, data, told.append)
    assert (arrays.size, arrays.channels, told.pop()[:20]) == ((24, 32), "auto", "data.size: [24, 32],")
    for network, settings in ((winner, stated), (zoo.get("resnet18"), data), (winner, DataSettings())):
        assert sized_as(network, settings, told.append) == settings
    assert len(told) == 2


def test_a_module_is_built_of_any_name_and_of_a_file(tmp_path: Path) -> None:
    theirs = archsearch.build("torchvision:resnet18", seed=3)
    again = archsearch.build("torchvision:resnet18", seed=3)
    assert type(theirs).__module__.startswith("torchvision.")
    assert torch.equal(theirs.conv1.weight, again.conv1.weight)
    (tmp_path / "best.yaml").write_text(zoo.get("resnet20_cifar").to_yaml())
    ours = archsearch.build(tmp_path / "best.yaml")
    assert ours.state_dict().keys() == archsearch.build("resnet20_cifar").state_dict().keys()
    with pytest.raises(InputError, match="torchvision has no network 'resnet19'"):
        archsearch.build("torchvision:resnet19")

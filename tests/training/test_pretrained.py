"""Fine-tuning from real files: torchvision's, and those of `archsearch train`."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from archsearch import InputError, convert_weights, zoo
from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.network import build
from archsearch.network.pretrained import load_pretrained
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.checkpoint import weights_from_bytes
from archsearch.training.fit import train_architecture
from archsearch.training.loop import Training
from archsearch.training.pretrained import read_weights, start_from
from archsearch.training.run import TrainingRun
from tests.network.published import published

HEAD = ("head.linear1.weight", "head.linear1.bias")
NORMS = ("running_mean", "running_var", "num_batches_tracked")
SMALL = Architecture.from_dict({"name": "small", "input": [1, 8, 8], "stages": [{"depth": 2, "width": 16}]})


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Three classes of colour, 20 pictures each."""
    root, draws = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir()
        for number in range(20):
            pixels = draws.integers(0, 120, (32, 32, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(published("resnet18", "torchvision").state_dict(), file)
    return file


def tuned(capsys, images: Path, output: Path, *words: str) -> tuple[dict, dict[str, torch.Tensor]]:
    command = ["train", "resnet18", "--data", "folder", "--root", str(images), "--output", str(output), "--json"]
    command += ["--epochs", "1", "--batch-size", "16", "--set", "data.size=32", *words]
    code = main(command)
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out), weights_from_bytes((output / "weights.safetensors").read_bytes())


@pytest.mark.parametrize("freeze", ["none", "trunk", "bn"])
def test_torchvisions_weights_are_tuned_on_a_folder_and_what_is_frozen_stays(
    freeze: str, images: Path, resnet18: Path, tmp_path: Path, capsys
) -> None:
    result, after = tuned(capsys, images, tmp_path / "out", "--weights", str(resnet18), "--freeze", freeze)
    before = convert_weights(torch.load(resnet18, weights_only=True), "resnet18")
    fresh = build(zoo.get("resnet18").model_copy(update={"classes": 3})).state_dict()
    norms = {key for key in before if any(f".norm{n}." in key for n in (1, 2))}
    kept = {"none": set(), "trunk": before.keys() - set(HEAD), "bn": norms}[freeze]
    assert all(torch.equal(after[key], before[key]) for key in kept)
    learned = {key for key in before.keys() - kept - set(HEAD) if not key.endswith("num_batches_tracked")}
    assert all(not torch.equal(after[key], before[key]) for key in learned)
    assert all(after[key].shape == fresh[key].shape and not torch.equal(after[key], fresh[key]) for key in HEAD)
    assert result["start"]["source"] == "torchvision or timm"  # whose names and networks are the same
    assert (result["start"]["loaded"], result["start"]["replaced"]) == (len(before) - 2, list(HEAD))
    assert result["start"]["file"] == str(resnet18)
    frozen = sum(before[key].numel() for key in kept if not key.endswith(NORMS))
    count = len([key for key in norms if key.endswith("running_mean")])
    assert result["frozen"] == {"freeze": freeze, "parameters": frozen, "norms": 0 if freeze == "none" else count}


def test_weights_of_the_same_number_of_classes_keep_their_classifier(images: Path, tmp_path: Path, capsys) -> None:
    model = published("resnet18", "torchvision", num_classes=3)
    torch.save(model.state_dict(), tmp_path / "three.pth")
    words = ("--weights", str(tmp_path / "three.pth"), "--freeze", "trunk", "--learning-rate", "1e-12")
    result, after = tuned(capsys, images, tmp_path / "out", *words)
    assert result["start"]["replaced"] == []
    assert torch.allclose(after[HEAD[0]], model.fc.weight, atol=1e-6)


def test_weights_of_archsearch_train_start_where_they_ended(tmp_path: Path, capsys) -> None:
    words = ["train", "resnet20_cifar", "--data", "digits", "--set", "data.limit=300", "--json",
             "--set", "training.precision=float32"]  # fmt: skip
    assert main([*words, "--epochs", "2", "--batch-size", "32", "--output", str(tmp_path / "one")]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["start"] is None and first["frozen"]["parameters"] == 0
    file = tmp_path / "one" / "weights.safetensors"
    network = build(Architecture.from_yaml(tmp_path / "one" / "model.yaml"), seed=9)
    start = start_from(read_weights(file), network)
    assert (start["source"], start["replaced"], start["sha256"]) == ("archsearch", [], first["weights"]["sha256"])
    digits = load_images(DataSettings(limit=300))
    found = Training(network, digits, TrainingSettings(batch_size=32), seed=0)
    assert found.evaluate("test").to_dict() == first["test"]
    assert found.evaluate("validation").loss == first["validation"]["loss"]
    # Through the command line, with a rate that moves nothing: the epoch ends where the weights were.
    still = ["--epochs", "1", "--learning-rate", "1e-12", "--weights", str(file), "--freeze", "trunk"]
    assert main([*words, *still, "--output", str(tmp_path / "two")]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["test"]["accuracy"] == first["test"]["accuracy"]
    assert second["test"]["loss"] == pytest.approx(first["test"]["loss"], rel=1e-5)


def test_an_interrupted_tuning_goes_on_and_other_weights_do_not(tmp_path: Path) -> None:
    digits, settings = load_images(DataSettings(limit=300)), TrainingSettings(epochs=3, batch_size=32, device="cpu")
    files = []
    for seed in (1, 2):
        folder = tmp_path / f"start{seed}"
        run = TrainingRun(settings=settings.model_copy(update={"epochs": 1}), seed=seed)
        train_architecture(SMALL, digits, run, folder)
        files.append(folder / "weights.safetensors")

    def tune(folder: Path, file: Path, on_epoch=None) -> dict:
        run = TrainingRun(settings=settings.with_overrides({"freeze": "bn"}), seed=5, threads=1)
        return train_architecture(
            SMALL, digits, run, tmp_path / folder, weights=file, on_epoch=on_epoch, checkpoint_seconds=0
        )

    def stop(metrics) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune("cut", files[0], stop)
    seen: list[int] = []
    resumed = tune("cut", files[0], lambda metrics: seen.append(metrics.epoch))
    assert seen == [2, 3]
    assert resumed["weights"] == tune("whole", files[0])["weights"]
    with pytest.raises(KeyboardInterrupt):
        tune("other", files[0], stop)
    seen.clear()
    tune("other", files[1], lambda metrics: seen.append(metrics.epoch))
    assert seen == [1, 2, 3]


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def refused(file: Path, architecture: Architecture) -> str:
    with pytest.raises(InputError) as error:
        start_from(read_weights(file), build(architecture))
    assert str(error.value).startswith(f"{file}: ")
    return str(error.value)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, images: Path, capsys) -> None:
    file, made = tmp_path / "trap.pth", tmp_path / "made"
    file.write_bytes(saved({"conv1.weight": Trap(made)}))
    torch.load(file, weights_only=False)
    assert made.exists(), "a trap that does nothing"
    made.unlink()
    words = ["train", "resnet18", "--data", "folder", "--root", str(images), "--set", "data.size=32"]
    assert main([*words, "--weights", str(file), "--output", str(tmp_path / "out")]) == 2
    assert "contains more than tensors; it was not executed" in capsys.readouterr().err
    assert not made.exists() and not (tmp_path / "out").exists()


def test_files_that_are_no_weights_are_refused(tmp_path: Path, resnet18: Path) -> None:
    whole = resnet18.read_bytes()
    files = {
        "absent.pth": (None, "No such file"),
        "cut.pth": (whole[: len(whole) // 2], "damaged"),
        "empty.pth": (b"", "damaged"),
        "text.pth": (b"weights\n" * 100, "damaged"),
        "whole_model.pth": (saved({"model": {"fc.weight": torch.zeros(1)}}), "not a state dict of tensors"),
        "list.pth": (saved([1, 2]), "contains list"),
        "cut.safetensors": (b"\xff" * 100, "not a safetensors file"),
        "weights.h5": (b"", "the suffix '.h5'"),
        "nobody.pth": (saved({"layer.weight": torch.zeros(1)}), "no tensors with known names .*layer.weight"),
    }
    for name, (data, said) in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            start_from(read_weights(tmp_path / name), build("resnet18"))
        refused(tmp_path / name, zoo.get("resnet18"))


def test_weights_of_another_network_are_refused_by_their_file(tmp_path: Path, resnet18: Path) -> None:
    assert "unexpected" not in refused(resnet18, zoo.get("resnet34"))
    assert "80 missing (layer1.2.conv1.weight, " in refused(resnet18, zoo.get("resnet34"))
    file = tmp_path / "resnet34.pth"
    torch.save(published("resnet34", "torchvision").state_dict(), file)
    assert "unexpected (layer1.2.bn1.bias, " in refused(file, zoo.get("resnet18"))
    # The same names and shapes, another stride or shortcut: nothing would fail, and nothing would be right.
    assert "no network that is equivalent to resnet18_option_a" in refused(resnet18, zoo.get("resnet18_option_a"))
    grey = zoo.get("resnet18").model_copy(update={"input": (1, 28, 28)})
    assert "takes images of 3 channels, but the data has 1" in refused(resnet18, grey)
    own = tmp_path / "own.pth"
    torch.save(build("resnet20_cifar").state_dict(), own)
    assert "missing (stage1.block4.branch.conv1.weight, " in refused(own, zoo.get("resnet32_cifar"))


@pytest.mark.parametrize(
    ("name", "zoo_name", "depth", "block", "source"),
    [
        ("resnet26", "resnet50", 2, {}, "timm"),
        ("resnet50", "resnet50", None, {}, "torchvision or timm"),
        ("seresnet50", "resnet50", None, {"attention": "se"}, "timm"),
    ],
)
def test_weights_fit_by_their_structure_whatever_the_network_is_called(
    name: str, zoo_name: str, depth: int | None, block: dict, source: str
) -> None:
    data = zoo.get(zoo_name).to_dict() | {"name": "mine"}
    for stage in data["stages"]:
        stage |= {"depth": depth or stage["depth"], "block": stage["block"] | block}
    theirs, ours = published(name, "timm"), build(Architecture.from_dict(data))
    start = load_pretrained(ours, theirs.state_dict())
    assert (start.source, start.replaced) == (source, ())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs.eval()(images)
        assert (ours.eval()(images) - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"stride_at": "conv1x1"}, "ResNet: stage 1: stride_at: conv1x1; allowed: conv3x3"),
        ({"branch_scale": 0.5}, "ResNet: stage 1: branch_scale: 0.5; allowed: 1.0"),
        ({"activation": "relu_before_addition"}, "activation: relu_before_addition; allowed: post"),
    ],
)
def test_the_same_tensors_in_another_function_are_refused_by_the_word_that_differs(changed: dict, problem: str) -> None:
    data = zoo.get("resnet50").to_dict() | {"name": "mine"}
    for stage in data["stages"]:
        stage["block"] |= changed
    with torch.device("meta"):
        state = timm.create_model("resnet50", pretrained=False).state_dict()
    with pytest.raises(InputError, match=re.escape(problem)) as error:
        load_pretrained(build(Architecture.from_dict(data)), state)
    assert "torchvision or timm, whose names these are" in str(error.value)


def test_freezing_without_weights_is_refused(tmp_path: Path, capsys) -> None:
    words = ["train", "resnet20_cifar", "--data", "digits", "--freeze", "trunk", "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert "--freeze: trunk without initial weights; allowed: none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

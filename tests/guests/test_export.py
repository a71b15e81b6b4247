"""A trained guest taken elsewhere: a bundle without source of ours, single formats, predictions of new images."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from archsearch.cli import main
from archsearch.export import formats
from archsearch.guests.building import parameters_of
from archsearch.guests.either import build, cost, described, params, parsed
from archsearch.guests.guest import Guest
from archsearch.reading.errors import InputError
from archsearch.zoo import get

GUEST = Guest(guest="torchvision:mobilenet_v3_small", input=(1, 8, 8), classes=10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `archsearch train` writes of a guest."""
    folder = tmp_path_factory.mktemp("guest") / "net"
    words = ["train", "torchvision:mobilenet_v3_small", "--data", "digits", "--epochs", "1", "--set", "data.limit=200"]
    assert main([*words, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Path:
    output = trained.parent / "bundle"
    weights = str(trained / "weights.safetensors")
    assert main(["export", str(trained / "model.yaml"), "--weights", weights, "-o", str(output)]) == 0
    return output


def test_a_bundle_of_a_guest_has_its_weights_and_what_torch_exports_and_no_source_of_ours(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert sorted(manifest["files"]) == [
        "MODEL_CARD.md", "model.onnx", "model.pt2", "model.yaml", "preprocessing.json", "weights.safetensors"
    ]  # fmt: skip
    assert {each["format"] for each in manifest["parity"]} == {"onnx", "torch-export"}
    assert all(each["kept"] for each in manifest["parity"])
    assert manifest["name"] == GUEST.name and manifest["digest"] == GUEST.digest
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "# torchvision mobilenet_v3_small" in card and "guest: torchvision " in card
    assert "code of archsearch" not in card and "predict.py" not in card and "model.py" not in card


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_new_images_are_predicted_by_a_guests_bundle(bundle: Path, backend: str, tmp_path, capsys) -> None:
    file = tmp_path / "digit.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(file)
    assert main(["predict", str(bundle), str(file), "--backend", backend, "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["predictions"]
    read = json.loads((bundle / "preprocessing.json").read_text())
    pixels = (np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8) * 4 / 255 - read["mean"][0]) / read["std"][0]
    session = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    scores = torch.from_numpy(session.run(None, {"images": pixels.astype(np.float32)})[0]).softmax(1)[0]
    assert answer["label"] == read["labels"][int(scores.argmax())]
    assert answer["probability"] == pytest.approx(scores.max().item(), abs=1e-4)


def test_one_format_alone_is_written_and_config_and_source_are_refused(trained: Path, tmp_path, capsys) -> None:
    words = ["export", str(trained / "model.yaml"), "--weights", str(trained / "weights.safetensors")]
    assert main([*words, "-o", str(tmp_path / "net.pt2"), "--format", "torch-export"]) == 0
    assert (tmp_path / "net.pt2").stat().st_size > 4 * cost(GUEST).params
    for form in ("config", "python"):
        assert main([*words, "--format", form]) == 2
        error = capsys.readouterr().err
        assert f"is a module of torchvision: archsearch has no {form} of it" in error
        assert "bundle, onnx, torch-export" in error


def test_what_no_exporter_takes_is_left_out_of_a_bundle_with_its_reason(trained: Path, monkeypatch, tmp_path, capsys):
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("an operator that has no form\nand more")

    monkeypatch.setattr(torch.onnx, "export", fails)
    words = ["export", str(trained / "model.yaml"), "--weights", str(trained / "weights.safetensors")]
    assert main([*words, "--format", "onnx", "-o", str(tmp_path / "net.onnx")]) == 2
    assert "cannot be exported so: an operator that has no form" in capsys.readouterr().err
    assert main([*words, "-o", str(tmp_path / "bundle")]) == 0
    assert "onnx is left out: torchvision:mobilenet_v3_small cannot" in capsys.readouterr().err
    files = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["files"]
    assert "model.pt2" in files and "model.onnx" not in files


def test_a_fault_in_the_export_of_our_own_network_is_no_bad_input(monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(torch.export, "export", fails)
    with pytest.raises(RuntimeError):
        formats.program(build(get("resnet20_cifar")))
    with pytest.raises(InputError, match="a fault"):
        formats.program(build(GUEST))


def test_a_module_knows_what_it_was_built_from_and_its_parameters_are_counted_without_memory() -> None:
    assert described(build(GUEST)) == GUEST
    ours = get("resnet20_cifar")
    assert described(build(ours)) == ours and params(ours) == cost(ours).params
    assert parameters_of(GUEST) == cost(GUEST).params == sum(p.numel() for p in build(GUEST).parameters())
    computed = Guest(guest="torchvision:regnet_y_400mf", input=(3, 32, 32), classes=10)  # its widths, by torch
    assert parameters_of(computed) == 3_903_144 + 10 * 441  # without the classifier, and with it


def test_a_bundle_that_names_a_larger_network_than_its_weights_is_refused(bundle: Path, tmp_path, capsys) -> None:
    other = tmp_path / "bundle"
    shutil.copytree(bundle, other)
    text = parsed({"guest": "torchvision:vgg16_bn", "input": [1, 32, 32], "classes": 10}).to_yaml()
    (other / "model.yaml").write_text(text)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["files"]["model.yaml"]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (other / "manifest.json").write_text(json.dumps(manifest))
    image = tmp_path / "digit.png"
    Image.new("L", (8, 8)).save(image)
    assert main(["predict", str(other), str(image)]) == 2
    assert "more parameters than its weights" in capsys.readouterr().err

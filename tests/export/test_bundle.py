"""A bundle from a real search: complete, checked, read back by others; and what is refused."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from archsearch import Architecture, zoo
from archsearch.architecture.canonical import digest
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.export import bundle, parity
from archsearch.export.card import preprocessing
from archsearch.export.fresh import fresh
from archsearch.export.origin import Origin
from archsearch.network import build
from archsearch.space.settings import DataSettings
from archsearch.training.calibration import calibrate
from archsearch.training.checkpoint import weights_to_bytes
from tests.search.local import finished


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return finished(tmp_path_factory.mktemp("searched"), "search.trials=2", "training.epochs=2")


@pytest.fixture(scope="module")
def made(experiment: ExperimentFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bundle") / "bundle"
    assert main(["export", str(experiment.path), "-o", str(place), "--json"]) == 0
    return place


def test_the_manifest_has_every_file_and_its_hash(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    there = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "manifest.json"}
    assert {"model.yaml", "model.py", "model.onnx", "model.pt2", "weights.safetensors", "MODEL_CARD.md"} <= there
    for name, entry in manifest["files"].items():
        content = (made / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])
    assert list(made.parent.glob(".*")) == []


def test_every_format_agrees_on_the_whole_validation_split(made: Path) -> None:
    found = json.loads((made / "manifest.json").read_text())["parity"]
    assert [each["format"] for each in found] == ["python", "onnx", "torch-export"]
    for each in found:
        assert each["kept"] and each["difference"] < 1e-4 and each["other_top1"] == 0
        assert (each["images"], each["of"]) == (431, "validation split of digits")


def test_the_config_is_read_back(made: Path, experiment: ExperimentFolder, capsys) -> None:
    network = Architecture.from_yaml(made / "model.yaml")
    with Ledger.read(experiment.ledger) as ledger:
        assert digest(network) == ledger.best().digest
    capsys.readouterr()
    assert main(["profile", str(made / "model.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == digest(network)
    build(network).load_state_dict(load_file(made / "weights.safetensors"))


def test_labels_preprocessing_and_card(made: Path) -> None:
    said = json.loads((made / "preprocessing.json").read_text())
    assert said["labels"] == list("0123456789") and said["size"] == {"channels": 1, "height": 8, "width": 8}
    assert 0 < said["mean"][0] < 1 and 0 < said["std"][0] < 1
    assert said["resize"] is None  # digits come at their size
    card = (made / "MODEL_CARD.md").read_text()
    for words in ("95 % interval", "MACs", "FLOPs", "flops <= 120k", "`digits`, digest", "quartiles", "Apache-2.0"):
        assert words in card


def test_probabilities_are_calibrated_on_the_validation_split(made: Path) -> None:
    written = json.loads((made / "preprocessing.json").read_text())["calibration"]
    assert written == json.loads((made / "manifest.json").read_text())["calibration"]
    images = load_images(DataSettings(name="digits", limit=200, validation=0.3))
    mean, std = (np.array(each).reshape(-1, 1, 1) for each in (images.mean, images.std))
    pixels = torch.tensor(((images.validation.images / 255 - mean) / std).astype("float32"))
    network = build(Architecture.from_yaml(made / "model.yaml"))
    network.load_state_dict(load_file(made / "weights.safetensors"))
    scores = network.scores(pixels.numpy())
    found = calibrate(scores, images.validation.labels)
    assert (written["split"], written["images"]) == ("validation", len(images.validation)) == ("validation", 431)
    assert written["temperature"] == pytest.approx(found.temperature, rel=1e-4) and written["temperature"] != 1
    error = written["expected_calibration_error"]
    assert error["before"] == pytest.approx(found.error_before, abs=1e-4)
    card = (made / "MODEL_CARD.md").read_text()
    assert f"{100 * error['before']:.2f} % without it, {100 * error['after']:.2f} % with it" in card


def test_each_page_lists_the_files_of_its_folder(made: Path) -> None:
    for page, folder in ((made / "MODEL_CARD.md", made), (made / "huggingface" / "README.md", made / "huggingface")):
        listed = set(re.findall(r"^- `([^`]+)`:", page.read_text().partition("## Files")[2], re.MULTILINE))
        there = {path.name + "/" * path.is_dir() for path in folder.iterdir()}
        assert listed == there - {page.name}


def test_an_image_is_read_as_preprocessing_json_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in "ab":
        (tmp_path / "images" / kind).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 255, (61, 97, 3)).astype("uint8")).save(
                tmp_path / "images" / kind / f"{number}.png"
            )
    images = load_images(DataSettings(name="folder", root=str(tmp_path / "images"), size=16))
    shape = {"input": (3, 16, 16), "classes": 2}
    network = fresh(zoo.get("resnet20_cifar").model_copy(update=shape))
    written = preprocessing(Origin(network=network, images=images))
    resize = written["resize"]
    assert resize["library"] == "Pillow" and resize["antialias"] and resize["crop"] == "center"
    with Image.open(tmp_path / "images" / "a" / "0.png") as file:
        scale = resize["shorter_side"] / min(file.size)
        width, height = (round(side * scale) for side in file.size)
        resized = file.convert("RGB").resize((width, height), Image.Resampling[resize["interpolation"].upper()])
    side = written["size"]["width"]
    left, top = (width - side) // 2, (height - side) // 2
    pixels = np.asarray(resized.crop((left, top, left + side, top + side)))
    every = np.concatenate([images.train.images, images.validation.images, images.test.images])
    assert any(np.array_equal(pixels.transpose(2, 0, 1), other) for other in every)
    assert len(written["mean"]) == len(written["std"]) == 3


def test_it_is_ready_for_the_hugging_face_hub_offline(made: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from hub import Model
from model import load
images = torch.randn(2, 1, 8, 8)
hub, plain = Model.from_pretrained(sys.argv[1]), load(sys.argv[1] + "/model.safetensors")
assert not hub.training
with torch.no_grad():
    assert torch.equal(hub(images), plain(images))
print("equal")
"""
    words = [sys.executable, "-I", "-B", "-c", code, str(made / "huggingface")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"HF_HUB_OFFLINE": "1"})
    assert done.stdout.strip().endswith("equal"), done.stderr[-1000:]


def network_of(experiment: ExperimentFolder) -> Architecture:
    with Ledger.read(experiment.ledger) as ledger:
        return Architecture.from_dict(dict(ledger.best().architecture))


def test_a_mismatch_is_an_error_and_leaves_nothing(experiment, tmp_path: Path, monkeypatch, capsys) -> None:
    right, end = bundle.source, "return self.head(x)"
    monkeypatch.setattr(bundle, "source", lambda network: right(network).replace(end, f"{end} + 1e-3"))
    for words in (["-o", str(tmp_path / "bundle")], ["--format", "python", "-o", str(tmp_path / "model.py")]):
        assert main(["export", str(experiment.path), *words]) == 1
        assert "max difference 0.001" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_model_py_that_imports_archsearch_is_found(experiment, tmp_path: Path) -> None:
    network = fresh(network_of(experiment))
    (tmp_path / "model.py").write_text("import archsearch\n" + bundle.source(network.architecture))
    (tmp_path / "w.safetensors").write_bytes(weights_to_bytes(network.state_dict()))
    with pytest.raises(parity.ParityLost, match="archsearch is neither torch's nor Python's own"):
        parity.by_python(tmp_path / "model.py", tmp_path / "w.safetensors", torch.zeros(1, 1, 8, 8))


def refusal(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(["export", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    return said.err


def test_what_is_refused(experiment, made: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    assert "holds other files" in refusal(capsys, str(experiment.path), "-o", str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"
    (tmp_path / "link").symlink_to(made)
    assert "a link" in refusal(capsys, str(experiment.path), "-o", str(tmp_path / "link"))
    assert "has no weights" in refusal(capsys, "resnet20_cifar", "-o", str(tmp_path / "b"))
    assert "onnx cannot be printed" in refusal(capsys, "resnet20_cifar", "--format", "onnx")
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(weights_to_bytes(fresh(zoo.get("resnet20_cifar")).state_dict()))
    words = ["--weights", str(weights), "--format", "python"]
    assert "not the weights" in refusal(capsys, "resnet32_cifar", *words)
    assert "weights of its own" in refusal(capsys, str(experiment.path), *words)
    from archsearch.export import formats

    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    said = refusal(capsys, str(experiment.path), "-o", str(tmp_path / "b"))
    assert 'pip install "archsearch[export]"' in said
    assert not (tmp_path / "b").exists()


def test_a_network_whose_scores_are_in_their_ten_thousands_is_exported_though_float32_rounds_them(
    tmp_path: Path, capsys
) -> None:
    network = build("resnet20_cifar", seed=1)
    state = network.state_dict()
    state["head.linear1.weight"] *= 1e5
    (tmp_path / "weights.safetensors").write_bytes(weights_to_bytes(state))
    words = ["export", "resnet20_cifar", "--weights", str(tmp_path / "weights.safetensors"), "-o"]
    assert main([*words, str(tmp_path / "bundle")]) == 0, capsys.readouterr().err

"""What `archsearch train` has left in a folder, exported with the images of that training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archsearch
from archsearch import Architecture
from archsearch.api.parents import parent_of
from archsearch.architecture.spec import Stage, Stem
from archsearch.cli import main
from archsearch.export.card import preprocessing
from archsearch.export.origin import of_file
from archsearch.export.trained import data_settings, result_beside, training_folder
from archsearch.space.settings import DataSettings

NETWORK = Architecture(
    input=(1, 10, 16), classes=2, stem=Stem(width=8), stages=(Stage(depth=1, width=8),), name="small"
)  # fmt: skip
SETTINGS = {"recipe": "none", "learning_rate": 0.05, "precision": "float32", "batch_size": 8, "epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/, by a relative path, and trained/, a network that was trained on them."""
    top = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    for label in ("dark", "light"):
        (top / "photos" / label).mkdir(parents=True)
        for number in range(24):
            pixels = rng.integers(0, 128, (12, 20)) + 127 * (label == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(top / "photos" / label / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        data = {"name": "folder", "root": "photos", "fit": "pad"}
        archsearch.train(NETWORK, data=data, folder="trained", training=SETTINGS, progress=False)
    return top


def exported(capsys, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    return main(["export", *arguments]), capsys.readouterr().err


def test_its_bundle_is_calibrated_on_its_images(folder: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(folder / "trained", tmp_path / "trained")
    output, source = tmp_path / "bundle", tmp_path / "trained" / "model.yaml"
    result = json.loads((folder / "trained" / "result.json").read_text())
    began = {"origin": "SMALL of lib 1.0, https://weights.example/`small`.pth", "licence": "mit"}
    (tmp_path / "trained" / "result.json").write_text(json.dumps({**result, "start": {"file": "x", **began}}))
    code, messages = exported(capsys, str(source), "-o", str(output), "--int8", "--max-loss", "100")
    assert code == 0, messages
    manifest = json.loads((output / "manifest.json").read_text())
    read = json.loads((output / "preprocessing.json").read_text())
    assert manifest["int8"]["calibrated_on"] == 35
    assert manifest["calibration"]["images"] == manifest["parity"][0]["images"] == 6
    assert (read["form"], read["mean"], read["labels"]) == (
        result["data"]["form"], result["data"]["mean"], ["dark", "light"]
    )  # fmt: skip
    assert read["form"]["fit"] == "pad" and read["size"] == {"channels": 1, "height": 10, "width": 16}
    card = (output / "MODEL_CARD.md").read_text()
    assert "6 validation" in card and manifest["began"] == [began]
    assert "- `SMALL of lib 1.0, https://weights.example/small.pth`, licence: `mit`" in card.partition("## Licence")[2]
    parent = parent_of(output, tell=lambda _: None)
    assert (parent.licence, parent.origin) == ("mit", f"the bundle bundle, which began with {began['origin']}")
    assert parent.normalization == (tuple(result["data"]["mean"]), tuple(result["data"]["std"]))
    weights = (folder / "trained" / "weights.safetensors").read_bytes()
    assert len((output / "weights.safetensors").read_bytes()) == pytest.approx(len(weights), rel=0.1)


def test_single_files_have_its_weights(folder: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "w.safetensors"
    code, _ = exported(capsys, str(folder / "trained"), "--format", "safetensors", "-o", str(file))
    assert code == 0 and file.read_bytes() == (folder / "trained" / "weights.safetensors").read_bytes()
    assert exported(capsys, str(folder / "trained"), "--format", "safetensors")[0] == 2
    code, messages = exported(capsys, str(folder / "trained"), "--format", "torch-export", "-o", str(tmp_path / "m"))
    assert code == 0 and "untrained" not in messages and "6 images" in messages


def test_images_that_are_gone_or_others(folder: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(folder / "trained", tmp_path / "trained")
    shutil.copytree(folder / "photos", tmp_path / "moved")
    result = json.loads((folder / "trained" / "result.json").read_text())
    result["data"]["settings"]["root"] = str(tmp_path / "gone")
    (tmp_path / "trained" / "result.json").write_text(json.dumps(result))
    network, weights = Architecture.from_yaml(tmp_path / "trained" / "model.yaml"), tmp_path / "trained"
    told: list[str] = []
    without = of_file(network, weights / "weights.safetensors", tell=told.append)
    assert without.images is None and told == ["note: without the images of the training: data.root: no such folder"]
    assert preprocessing(without)["mean"] == result["data"]["mean"]
    export = (str(tmp_path / "trained"), "--int8", "-o", str(tmp_path / "model.onnx"))
    assert "use --root DIR if the data was moved" in exported(capsys, *export)[1]
    moved = of_file(network, weights / "weights.safetensors", root=tmp_path / "moved", images_required=True)
    assert moved.images is not None
    (tmp_path / "moved" / "dark" / "0.png").unlink()
    code, messages = exported(capsys, *export, "--root", str(tmp_path / "moved"))
    assert code == 2 and "other images than those of the training" in messages
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_no_training_of_that_network(folder: Path, tmp_path: Path, capsys) -> None:
    assert training_folder(folder) is None and training_folder("resnet20_cifar") is None
    shutil.copytree(folder / "trained", tmp_path / "trained")
    other = NETWORK.model_copy(update={"stages": (Stage(depth=2, width=8),)})
    (tmp_path / "trained" / "model.yaml").write_text(other.to_yaml())
    assert result_beside(tmp_path / "trained" / "weights.safetensors", other) == {}
    code, messages = exported(capsys, str(tmp_path / "trained"), "--int8", "-o", str(tmp_path / "bundle"))
    assert code == 2 and "no training images to calibrate" in messages and "`archsearch train` wrote" in messages
    assert data_settings({"data": {"settings": {"name": "folder", "size": "large"}}}, None) is None


def test_settings_are_read_back_as_they_were() -> None:
    settings = DataSettings.model_validate({
        "name": "table", "file": "/data/labels.csv", "size": (48, 64), "range": (0.0, 2.5), "channels": 5,
        "validation": {"folds": 3}, "bits": 16, "columns": {"label": "kind"}, "limit": 100, "in_memory": True,
    })  # fmt: skip
    written = json.loads(json.dumps(settings.anchored().model_dump(mode="json")))
    assert data_settings({"data": {"settings": written}}, None) == settings

"""Images that no search has seen, answered by a bundle and by an experiment: the same, by every way."""

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import archsearch
from archsearch.cli import main
from archsearch.data.decoding import decode
from archsearch.data.form import ImageForm
from archsearch.experiment import ExperimentFolder
from archsearch.export import scoring
from archsearch.network import build
from archsearch.reading.errors import InputError
from archsearch.training.feeds.feed import DeviceFeed
from tests.export.photographs import searched, write_digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/, a finished search on them (experiment/), its bundle/, and new/ images."""
    folder = tmp_path_factory.mktemp("predicted")
    write_digits(folder / "images")
    experiment = searched(folder)
    assert main(["export", str(experiment.path), "-o", str(folder / "bundle")]) == 0
    write_digits(folder / "new", each=20, first=40)
    return folder


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(folder / "bundle", tmp_path / "bundle"))


@pytest.fixture
def experiment(folder: Path, tmp_path: Path) -> ExperimentFolder:
    """A copy, to be changed, of which no preprocessing was kept."""
    copy = ExperimentFolder(Path(shutil.copytree(folder / "experiment", tmp_path / "experiment")))
    copy.preprocessing.unlink(missing_ok=True)
    return copy


def document(capsys, *arguments: object, code: int = 0) -> dict:
    capsys.readouterr()
    assert main(["predict", *map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments: object) -> str:
    capsys.readouterr()
    assert main(["predict", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    return said.err


def by_hand(bundle: Path, files: list[str]) -> np.ndarray:
    """Calibrated probabilities from the weights and preprocessing.json, one image at a time."""
    known = json.loads((bundle / "preprocessing.json").read_text())
    network = build(archsearch.Architecture.from_yaml(bundle / "model.yaml"))
    network.load_state_dict(load_file(bundle / "weights.safetensors"))
    form = ImageForm(channels=3, height=16, width=16)
    mean, std = (torch.tensor(known[name]).view(3, 1, 1) for name in ("mean", "std"))
    rows = []
    for file in files:
        pixels = torch.tensor(np.ascontiguousarray(decode(Path(file), form, file))) / 255
        with torch.no_grad():
            scores = network.eval()(((pixels - mean) / std)[None])
        rows.append(torch.softmax(scores / known["calibration"]["temperature"], 1)[0].numpy())
    return np.array(rows)


def test_a_bundle_answers_as_its_network_does(folder: Path, capsys) -> None:
    told = document(capsys, folder / "bundle", folder / "new", "--top", 9)
    files = [each["file"] for each in told["predictions"]]
    assert files == sorted(map(str, (folder / "new").rglob("*.*"))) and len(files) == 80
    assert (told["files"], told["failed"], told["task"]) == (80, 0, "single_label")
    assert told["classes"] == ["one", "three", "two", "zero"]
    expected = by_hand(folder / "bundle", files)
    for each, row in zip(told["predictions"], expected, strict=True):
        assert each["label"] == told["classes"][row.argmax()]
        assert [entry["probability"] for entry in each["top"]] == pytest.approx(sorted(row, reverse=True), abs=1e-5)
    right = [Path(each["file"]).parent.name == each["label"] for each in told["predictions"]]
    assert np.mean(right) > 0.7, "it has learnt something"


def test_probabilities_are_those_of_the_temperature(bundle: Path, folder: Path) -> None:
    rewritten(bundle, calibration={"temperature": 2.5})
    found = archsearch.predict(bundle, folder / "new", progress=False)
    assert found.temperature == 2.5
    assert np.abs(found.values - by_hand(bundle, list(found.files))).max() < 1e-5


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_torch_onnxruntime_and_the_experiment_agree(backend: str, folder: Path) -> None:
    one = archsearch.predict(folder / "bundle", folder / "new", backend=backend, progress=False)
    assert np.abs(one.values - by_hand(folder / "bundle", list(one.files))).max() < 1e-5
    experiment = archsearch.open(folder / "experiment")
    other = experiment.predict([folder / "new"], progress=False)
    assert other.files == one.files and other.classes == one.classes
    assert np.abs(one.values - other.values).max() < 1e-5
    assert other.temperature == pytest.approx(one.temperature, rel=1e-3)
    assert archsearch.predict(experiment, folder / "new", progress=False).labels == one.labels


def test_an_experiment_measures_its_preprocessing_once(experiment, folder: Path, monkeypatch, capsys) -> None:
    image = folder / "new" / "two" / "001.jpg"
    first = document(capsys, experiment.path, image)
    kept = experiment.preprocessing.read_text()
    monkeypatch.setattr(
        "archsearch.export.origin.load_images", lambda *_, **__: pytest.fail("the images are read again")
    )
    assert document(capsys, experiment.path, image) == first
    assert experiment.preprocessing.read_text() == kept
    weights = experiment.weights(1)
    assert json.loads(kept)["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_the_test_split_is_not_looked_at(experiment, folder: Path, tmp_path: Path, monkeypatch) -> None:
    splits, evaluation = [], DeviceFeed.evaluation
    monkeypatch.setattr(
        DeviceFeed, "evaluation", lambda self, *words: splits.append(words[0]) or evaluation(self, *words)
    )
    assert main(["predict", str(experiment.path), str(folder / "new" / "two" / "001.jpg")]) == 0
    assert main(["export", str(experiment.path), "-o", str(tmp_path / "bundle")]) == 0
    assert splits == ["validation", "validation"]


@pytest.mark.parametrize("damage", ["", "{}", '{"weights": "of another", "preprocessing": {}}'])
def test_what_was_kept_of_other_weights_is_measured_again(damage: str, experiment, folder: Path, capsys) -> None:
    image = folder / "new" / "two" / "001.jpg"
    first = document(capsys, experiment.path, image)
    experiment.preprocessing.write_text(damage)
    assert document(capsys, experiment.path, image) == first


def test_the_images_of_an_experiment_may_have_moved(experiment, folder: Path, tmp_path: Path, capsys) -> None:
    text = experiment.space_yaml.read_text()
    experiment.space_yaml.write_text(text.replace(str(folder / "images"), str(tmp_path / "gone")))
    image = folder / "new" / "two" / "001.jpg"
    assert "use --root DIR" in refusal(capsys, experiment.path, image)
    assert document(capsys, experiment.path, image, "--root", folder / "images")["failed"] == 0
    assert document(capsys, experiment.path, image)["failed"] == 0, "from now on without the images"


def test_broken_files_are_named_and_the_rest_is_answered(folder: Path, tmp_path: Path, capsys) -> None:
    good = folder / "new" / "one" / "002.jpg"
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:200])
    (tmp_path / "text.png").write_text("no image")
    words = [tmp_path / "cut.jpg", good, tmp_path / "text.png", tmp_path / "missing.jpg", good]
    told = document(capsys, folder / "bundle", *words, code=1)
    assert (told["files"], told["failed"]) == (5, 3)
    assert [("error" in each, each["file"]) for each in told["predictions"]] == [
        (number in (0, 2, 3), str(word)) for number, word in enumerate(words)
    ]
    whole = document(capsys, folder / "bundle", good)["predictions"][0]
    for number in (1, 4):
        answer = told["predictions"][number]
        assert answer["label"] == whole["label"] and answer["probability"] == pytest.approx(
            whole["probability"], abs=1e-5
        )
    assert main(["predict", str(folder / "bundle"), *map(str, words)]) == 1
    said = capsys.readouterr()
    assert "3 of 5 files could not be read" in said.err and f"{tmp_path / 'missing.jpg'}: " in said.err
    assert "missing.jpg" not in said.out and said.out.count(str(good)) == 2


def test_csv_and_a_file_of_it(folder: Path, tmp_path: Path, capsys) -> None:
    good, output = folder / "new" / "one" / "002.jpg", tmp_path / "out.csv"
    (tmp_path / "a,b.png").write_text("no image")
    arguments = [str(folder / "bundle"), str(good), str(tmp_path / "a,b.png"), "--csv", "--top", "2", "-o", str(output)]
    assert main(["predict", *arguments]) == 1
    assert capsys.readouterr().out == ""
    first, second = csv.DictReader(io.StringIO(output.read_text()))
    told = document(capsys, folder / "bundle", good)["predictions"][0]
    assert (first["file"], first["label"], first["label_1"], first["error"]) == (
        str(good),
        told["label"],
        told["label"],
        "",
    )
    assert float(first["probability_2"]) == pytest.approx(told["top"][1]["probability"], rel=1e-4)
    assert second["file"] == str(tmp_path / "a,b.png") and second["label"] == "" and "no" in second["error"]
    assert "exclude each other" in refusal(capsys, folder / "bundle", good, "--csv", "--json")


def test_a_table_names_images_and_may_name_some_that_are_gone(folder: Path, tmp_path: Path, capsys) -> None:
    files = sorted((folder / "new" / "one").iterdir())[:5]
    table = tmp_path / "table.csv"
    table.write_text("id,file\n" + "".join(f"{number},{file}\n" for number, file in enumerate(files)) + "5,gone.png\n")
    told = document(capsys, folder / "bundle", table, code=1)
    assert (told["files"], told["failed"]) == (6, 1)
    assert told["predictions"][5]["file"] == str(tmp_path / "gone.png")
    expected = archsearch.predict(folder / "bundle", files, progress=False)
    assert [each["label"] for each in told["predictions"][:5]] == expected.labels


def test_images_go_through_the_network_in_batches(folder: Path, monkeypatch) -> None:
    sizes, call = [], scoring.TorchScorer.__call__
    monkeypatch.setattr(
        scoring.TorchScorer, "__call__", lambda self, pixels: sizes.append(len(pixels)) or call(self, pixels)
    )
    files = sorted((folder / "new").rglob("*.*")) * 3
    found = archsearch.predict(folder / "bundle", files, progress=False)
    assert sizes == [64, 64, 64, 48]
    once = archsearch.predict(folder / "bundle", files[:80], progress=False)
    assert np.abs(found.values - np.tile(once.values, (3, 1))).max() < 1e-6


def test_nothing_in_a_bundle_is_executed_and_its_files_are_compared(
    bundle: Path, folder: Path, tmp_path, capsys
) -> None:
    image, trap = folder / "new" / "one" / "002.jpg", tmp_path / "executed"
    expected = document(capsys, bundle, image)
    for name in ("model.py", "predict.py", "form.py", "huggingface/hub.py"):
        (bundle / name).write_text(f"open({str(trap)!r}, 'w')\n")
    assert document(capsys, bundle, image) == expected
    assert not trap.exists()
    for name, arguments in (("weights.safetensors", []), ("model.onnx", ["--backend", "onnx"]), ("model.yaml", [])):
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        said = refusal(capsys, bundle, image, *arguments)
        assert said.startswith(f"{bundle / name}: its SHA-256 is not that of the manifest")
        (bundle / name).unlink()
        assert "cannot be read" in refusal(capsys, bundle, image, *arguments)
        (bundle / name).symlink_to(folder / "bundle" / name)
        assert "link" in refusal(capsys, bundle, image, *arguments)
        (bundle / name).unlink()
        (bundle / name).write_bytes(content)
    assert document(capsys, bundle, image) == expected


def rewritten(bundle: Path, **changes: object) -> None:
    """Changes preprocessing.json, and its digest in the manifest."""
    file, manifest = bundle / "preprocessing.json", json.loads((bundle / "manifest.json").read_text())
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    manifest["files"][file.name]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["a", "b"]},
        {"labels": [1, 2, 3, 4]},
        {"task": "chess"},
        {"std": [0.1, 0.0, 0.1]},
        {"std": [0.1, 0.1]},
        {"mean": [0.1, 0.1, "x"]},
        {"mean": [0.1, 0.1, float("nan")]},
        {"calibration": {"temperature": 0}},
        {"calibration": {}},
        {"size": {"channels": 3, "height": 10**9, "width": 16}},
        {"size": {"channels": 3, "height": 32, "width": 32}, "form": None},
        {"output": None},
        {"form": {"fit": "stretch"}},
        {"form": {"colour": "green"}},
        {"thresholds": [0.5]},
    ],
    ids=str,
)
def test_a_preprocessing_that_no_export_writes_is_refused(changes: dict, bundle: Path, folder: Path, capsys) -> None:
    rewritten(bundle, **changes)
    assert "preprocessing.json" in refusal(capsys, bundle, folder / "new" / "one" / "002.jpg")


def test_several_labels_have_thresholds_and_a_regression_numbers(bundle: Path, folder: Path, capsys) -> None:
    image = folder / "new" / "one" / "002.jpg"
    rewritten(bundle, task="multi_label", thresholds=[0.0, 1.1, 0.0, 1.1], calibration={"temperature": 2.0})
    told = document(capsys, bundle, image)
    (answer,) = told["predictions"]
    assert sorted(answer["labels"]) == ["one", "two"] and told["thresholds"] == [0.0, 1.1, 0.0, 1.1]
    scores = {}
    for entry in document(capsys, bundle, image, "--top", 4)["predictions"][0]["top"]:
        scores[entry["label"]] = 2.0 * np.log(entry["probability"] / (1 - entry["probability"]))
    rewritten(bundle, task="regression", thresholds=None)
    (answer,) = document(capsys, bundle, image)["predictions"]
    assert answer["values"] == pytest.approx(scores, rel=1e-3, abs=1e-3)
    assert main(["predict", str(bundle), str(image), "--csv"]) == 0
    assert capsys.readouterr().out.startswith("file,one,three,two,zero,error\n")
    assert main(["predict", str(bundle), str(image)]) == 0
    assert capsys.readouterr().out.split()[:5] == ["file", "one", "three", "two", "zero"]


def test_what_is_refused(folder: Path, experiment, bundle: Path, tmp_path: Path, capsys) -> None:
    image = folder / "new" / "one" / "002.jpg"
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    shutil.copy(image, tmp_path / "empty" / ".hidden")
    assert "no images" in refusal(capsys, folder / "bundle", tmp_path / "empty")
    assert "export" in refusal(capsys, experiment.path, image, "--backend", "onnx")
    assert "neither a bundle nor an experiment" in refusal(capsys, folder / "images", image)
    assert "no experiment 'nothing'" in refusal(capsys, "nothing", image)
    assert "--device: the device 'tpu' is not available" in refusal(capsys, bundle, image, "--device", "tpu")
    assert "a bundle has no data" in refusal(capsys, bundle, image, "--root", folder)
    rewritten(bundle, mean=None, std=None)
    assert "without its data" in refusal(capsys, bundle, image)
    with pytest.raises(InputError, match=r"^backend: the backend 'tensorflow'"):
        archsearch.predict(folder / "bundle", image, backend="tensorflow")
    with pytest.raises(InputError, match=r"^images: no images are named"):
        archsearch.predict(folder / "bundle", [])
    (bundle / "manifest.json").write_text(json.dumps({"kind": "archsearch bundle"}))
    assert "no manifest of a bundle" in refusal(capsys, bundle, image)


def test_predictions_in_python(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    files = [folder / "new" / "one" / "002.jpg", tmp_path / "text.png"]
    found = archsearch.predict(folder / "bundle", files, progress=False)
    assert found.labels[1] is None and found.top(2)[1] == [] and list(found.problems) == [str(files[1])]
    assert found.top(2)[0][0][0] == found.labels[0]
    assert found.values[0].sum() == pytest.approx(1) and np.isnan(found.values[1]).all()
    frame = found.frame
    assert frame.loc[str(files[0]), "label"] == found.labels[0] and frame.loc[str(files[1]), "error"]
    assert repr(found) == "<Predictions for 2 files, 4 classes, 1 could not be read>"

"""Guests trained for real on digits: alone, going on after a fault, and as baselines of a confirmation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import archsearch
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.guests.either import build, cost, digest
from archsearch.guests.guest import Guest
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.tracking.retrained import retrained
from archsearch.training.fit import evaluate_test, train_architecture
from archsearch.training.run import TrainingRun
from tests.search.local import drive_locally, finished, tiny

GUEST = Guest(guest="torchvision:mobilenet_v3_small", input=(1, 8, 8), classes=10)
RUN = TrainingRun(settings=TrainingSettings(epochs=2, batch_size=50, device="cpu", precision="float32"), seed=1)


@pytest.fixture(scope="module")
def images():
    return load_images(DataSettings(limit=300))


def test_a_guest_is_trained_tested_later_and_reads_back(images, tmp_path) -> None:
    folder = tmp_path / "trained"
    result = train_architecture(GUEST, images, RUN, folder, test=False)
    assert (result["name"], result["digest"], result["params"]) == (GUEST.name, GUEST.digest, cost(GUEST).params)
    assert [epoch["epoch"] for epoch in result["history"]] == [1, 2] and result["test"] is None
    again = train_architecture(GUEST, images, RUN, tmp_path / "again", test=False)
    assert again["validation"] == result["validation"]  # dropout is drawn from the run's seed
    tested = evaluate_test(folder, images, RUN)
    assert tested["test"]["images"] == len(images.test.labels)
    (folder / "model.yaml").write_text(GUEST.model_copy(update={"classes": 9}).to_yaml())
    (folder / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match="its digest differs"):
        evaluate_test(folder, images, RUN)


def test_an_interrupted_training_goes_on_bit_for_bit(images, tmp_path) -> None:
    whole = train_architecture(GUEST, images, RUN, tmp_path / "whole", test=False)

    def interrupt(metrics) -> None:
        raise KeyboardInterrupt

    folder, begun = tmp_path / "part", []
    with pytest.raises(KeyboardInterrupt):
        train_architecture(GUEST, images, RUN, folder, test=False, checkpoint_seconds=0, on_epoch=interrupt)
    part = train_architecture(GUEST, images, RUN, folder, test=False, on_begin=begun.append)
    assert begun == [1] and part["validation"] == whole["validation"]


def test_timms_network_is_trained_by_its_name(tmp_path, monkeypatch) -> None:
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    trained = archsearch.train("timm:resnet10t", data="digits", epochs=1, progress=False)
    assert trained.folder == Path("trained/timm-resnet10t-digits")
    assert trained.architecture == Guest(guest="timm:resnet10t", input=(1, 8, 8), classes=10)
    assert 0.2 < trained.test_accuracy <= 1
    module = trained.module()
    assert module(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert not module.training


def test_a_guest_starts_from_its_librarys_weights_with_its_trunk_frozen(images, tmp_path) -> None:
    file = tmp_path / "weights.pth"
    theirs = build(GUEST.model_copy(update={"classes": 1000}), seed=9).state_dict()
    torch.save(theirs, file)
    run = TrainingRun(settings=RUN.settings.with_overrides({"epochs": 1, "freeze": "trunk"}), seed=1)
    result = train_architecture(GUEST, images, run, tmp_path / "out", weights=file, test=False)
    assert result["start"]["source"] == "torchvision"
    assert result["start"]["replaced"] == ["classifier.3.weight", "classifier.3.bias"]
    assert result["frozen"]["parameters"] == result["params"] - 10 * 1025


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search of two trials, confirmed by the command beside a network of the zoo and two guests."""
    folder = finished(tmp_path_factory.mktemp("confirmed"), "search.trials=2", "training.epochs=2")
    names = ["resnet8_cifar", "torchvision:mobilenet_v3_small", "timm:resnet10t"]
    words = [word for name in names for word in ("--baseline", name)]
    assert main(["confirm", str(folder.path), "--top", "1", "--seeds", "1", "--no-random", *words]) == 0
    return folder


def test_guests_stand_in_a_confirmation_as_baselines_and_are_called_guests(confirmed, capsys) -> None:
    document = json.loads((confirmed.path / "confirm" / "confirm.json").read_text())
    rows = {row["name"]: row for row in document["rows"]}
    row = rows["torchvision:mobilenet_v3_small (guest)"]
    assert (row["kind"], row["digest"]) == ("baseline", digest(GUEST))
    assert row["params"] == cost(GUEST).params and row["flops"] == cost(GUEST).flops
    assert row["architecture"] == GUEST.to_dict()
    assert row["note"].startswith("torchvision ") and row["note"].endswith(", over the budget")
    assert not row["within_budget"]
    changed = [note for note in document["notes"] if "first convolution" in note]
    assert changed == [f"{row['name']}: its first convolution is replaced by one for images of 1 channel"]
    assert rows["timm:resnet10t (guest)"]["test"] is not None
    assert {lead["over"] for lead in document["differences"]} == rows.keys() - {document["winner"]}
    assert document["winner"].startswith("t0")  # a guest never wins a search


def test_the_report_and_mlflow_call_a_guest_a_guest(confirmed) -> None:
    with Ledger.read(confirmed.ledger) as ledger:
        names = {training.name for training in retrained(confirmed, ledger)}
    assert "confirm timm:resnet10t (guest) seed 1" in names
    assert "torchvision:mobilenet_v3_small (guest)" in confirmed.report.read_text()


def test_compare_shows_what_searches_were_confirmed_with(confirmed, tmp_path, capsys) -> None:
    space, other = tiny(tmp_path, "search.trials=1", "training.epochs=1")
    drive_locally(space, other)
    page = tmp_path / "page.html"
    assert main(["compare", str(confirmed.path), str(other.path), "-o", str(page)]) == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "torchvision:mobilenet_v3_small (guest)" in line]
    assert line.startswith("A ") and ", over the budget" in line
    assert "timm:resnet10t (guest)" in page.read_text() and "What they were confirmed with" in page.read_text()
    assert main(["compare", str(other.path), str(confirmed.path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["a"]["retrained"] == [] and len(document["b"]["retrained"]) == 4


def test_a_guest_that_cannot_take_the_images_is_refused_before_anything_is_trained(confirmed, capsys) -> None:
    assert main(["confirm", str(confirmed.path), "--baseline", "torchvision:alexnet"]) == 2
    error = capsys.readouterr().err
    assert "torchvision:alexnet cannot take images of 1x8x8: it takes images of 63x63 and more" in error


def test_numbers_are_trained_by_guests_whose_last_layer_is_linear(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8)
    targets = (images.mean((1, 2, 3)) / 10 + 50).astype(np.float32)[:, None]
    data = {"train": (images[:100], targets[:100]), "test": (images[100:], targets[100:])}
    words = {"data": data, "epochs": 1, "batch_size": 20, "progress": False}
    trained = archsearch.train("torchvision:mobilenet_v3_small", **words)
    outputs = trained.module()(torch.zeros(2, 3, 32, 32))
    assert outputs.shape == (2, 1) and 20 < outputs[0].item() < 100  # in the targets' units
    with pytest.raises(InputError, match="not those of a linear layer"):
        archsearch.train("torchvision:squeezenet1_1", **words)

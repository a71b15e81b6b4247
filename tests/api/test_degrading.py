"""`archsearch analyze degradation` and `archsearch.degradation`: trainings kept and gone on with, figures, page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import archsearch
from archsearch.cli import main
from archsearch.reading.errors import InputError
from archsearch.space.settings import TrainingSettings
from archsearch.training import fit
from archsearch.training.devices import resolve_device, usual_precision
from archsearch.training.loop import Diverged

FEW = (
    "--data",
    "digits",
    "--depths",
    "14,8",
    "--epochs",
    "1",
    "--set",
    "data.limit=64",
    "--set",
    "training.batch_size=32",
)


def test_trainings_are_kept_and_gone_on_with(tmp_path: Path, monkeypatch, capsys) -> None:
    page = tmp_path / "new" / "page.html"
    command = ["analyze", "degradation", *FEW, "--images", "40", "-o", str(page), "--json"]
    train, names = fit.train_architecture, []

    def interrupted(architecture, *rest, **options):
        if len(names) == 2:
            names.append("interrupted")
            raise KeyboardInterrupt
        names.append(architecture.name)
        return train(architecture, *rest, **options)

    monkeypatch.setattr(fit, "train_architecture", interrupted)
    assert main(command) == 3 and not page.exists()
    assert "the same command goes on with this training" in capsys.readouterr().err
    assert main(command) == 0
    assert names == ["plain8_cifar", "plain14_cifar", "interrupted", "resnet8_cifar", "resnet14_cifar"]
    first = json.loads(capsys.readouterr().out)
    figures = archsearch.degradation(
        {"name": "digits", "limit": 64}, depths=(14, 8), rows=["shortcuts"], epochs=1, images=40, output=page,
        progress=False, training={"batch_size": 32},
    )  # fmt: skip
    assert names[5:] == ["resnet14_option_b_cifar", "resnet14_option_c_cifar"], "what is there is not trained again"
    assert figures["networks"][:4] == first["networks"]

    assert [row["label"] for row in figures["networks"]][4:] == ["option A", "option B", "option C"]
    assert figures["networks"][4]["trainings"] == figures["networks"][3]["trainings"], "option A is trained once"
    assert (figures["depths"], figures["seeds"], figures["epochs"], figures["images"]) == ([8, 14], [0], 1, 40)
    for row in figures["networks"]:
        (training,) = row["trainings"]
        result = json.loads((Path(training["folder"]) / "result.json").read_text())
        assert training["test_error"] == 1 - result["test"]["accuracy"]
        assert training["curves"]["validation_error"] == [1 - result["validation"]["accuracy"]]
        assert training["curves"]["training_error"] == [result["history"][0]["sample_error"]]
        assert training["gradient"]["epochs"] == [0, 1]
        assert [len(norms) for norms in training["gradient"]["norms"]] == [row["depth"]] * 2
        assert training["gradient"]["norms"][0] != training["gradient"]["norms"][1]
        assert len(row["layers"]) == row["depth"] and (Path(training["folder"]) / "weights.safetensors").is_file()
    text = page.read_text()
    assert "Without shortcuts" in text and "option C" in text and "24.19 % (depth 34, ImageNet, He 2015)" in text
    names[:] = names[:2]
    assert main([*command, "--images", "30"]) == 3, "other settings are another training, which is interrupted"


def test_every_network_has_every_seed_and_one_may_diverge(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    calls = []

    def canned(architecture, images, run, folder, *, measure, **_):
        calls.append((architecture.name, run.seed, run.precision))
        folder.mkdir(parents=True)
        if calls[-1][:2] == ("plain14_cifar", 6):
            raise Diverged(1, math.nan)
        row = {"epoch": 1, "sample_loss": 0.1, "sample_error": 0.0, "validation_loss": 0.2, "validation_accuracy": 0.9}
        norms = {"gradient": [1.0] * 14}
        (folder / "result.json").write_text(json.dumps(result := {
            "folder": str(folder), "initially": norms, "history": [row | norms], "test": {"accuracy": 0.8},
        }))  # fmt: skip
        return result

    monkeypatch.setattr(fit, "train_architecture", canned)
    options = {"depths": (8, 14), "seeds": 2, "seed": 5, "progress": False, "training": {"batch_size": 32}}
    figures = archsearch.degradation("digits", **options)
    names = ["plain8_cifar", "plain14_cifar", "resnet8_cifar", "resnet14_cifar"]
    assert [call[:2] for call in calls] == [(name, seed) for seed in (5, 6) for name in names]
    assert {call[2] for call in calls} == {usual_precision(TrainingSettings(), resolve_device("auto"))}, "one for all"
    assert figures["seeds"] == [5, 6] and figures["remarks"][0].startswith("plain-14 diverged in epoch 1 (seed 6)")
    assert list(tmp_path.iterdir()) == [], "without a page nothing stays"
    calls.clear()
    for _ in range(2):
        archsearch.degradation("digits", output="page.html", **options)
    assert len(calls) == 8, "nothing is trained again, nor what diverged"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["degradation"], "degradation without --data"),
        (["degradation", "resnet20_cifar", "--data", "digits"], "degradation of a network"),
        (["degradation", "--data", "digits", "--depths", "20,57"], "--depths: no network has 57 layers"),
        (["degradation", "--data", "digits", "--depths", "20;56"], "whole numbers with commas"),
        (["degradation", "--data", "digits", "--rows", "gates"], "shortcuts, placements, identities"),
        (["degradation", "--data", "digits", "-o", "page.pdf"], "a name that ends in .html"),
        (["lesion"], "lesion of nothing"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(
    arguments: list[str], problem: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", *arguments]) == 2
    shown = capsys.readouterr().err
    assert problem in shown and "training 1" not in shown
    assert list(tmp_path.iterdir()) == []


def test_seeds_and_the_kind_of_images_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 seeds; allowed: 1 or more"):
        archsearch.degradation("digits", seeds=0, progress=False)
    with pytest.raises(InputError, match=r"archsearch\.degradation"):
        archsearch.analyze("degradation", "digits")

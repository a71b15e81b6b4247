"""Values that a file may have and that are hardly meant are named with their position, before anything is trained."""

from pathlib import Path

import pytest

import archsearch
from archsearch.cli import main
from archsearch.space.loading import load_space
from archsearch.space.plausibility import implausible

SPACE = """\
archsearch: 1
name: odd
data: {name: digits}
space: {stages: 2, depth: {int: [1, 2]}, width: 8}
search: {trials: 2}
training: {recipe: none, epochs: 20, batch_size: 64}
"""
TRAIN = 1_000


def odd(folder: Path, before: str = "", after: str = "", *overrides: str) -> list[str]:
    file = folder / "odd.yaml"
    file.write_text(SPACE.replace(before, after))
    return [text.removeprefix(str(folder)) for text in implausible(load_space(file, overrides), TRAIN)]


def test_usual_values_are_not_odd(tmp_path: Path) -> None:
    assert odd(tmp_path) == []
    for name in ("digits", "resnet_cifar", "resnet_fashion"):
        space = load_space(name, ("data.name=digits",))
        assert implausible(space, TRAIN) == []


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("batch_size: 64", "batch_size: 2000", "/odd.yaml:6:50: training.batch_size is 2,000, and there are 1,000 "
         "training images: an epoch is one step over all of them"),
        ("batch_size: 64", "batch_size: {choice: [32, 4096]}", "/odd.yaml:6:50: training.batch_size is 4,096, and "
         "there are 1,000 training images: an epoch is one step over all of them"),
        ("epochs: 20,", "epochs: 20, learning_rate: 50,", "/odd.yaml:6:53: training.learning_rate is 50: with sgd a "
         "training above 10 hardly ever converges"),
        ("epochs: 20,", "epochs: 20, optimizer: adamw, learning_rate: 0.5,", "/odd.yaml:6:71: "
         "training.learning_rate is 0.5: with adamw a training above 0.1 hardly ever converges"),
        ("epochs: 20,", "epochs: 90000,", "/odd.yaml:6:34: training.epochs is 90,000: published recipes have at most "
         "some hundreds"),
        ("epochs: 20,", "epochs: 20, crop_padding: 8,", "/odd.yaml:6:52: training.crop_padding is 8, and the images "
         "have 8 pixels on a side: of some images nothing is left"),
        ("{trials: 2}", "{trials: 99}", "/odd.yaml:5:18: search.trials is 99, and the space has 2 combinations: the "
         "search ends with those"),
        ("{trials: 2}", "{trials: 2, early_stopping: {grace_epochs: 20}}", "/odd.yaml:5:52: "
         "search.early_stopping.grace_epochs is 20, and trials have 20 epochs: none is stopped early"),
    ],
)  # fmt: skip
def test_an_odd_value_is_named_with_its_position(before: str, after: str, text: str, tmp_path: Path) -> None:
    assert odd(tmp_path, before, after) == [text]


def test_of_an_override_the_option_is_named(tmp_path: Path) -> None:
    (text,) = odd(tmp_path, "", "", "training.weight_decay=5")
    assert text.startswith("--set training.weight_decay=5: training.weight_decay is 5: above 1 ")


def test_a_single_training_is_looked_at_too(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.training.fit.train_architecture", lambda *_, **__: {"name": "none"})
    data = {"name": "digits", "limit": 50}
    archsearch.train("resnet8_cifar", data=data, epochs=5_000, batch_size=64, training={"learning_rate": 20.0})
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert said == [
        "warning: training.batch_size is 64, and there are 50 training images: an epoch is one step over all of them",
        "warning: training.learning_rate is 20: with sgd a training above 10 hardly ever converges",
        "warning: training.epochs is 5,000: published recipes have at most some hundreds",
    ]


def test_check_and_a_dry_run_say_so_and_go_on(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.yaml").write_text(SPACE.replace("batch_size: 64", "batch_size: 65536").replace("epochs: 20", "epochs: 3"))
    assert main(["check", "odd.yaml", "--no-probe", "--samples", "20"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "warning odd.yaml:6:49: training.batch_size is 65,536, and there are" in page
    assert "warning training: 1 steps per epoch, 3 in total" in page
    assert main(["run", "odd.yaml", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "warning: odd.yaml:6:49: training.batch_size is 65,536, and there are 1,222 training images" in said
    for text in ("learning_rate: 1000000", "epochs: 10000000", "batch_size: 1000000000"):
        Path("odd.yaml").write_text(SPACE.replace("epochs: 20, batch_size: 64", text))
        for verb in (["check", "odd.yaml", "--no-probe"], ["run", "odd.yaml", "--dry-run"]):
            assert main(verb) == 2
            said = capsys.readouterr().err
            column = SPACE.splitlines()[5].index("epochs") + len(text.partition(" ")[0]) + 2
            assert said.startswith(f"odd.yaml:6:{column}: training."), said
            assert "allowed: " in said

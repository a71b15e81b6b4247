"""The code of README and of the how-to pages, executed as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import archsearch
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder
from archsearch.search.session import create
from archsearch.space.choices import RecordedChoices
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space
from tests.docs.reading import ROOT, blocks, commands, indented
from tests.search.local import SPACE, drive_locally, end

HOW_TO = ROOT / "docs" / "how-to"
LIBRARY = next(block for block in indented(ROOT / "README.md") if block.startswith("import archsearch"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished search experiments/digits, a small one, and images of two classes."""
    place = tmp_path_factory.mktemp("pages")
    (place / "experiments").mkdir()
    (place / "tiny.yaml").write_text(SPACE.replace("name: tiny", "name: digits"))
    space = load_space(place / "tiny.yaml", ["search.trials=2", "training.epochs=2"])
    experiment = ExperimentFolder(place / "experiments" / "digits")
    create(space, experiment, name="digits")
    drive_locally(space, experiment)
    end(experiment)
    rng = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (place / "my-images" / kind).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 255, (40, 48, 3)).astype("uint8")
            Image.fromarray(pixels).save(place / "my-images" / kind / f"{number}.png")
    return place


def python(page: str) -> list[str]:
    return [text for language, text in blocks(HOW_TO / page) if language == "python"]


def test_the_config_of_a_winner_is_read_in_python(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(folder)
    (export,) = [c for c in commands() if c.page.endswith("take-it-home.md") and "config" in c.line]
    assert main(export.words) == 0
    (code,) = python("take-it-home.md")
    exec(code, namespace := {})
    assert isinstance(namespace["module"], archsearch.build("resnet20_cifar").__class__)
    assert f"params={archsearch.cost(namespace['architecture']).params}" in capsys.readouterr().out


def test_new_images_are_predicted_in_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert main(["export", "digits", "-o", "bundle"]) == 0
    shutil.copytree(folder / "my-images" / "cats", folder / "new-images")
    (code,) = python("predict.md")
    exec(code, namespace := {})
    predictions = namespace["predictions"]
    assert len(predictions.labels) == 20 and set(predictions.labels) <= set("0123456789")
    again = archsearch.open("digits").predict(["new-images"], progress=False)
    assert again.labels == predictions.labels


def test_a_search_is_a_study_of_optuna_and_a_study_takes_our_samplers(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    as_study, samplers = python("optuna.md")
    exec(as_study, namespace := {})
    assert namespace["study"].best_trial.user_attrs["trial"].startswith("t000")
    exec(
        "import archsearch, optuna\n" + samplers.replace("n_trials=50", "n_trials=12"),
        names := {"accuracy_of": lambda architecture: len(architecture.stages) / 20},
    )
    assert len(names["study"].trials) == 12


def test_the_search_space_of_the_readme_is_valid_for_a_folder(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    text = next(block for block in indented(ROOT / "README.md") if block.startswith("archsearch: 1"))
    Path("space.yaml").write_text(text)
    assert main(["check", "space.yaml", "--no-probe", "--samples", "200"]) == 0
    assert "2 classes" in capsys.readouterr().out


def test_the_spaces_of_linear_widths_are_as_the_page_says(tmp_path: Path, capsys) -> None:
    searched, published = (text for language, text in blocks(HOW_TO / "regnet.md") if language == "yaml")
    (tmp_path / "space.yaml").write_text(searched)
    assert main(["check", str(tmp_path / "space.yaml"), "--no-probe", "--samples", "500"]) == 0
    assert "more or fewer stages, by their linear widths" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "published.yaml").write_text(f"archsearch: 1\nname: regnetx\ndata: {{name: cifar10}}\n{published}")
    facts = DataFacts(input=(3, 224, 224), classes=1000, task="single_label", images=50_000)
    network = load_space(tmp_path / "published.yaml", data=facts).architecture(RecordedChoices({}))
    stages = [(stage.depth, stage.width) for stage in network.stages]
    assert stages == [(1, 32), (2, 64), (7, 160), (12, 384)]


def test_the_readme_uses_networks_in_python() -> None:
    exec("import archsearch\n" + LIBRARY.partition("\n\n")[2].partition("\n\n")[2], names := {})
    flops = re.search(r"\.flops +# (\d+)", LIBRARY)
    assert flops is not None and archsearch.cost(names["network"]).flops == int(flops[1])


@pytest.mark.slow
def test_the_readme_searches_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new-images").mkdir()
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / "new-images" / "grey.png")
    exec(LIBRARY, names := {})
    assert names["experiment"].best.value > 0.5


@pytest.mark.slow
def test_the_commands_on_own_images_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    typed = [c for c in commands() if c.page.endswith("own-images.md") and c.words[1:]]
    order = {"init": 0, "check": 1, "run": 2}
    for command in sorted((c for c in typed if c.words[0] in order), key=lambda c: order[c.words[0]]):
        extra = {"run": ["--dry-run"], "check": ["--samples", "200"], "init": []}[command.words[0]]
        assert main([*command.words, *extra]) == 0, command.line

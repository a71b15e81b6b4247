"""A space in which nothing varies is one network: every sampler proposes it once, and every verb takes the search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import archsearch
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.proposing.samplers.registry import NAMES
from archsearch.search.session import create
from archsearch.space.loading import load_space
from tests.search.local import drive_locally, end

SPACE = """
archsearch: 1
name: single
data: {name: digits, limit: 200}
space: {stages: 1, depth: 1, width: 4}
search: {trials: 3, seed: 0}
training: {epochs: 2, batch_size: 32, precision: float32}
"""


def searched(folder: Path, *overrides: str) -> ExperimentFolder:
    """The search of one network, driven without Ray."""
    file = folder / "single.yaml"
    file.write_text(SPACE)
    space, experiment = load_space(file, overrides), ExperimentFolder(folder / "single")
    create(space, experiment, name="single")
    drive_locally(space, experiment)
    end(experiment)
    return experiment


@pytest.mark.parametrize("sampler", sorted({*NAMES} - {"cmaes"}))  # which needs a package more
def test_every_sampler_proposes_the_network_once(tmp_path: Path, sampler: str) -> None:
    several = ["search.objectives={accuracy: max, flops: min}"] if sampler.startswith("nsga") else []
    folder = searched(tmp_path, f"search.sampler={sampler}", *several)
    with Ledger.read(folder.ledger) as ledger:
        (trial,) = ledger.trials()
        assert (trial.state.value, trial.choices) == ("finished", {})
        assert [event.kind for event in ledger.events_of("exhausted")] == ["exhausted"]
    assert len(archsearch.optuna_study(folder.path).trials) == 1


def test_every_verb_takes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder, file = searched(tmp_path), str(tmp_path / "single.yaml")
    name = str(folder.path)
    confirm = ["confirm", name, "--top", "2", "--seeds", "1", "--no-random", "--baseline", "none", "--json"]
    outputs = {}
    for words in (
        ["check", file, "--no-probe"],
        ["sample", file, "-n", "1"],
        ["status", name, "--json"],
        ["compare", name, name],
        confirm,
        ["report", name, "--json"],
        ["export", name, "--format", "python"],
    ):
        assert main(words) == 0, capfd.readouterr().err
        outputs[words[0]] = capfd.readouterr()
    assert "single: 1 combinations" in outputs["check"].out
    assert len(outputs["sample"].out.strip().splitlines()) == 1
    status = json.loads(outputs["status"].out)
    assert status["used_up"] and status["trials"]["total"] == 1
    assert "They do not compare" in outputs["compare"].out
    assert json.loads(outputs["confirm"].out)["winner"] == "t0001"
    assert json.loads(outputs["report"].out)["winner"]["trial"] == "t0001"
    assert "def build()" in outputs["export"].out

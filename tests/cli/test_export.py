"""`archsearch export`: any trial of an experiment as a file, and what is refused."""

import json
import os
import shlex
import shutil
from hashlib import sha256
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from archsearch import Architecture, zoo
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.summary import summarise
from archsearch.export.origin import finished_history
from archsearch.export.selection import select
from archsearch.network import build
from archsearch.space.loading import load_space
from archsearch.training.checkpoint import weights_to_bytes
from tests.search.local import finished, tiny

# With this seed the most accurate of four is not the cheapest, which the front has too.
TWO_OBJECTIVES = (
    "search.trials=4",
    "training.epochs=1",
    "search.seed=1",
    "search.objectives={accuracy: max, flops: min}",
)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search for two objectives."""
    return finished(tmp_path_factory.mktemp("front"), *TWO_OBJECTIVES)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    """A finished search of one trial, and a second one that failed."""
    experiment = finished(tmp_path_factory.mktemp("single"), "search.trials=1", "training.epochs=1")
    with Ledger.open(experiment.ledger) as ledger:
        first = ledger.trial(1)
        words = {"choices": first.choices, "architecture": first.architecture, "cost": first.cost, "seed": 9}
        ledger.propose(digest="0" * 16, **words)
        ledger.start(2)
        ledger.fail(2, "the loss was not finite\nin the third batch")
    return experiment


@pytest.fixture
def broken(single: ExperimentFolder, tmp_path: Path) -> ExperimentFolder:
    """A copy of `single`, to be changed."""
    return ExperimentFolder(Path(shutil.copytree(single.path, tmp_path / "copy")))


def document(capsys, *words: str) -> dict:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *words: str) -> str:
    """What stderr says to bad input; stdout stays empty."""
    capsys.readouterr()
    assert main(["export", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def trials(experiment: ExperimentFolder) -> list:
    with Ledger.read(experiment.ledger) as ledger:
        return ledger.trials()


def test_every_trials_network_is_exported(front: ExperimentFolder, tmp_path: Path, capsys) -> None:
    found = trials(front)
    assert len(found) == 4
    for trial in found:
        for given in (str(trial.number), trial.id, f"t{trial.number}"):
            file = tmp_path / f"{given}.yaml"
            told = document(capsys, "export", str(front.path), "--trial", given, "-o", str(file))
            assert told == {
                "format": "config",
                "file": str(file),
                "digest": trial.digest,
                "architecture": Architecture.from_yaml(file).to_dict(),
                "trial": trial.id,
            }
            assert Architecture.from_yaml(file).name == f"tiny-{trial.id}"


def test_every_member_of_the_pareto_front_is_exported_with_its_weights(front, tmp_path, capsys) -> None:
    members = summarise(front)["pareto"]
    assert len(members) >= 2
    for member in members:
        file = tmp_path / f"{member['trial']}.safetensors"
        words = ["export", str(front.path), "--trial", member["trial"], "--format", "safetensors", "-o", str(file)]
        told = document(capsys, *words)
        assert (told["format"], told["file"], told["trial"]) == ("safetensors", str(file), member["trial"])
        assert told["digest"] == member["digest"]
        network = build(Architecture.from_dict(told["architecture"]))
        weights = load_file(file)
        network.load_state_dict(weights)
        with torch.no_grad():
            assert torch.isfinite(network.eval()(torch.zeros(2, 1, 8, 8))).all()
        assert file.read_bytes() == (front.path / "trials" / member["trial"] / "weights.safetensors").read_bytes()


def test_without_a_trial_it_is_the_best(front: ExperimentFolder, tmp_path: Path, capsys) -> None:
    best = summarise(front)["best"]
    for form in ("config", "safetensors"):
        told = document(capsys, "export", str(front.path), "--format", form, "-o", str(tmp_path / form))
        assert (told["trial"], told["digest"]) == (best["trial"], best["digest"])
    assert (
        load_file(tmp_path / "safetensors").keys()
        == build(Architecture.from_yaml(tmp_path / "config")).state_dict().keys()
    )


def test_a_trial_without_weights_says_which_have_some(front: ExperimentFolder, tmp_path: Path, capsys) -> None:
    members = {member["trial"] for member in summarise(front)["pareto"]}
    others = [trial for trial in trials(front) if trial.id not in members]
    assert others, "four networks, one of them at least beaten by another"
    words = ["--trial", others[0].id, "--format", "safetensors", "-o", str(tmp_path / "none")]
    said = refusal(capsys, str(front.path), *words)
    assert said.startswith(f"--trial: the weights of {others[0].id} were not saved (finished); allowed: ")
    allowed = said.partition("allowed: ")[2].partition("\n")[0]
    assert set(allowed.split(", ")) == members
    assert f"--trial {others[0].id} -o {others[0].id}.yaml" in said, "its network can be had"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_trial_has_a_network_and_no_weights(broken: ExperimentFolder, tmp_path: Path, capsys) -> None:
    failed = trials(broken)[1]
    assert failed.state is TrialState.FAILED
    assert document(capsys, "export", str(broken.path), "--trial", "2")["trial"] == "t0002"
    (broken.path / "trials" / "t0002").mkdir(exist_ok=True)
    whole = (broken.path / "trials" / "t0001" / "weights.safetensors").read_bytes()
    (broken.path / "trials" / "t0002" / "weights.safetensors").write_bytes(whole)
    words = ["--trial", "2", "--format", "safetensors", "-o", str(tmp_path / "none")]
    said = refusal(capsys, str(broken.path), *words)
    assert "the weights of t0002 were not saved (failed: the loss was not finite); allowed: t0001\n" in said


@pytest.mark.parametrize("given", ["0", "5", "t0005", "-1", "x", "", "4.0", "99999999999999999999", "٣"])
def test_a_trial_that_is_not_there_is_refused_with_those_that_are(given, front, capsys) -> None:
    said = refusal(capsys, str(front.path), f"--trial={given}")
    assert said == f"--trial: tiny has no trial {given!r}; allowed: 1 to 4, or t0001 to t0004\n"


def test_an_experiment_without_trials_says_so(tmp_path: Path, capsys) -> None:
    _, folder = tiny(tmp_path)
    assert "no trial of tiny has finished" in refusal(capsys, str(folder.path))
    assert "tiny has no trials yet" in refusal(capsys, str(folder.path), "--trial", "1")


@pytest.mark.parametrize("bytes_kept", [0, 5, -1], ids=["empty", "cut in the head", "cut at the end"])
def test_damaged_weights_are_not_delivered(bytes_kept: int, broken, tmp_path: Path, capsys) -> None:
    kept, output = broken.path / "trials" / "t0001" / "weights.safetensors", tmp_path / "out.safetensors"
    kept.write_bytes(kept.read_bytes()[:bytes_kept])
    output.write_bytes(b"what was there")
    said = refusal(capsys, str(broken.path), "--format", "safetensors", "-o", str(output))
    assert said.startswith(f"{kept}: the weights of t0001 are damaged")
    assert output.read_bytes() == b"what was there"


def test_missing_weights_of_the_best_are_told(broken: ExperimentFolder, tmp_path: Path, capsys) -> None:
    (broken.path / "trials" / "t0001" / "weights.safetensors").unlink()
    said = refusal(capsys, str(broken.path), "--format", "safetensors", "-o", str(tmp_path / "out"))
    assert "the weights of t0001 were not saved (finished); allowed: a trial with saved weights (there is none)" in said


def test_weights_go_to_a_file_alone(front: ExperimentFolder, capsys) -> None:
    said = refusal(capsys, str(front.path), "--format", "safetensors", "--json")
    assert f"allowed: -o {summarise(front)['best']['trial']}.safetensors" in said


@pytest.mark.parametrize("source", ["resnet20_cifar", "net.yaml"])
def test_a_network_has_neither_trials_nor_weights(source: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(zoo.get("resnet20_cifar").to_yaml())
    said = refusal(capsys, source, "--format", "safetensors", "-o", "out.safetensors")
    assert f"archsearch train {source} --data NAME" in said
    assert f"{source} is a network, not an experiment" in refusal(capsys, source, "--trial", "1")
    assert not Path("out.safetensors").exists()


def test_what_is_neither_says_both(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal(capsys, "resnet2O_cifar", "--format", "safetensors", "-o", "out")
    assert "no experiment 'resnet2O_cifar'" in said and "resnet20_cifar" in said


@pytest.mark.parametrize("form", ["config", "safetensors"])
@pytest.mark.parametrize("name", ["missing/out", "folder", "pipe"])
def test_an_output_that_cannot_be_written_is_bad_input(name: str, form: str, front, tmp_path, capsys) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    output = tmp_path / name
    said = refusal(capsys, str(front.path), "--format", form, "-o", str(output))
    assert said.startswith(f"-o: {output} ") and ".tmp" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
    assert (tmp_path / "folder").is_dir() and (tmp_path / "pipe").is_fifo()


def test_a_confirmed_winner_is_what_is_exported(broken: ExperimentFolder, tmp_path: Path, capsys) -> None:
    """Made up of another trial than the search's best, with weights that differ from its."""
    with Ledger.open(broken.ledger) as ledger:
        best = ledger.best()
        other = next(trial for trial in ledger.trials() if trial.number != best.number)
        network = build(Architecture.from_dict(dict(other.architecture)), seed=5)
        weights = weights_to_bytes(network.state_dict())
        files = broken.confirmation
        files.path.mkdir()
        files.weights.write_bytes(weights)
        interval = {"mean": 0.5, "low": 0.4, "high": 0.6, "half": 0.1, "deviation": 0.1, "n": 2, "values": [0.4, 0.6]}
        row = {"kind": "trial", "name": other.id, "winner": True, "trial": other.number, "digest": other.digest,
               "params": 1, "flops": 1, "macs": 1, "note": "", "validation": interval, "test": None}  # fmt: skip
        verdict = {"state": "confirmed", "winner": other.id, "weights_of_seed": 5, "chosen": "By its mean.",
                   "rows": [row], "differences": [], "confidence": 0.95, "notes": [], "seeds": [4, 5],
                   "search": {}}  # fmt: skip
        files.document.write_text(json.dumps(verdict))
        note = {"winner": other.id, "seeds": 2, "validation_accuracy": 0.5, "test_accuracy": None}
        ledger.note("confirmed", {**note, "weights": sha256(weights).hexdigest()}, trial=other.number)
    assert main(["export", str(broken.path)]) == 0
    assert f"name: tiny-{other.id}" in capsys.readouterr().out
    for words in ([], ["--trial", other.id]):
        assert main(["export", str(broken.path), *words, "--format", "safetensors", "-o", str(tmp_path / "w")]) == 0
        assert (tmp_path / "w").read_bytes() == weights
    assert main(["export", str(broken.path), "-o", str(tmp_path / "bundle")]) == 0
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "By its mean." in card
    assert "validation: 40.00, 60.00 % (2 seeds)" in card and "interval over 2 seeds" not in card
    summary = summarise(broken)
    assert (summary["best"]["trial"], summary["best"]["of"], summary["best"]["value"]) == (other.id, "confirm", 0.5)
    assert not any("archsearch confirm" in line for line in commands(broken, capsys))
    files.weights.write_bytes(weights[:-1])
    assert "not the weights recorded in the ledger" in refusal(capsys, str(broken.path), "--format", "safetensors")
    files.weights.unlink()
    assert summarise(broken)["best"]["trial"] == best.id, "what was deleted is no winner"


@pytest.mark.parametrize("test", [None, 0.75])
def test_the_card_of_a_winner_that_was_trained_longer(test: float | None, tmp_path: Path) -> None:
    experiment = finished(tmp_path, "search.trials=2")
    with Ledger.open(experiment.ledger) as ledger:
        best = ledger.best()
        experiment.finish.path.mkdir()
        weights = (experiment.trial(best.number) / "weights.safetensors").read_bytes()
        experiment.finish.weights.write_bytes(weights)
        note = {"winner": best.id, "of": "finish", "epochs": 9, "seed": 7, "validation_accuracy": 0.999}
        ledger.note("finished_training", {**note, "weights": sha256(weights).hexdigest()}, trial=best.number)
        if test is not None:
            ledger.note("finish_tested", {"test_accuracy": test}, trial=best.number)
    history, scored = finished_history(select(experiment, None))
    assert f"Trial {best.id} of 2 of the search space, retrained for 9 epochs" in history[0]
    assert scored["validation"] == "99.90 %"
    assert ("test" in scored) == (test is not None)
    assert test is None or scored["test"].startswith("75.00 % (")


def commands(experiment: ExperimentFolder, capsys) -> list[str]:
    """What the summary says to do next."""
    capsys.readouterr()
    assert main(["status", str(experiment.path)]) == 0
    text = capsys.readouterr().out.partition("next:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in text.splitlines()]


def test_the_summary_offers_a_member_of_the_front_that_can_be_exported(front, tmp_path, monkeypatch, capsys) -> None:
    said = [line for line in commands(front, capsys) if "--trial" in line]
    assert len(said) == 1 and "--format safetensors" in said[0]
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(said[0])[1:]) == 0
    (file,) = tmp_path.glob("t*.safetensors")
    assert file.stem in {member["trial"] for member in summarise(front)["pareto"][1:]}, "the best needs no --trial"


def test_the_summary_of_a_finished_search_alone_offers_to_confirm_it(broken, capsys) -> None:
    confirm = f"archsearch confirm {broken.path} --top 5 --seeds 3"
    said = commands(broken, capsys)
    assert confirm in said
    assert not any("--trial" in line for line in said), "one objective has no front"
    with Ledger.open(broken.ledger) as ledger:
        ledger.begin()
        ledger.end("interrupted")
    said = commands(broken, capsys)
    assert confirm not in said and f"archsearch resume {broken.path}" in said


@pytest.fixture
def moved(tmp_path: Path, monkeypatch) -> ExperimentFolder:
    """A finished search on a folder of images that was named by a relative path; the working folder is another now."""
    rng = np.random.default_rng(0)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for index, name in product(range(12), ("cats", "dogs")):
        Path("imgs", name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(f"imgs/{name}/{index}.png")
    data = "data={name: folder, root: imgs, size: 8}"
    experiment = finished(tmp_path, data, "search.trials=1", "training.epochs=1", "budget={}")
    monkeypatch.chdir(tmp_path)
    return experiment


def test_an_experiment_on_a_relative_folder_is_exported_from_elsewhere(moved, tmp_path, monkeypatch, capsys) -> None:
    experiment, images = str(moved.path), tmp_path / "project" / "imgs"
    text = moved.space_yaml.read_text()
    assert text.startswith('# data.root was written as "imgs"\n')
    assert load_space(moved.space_yaml).data.root == str(images)
    out = document(capsys, "export", experiment, "--format", "python", "-o", "here.py")
    assert "validation" in out["parity"][0]["of"]

    images.rename(tmp_path / "elsewhere")
    out = document(capsys, "export", experiment, "--format", "python", "-o", "gone.py")
    assert out["parity"][0]["of"] == "random"
    assert Path("gone.py").read_text() == Path("here.py").read_text()
    assert "--root DIR" in refusal(capsys, experiment, "-o", "bundle")
    out = document(capsys, "export", experiment, "--format", "python", "-o", "found.py", "--root", "elsewhere")
    assert "validation" in out["parity"][0]["of"]
    shutil.copytree(tmp_path / "elsewhere" / "cats", tmp_path / "elsewhere" / "emus")
    said = refusal(capsys, experiment, "--format", "python", "-o", "x.py", "--root", "elsewhere")
    assert "3 classes, the network takes (3, 8, 8) and 2 classes" in said
    assert "--root" in refusal(capsys, "resnet20_cifar", "--root", "elsewhere")

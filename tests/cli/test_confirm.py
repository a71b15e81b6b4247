"""`archsearch confirm` as a person meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archsearch.cli import main
from archsearch.experiment import ExperimentFolder
from tests.search.local import finished, tiny

COMMAND = [sys.executable, "-m", "archsearch", "confirm"]
PATIENCE = 300.0  # seconds: for a busy machine; nothing here is a claim about speed


def searched(folder: Path, *overrides: str) -> ExperimentFolder:
    """A finished search, driven without Ray."""
    return finished(folder, "search.trials=3", "training.epochs=2", *overrides)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return searched(tmp_path_factory.mktemp("cli"))


def test_an_experiment_without_a_finished_trial_is_refused_with_a_hint(tmp_path: Path, capsys) -> None:
    _, folder = tiny(tmp_path)
    assert main(["confirm", str(folder.path)]) == 2
    said = capsys.readouterr()
    assert "no trial of tiny has finished" in said.err and "hint: `archsearch resume" in said.err
    assert said.out == ""


def test_an_unknown_experiment_or_baseline_is_refused_with_suggestions(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["confirm", "nothing"]) == 2
    assert main(["confirm", str(experiment.path), "--baseline", "resnet2O_cifar"]) == 2
    said = capsys.readouterr().err
    assert "no experiment 'nothing'" in said
    assert "did you mean" in said and "resnet20_cifar" in said
    assert main(["confirm", str(experiment.path), "--baseline", "densenet121"]) == 2
    assert "densenet121 cannot take images of 1x8x8" in capsys.readouterr().err
    assert not (experiment.path / "confirm").exists()


@pytest.mark.parametrize("words", [["--top", "0"], ["--seeds", "0"], ["--seeds", "few"]])
def test_numbers_out_of_range_are_bad_input(words, experiment, capsys) -> None:
    assert main(["confirm", str(experiment.path), *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_an_experiment_that_is_driven_leaves_with_4(experiment: ExperimentFolder) -> None:
    with experiment.driver_lock():
        words = [*COMMAND, str(experiment.path), "--no-random", "--baseline", "none", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "is in use by process" in done.stderr


def test_a_table_and_one_json_document_of_the_same_figures(experiment: ExperimentFolder, capfd) -> None:
    words = ["confirm", str(experiment.path), "--top", "1", "--seeds", "2", "--no-random"]
    words += ["--baseline", "densenet7_12_cifar"]
    assert main(words) == 0
    said = capfd.readouterr()
    assert "densenet7_12_cifar seed 2: validation" in said.err
    assert "4 of 4" in said.err
    assert main([*words, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document == json.loads((experiment.path / "confirm" / "confirm.json").read_text())
    assert document["random"] is None
    winner = next(row for row in document["rows"] if row["winner"])
    line = next(line for line in said.out.splitlines() if "(winner)" in line)
    for split in ("validation", "test"):
        figures = winner[split]
        assert len(figures["values"]) == 2 and figures["half"] is None
        assert ", ".join(f"{100 * value:.2f}" for value in figures["values"]) + " %" in line
    assert "note: with fewer than 3 seeds there are no intervals, and no lead is significant; --seeds 3" in said.out
    assert "+-" not in said.out
    assert document["chosen"] in said.out
    assert f"{100 * document['differences'][0]['test']['values'][1]:+.2f}" in said.out
    assert "over the budget" in said.out, "densenet7_12 has more FLOPs than this space's budget"
    assert main([*words[:-2], "--json"]) == 0, "all that it needs is trained already"
    plain = json.loads(capfd.readouterr().out)
    assert "no network of the zoo fits the budget (flops <= 120k): choose one with --baseline NAME" in plain["notes"]
    assert (plain["differences"], plain["winner"]) == ([], document["winner"])
    assert main(["profile", str(experiment.path / "confirm" / "best.yaml"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["digest"] == winner["digest"]


def test_cross_validation_as_the_terminal_and_the_report_show_it(tmp_path: Path, capfd) -> None:
    experiment = searched(tmp_path, "data.validation={folds: 3}")
    words = ["confirm", str(experiment.path), "--top", "2", "--seeds", "1", "--no-random", "--baseline", "none"]
    assert main(words) == 0
    said = capfd.readouterr()
    assert "2 trials of the search, each with 1 new seed on each of 3 folds" in said.err
    assert "seed 1 fold 3 of 3: validation" in said.err and "6 trainings of 2 networks" in said.err
    assert "folds" in said.out.splitlines()[2] and "seeds" not in said.out.splitlines()[2]
    assert "+- on validation is half of a 95 % interval over the folds, corrected for the training images" in said.out
    assert "note: with fewer than 3 seeds there are no intervals on test" in said.out
    page = (experiment.path / "report.html").read_text()
    assert "<th>folds</th>" in page.replace(' scope="col"', "") or ">folds<" in page
    assert "Nadeau &amp; Bengio 2003" in page
    assert main(["status", str(experiment.path)]) == 0
    assert "means over 3 folds on validation" in capfd.readouterr().out
    assert main([*words, "--folds", "1", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["folds"] is None and not any("fold" in run for row in document["rows"] for run in row["runs"])


@pytest.mark.slow
def test_random_search_beside_it_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    """A real Ray, and a real Ctrl-C in the middle of the retraining."""
    folder = searched(tmp_path)
    words = [*COMMAND, str(folder.path), "--top", "2", "--seeds", "3", "--baseline", "none", "--json"]
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    first = subprocess.Popen(words, cwd=tmp_path, env=env, text=True, stdout=-1, stderr=-1, start_new_session=True)
    runs = folder.path / "confirm" / "runs"
    until = time.monotonic() + PATIENCE
    try:
        while not list(runs.glob("*/result.json")):
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < until, "nothing was trained in time"
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGINT)
        out, err = first.communicate(timeout=PATIENCE)
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
    assert (first.returncode, out) == (3, ""), err
    assert f"archsearch confirm {folder.path} --top 2 --seeds 3 --baseline none" in err
    assert "Traceback" not in err
    kept = {path: path.stat().st_mtime_ns for path in runs.glob("*/result.json")}
    assert len(kept) < 9

    done = subprocess.run(words, cwd=tmp_path, env=env, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert "random search at equal cost" not in done.stderr, "it had its epochs already"
    document = json.loads(done.stdout)
    random = next(row for row in document["rows"] if row["kind"] == "random")
    assert len(random["runs"]) == 3 and random["test"]["n"] == 3
    found, search = document["random"], document["search"]
    assert search["epochs"] <= found["epochs"] <= search["epochs"] + len(os.sched_getaffinity(0))
    assert {lead["over"] for lead in document["differences"]} == {random["name"]}
    trained = [path for path, before in kept.items() if path.stat().st_mtime_ns == before]
    # The second look writes the test split's figures into the winner's and random's results, and into no other.
    looked = [path for path in kept if json.loads(path.read_text())["test"] is not None]
    assert set(kept) == {*trained, *looked}

"""report, compare and status --watch: pages, figures and the live view from the ledger alone."""

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from archsearch import zoo
from archsearch.analysis.svg import text_width
from archsearch.api.reporting import report_at_the_end
from archsearch.api.showing.board import Board
from archsearch.api.showing.live import scatter
from archsearch.cli import main
from archsearch.cli.showing.following import follow
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.tracking import resolve_tracking_uri
from archsearch.tracking.outbox import Outbox
from tests.analysis.report.searches import SPACE, by_depth, experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> ExperimentFolder:
    return experiment(tmp_path_factory.mktemp("one"), 30)


def test_report_writes_into_the_folder_and_says_what_it_shows(folder: ExperimentFolder, capsys) -> None:
    assert main(["report", str(folder.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == str(folder.report)
    assert found["winner"]["trial"] in folder.report.read_text()
    assert found["distribution"]["space"] is None  # auto draws three at random: too few to stand for the space


def test_report_goes_where_it_is_sent_and_refuses_a_folder(folder: ExperimentFolder, tmp_path: Path, capsys) -> None:
    assert main(["report", str(folder.path), "-o", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert main(["report", str(folder.path), "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["report", "nowhere"]) == 2


def test_the_report_leads_to_mlflow_once_that_knows_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = experiment(tmp_path, 4)
    assert main(["report", str(folder.path)]) == 0
    assert "MLflow's page" not in folder.report.read_text()
    for uri, address in (("", "http://127.0.0.1:5000"), ("http://me:secret@team:80", "http://team:80")):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with Outbox(folder.outbox, resolve_tracking_uri()) as outbox:
            outbox.remember("7", "parent")
        assert main(["report", str(folder.path)]) == 0
        said = folder.report.read_text()
        assert f'<a href="{address}/#/experiments/7/runs?' in said
        assert "secret" not in said
    assert not (tmp_path / "mlruns").exists()


def test_a_report_that_cannot_be_written_ends_no_search(folder: ExperimentFolder, tmp_path: Path, capsys) -> None:
    (tmp_path / "space.yaml").write_text("")
    report_at_the_end(ExperimentFolder(tmp_path))
    said = capsys.readouterr().err
    assert said.startswith("archsearch: no report was written: InputError")
    assert said.count("\n") == 1


def worse(choices: dict, luck: random.Random) -> float:
    return by_depth(choices, luck) - 0.1


def test_compare_tells_a_difference_and_that_there_is_none(tmp_path: Path, capsys) -> None:
    folder = experiment(tmp_path / "one", 30, "search.sampler=random")
    other = experiment(tmp_path / "two", 30, "search.sampler=random", score=worse, seed=1)
    page = tmp_path / "c.html"
    assert main(["compare", str(folder.path), str(other.path), "-o", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"] == 1
    assert found["tests"]["mann_whitney"]["p"] < 0.01
    assert found["tests"]["best_of_n"]["low"] > 0
    assert found["verdict"].count("a significant difference") == 2
    assert "Pareto front of A" in page.read_text()
    assert main(["compare", str(folder.path), str(folder.path)]) == 0
    said = capsys.readouterr().out
    assert "in 50 % of pairs: no significant difference" in said
    assert said.count("no significant difference") == 2


def test_compare_tests_random_samples_alone_and_says_why(folder: ExperimentFolder, tmp_path: Path, capsys) -> None:
    drawn = experiment(tmp_path, 12, "search.sampler=random", score=worse)
    page = tmp_path / "c.html"
    assert main(["compare", str(folder.path), str(drawn.path), "-o", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"]["drawn_at_random"], found["b"]["drawn_at_random"]) == (False, True)
    assert (found["tests"], found["verdict"], found["epochs"]) == (None, "", 1)
    assert (found["a"]["edf"]["low"], len(found["b"]["edf"]["low"])) == ([], 12), "a search's curve has no band"
    assert main(["compare", str(folder.path), str(drawn.path)]) == 0
    shown = capsys.readouterr().out
    assert (
        "No verdict: a test of significance needs trials that were all drawn at random and trained alike, and those"
        in shown
    )
    assert "of A (small) were chosen by earlier scores or stopped early." in shown.replace("\n", " ")
    assert "Mann-Whitney" not in shown + page.read_text()
    assert "No verdict: a test of significance" in page.read_text()


def test_long_names_are_cut_where_a_chart_has_no_room_for_them(tmp_path: Path, capsys) -> None:
    name = "attention_reduction"
    words = f"  attention: se\n  {name}: {{choice: [4, 8, 16]}}\nbudget:"

    def score(choices: Mapping[str, Any], luck: random.Random) -> float:
        return 0.5 + choices[name] / 50 + luck.gauss(0, 0.001)

    folder = experiment(tmp_path, 60, text=SPACE.replace("budget:", words), score=score)
    assert main(["report", str(folder.path)]) == 0
    labels = re.findall(r'<text x="([0-9.]+)"[^>]*class="bar-name"[^>]*>([^<]+)<', folder.report.read_text())
    assert name in {text for _, text in labels} and any(text.endswith("…") for _, text in labels)
    assert all(text_width(text, 12) <= float(x) for x, text in labels)


def test_a_search_on_cifar10_stands_beside_what_was_published_of_like_costs(tmp_path: Path, capsys) -> None:
    folder = experiment(tmp_path, 3, text=SPACE.replace("digits", "cifar10"))
    assert main(["report", str(folder.path), "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["baselines"]}
    assert {row["kind"] for row in found.values()} == {"published"}
    network = zoo.entry("resnet20_cifar")
    assert found["resnet20_cifar"]["value"] == pytest.approx(1 - network.published_error_percent / 100)
    assert all(zoo.entry(name).architecture.input == (3, 32, 32) for name in found)
    assert "resnet110_cifar" not in found  # far dearer than any trial


def test_compare_warns_where_the_images_differ_and_only_there(folder: ExperimentFolder, tmp_path: Path, capsys) -> None:
    other = experiment(tmp_path / "two", 30, seed=1)
    page = tmp_path / "c.html"
    assert main(["compare", str(folder.path), str(other.path), "-o", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_data"] is True
    assert "images are not the same" not in page.read_text()
    assert main(["compare", str(folder.path), str(other.path)]) == 0
    assert "images are not the same" not in capsys.readouterr().out
    with Ledger.open(other.ledger) as ledger:  # the digest of the images as the last session read them
        ledger.begin({"data": "e" * 16})
        ledger.end("finished")
    assert main(["compare", str(folder.path), str(other.path), "-o", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_data"] is False
    assert "No verdict: their images are not the same, so no score of theirs compares." in page.read_text()
    assert main(["compare", str(folder.path), str(other.path)]) == 0
    assert "No verdict: their images are not the same, so no score of theirs compares." in capsys.readouterr().out


def test_compare_says_why_not(folder: ExperimentFolder, tmp_path: Path, capsys) -> None:
    few = experiment(tmp_path, 3)
    assert main(["compare", str(folder.path), str(few.path)]) == 0
    assert "They do not compare: there is no" in capsys.readouterr().out


def test_watch_shows_what_another_process_writes_until_it_leaves(tmp_path: Path, capsys) -> None:
    folder = experiment(tmp_path, 4, state=None)
    steps = iter(("pause", "end"))

    def sleep(_: float) -> None:  # another process is at work while this one sleeps
        if next(steps) == "pause":
            with Ledger.open(folder.ledger) as ledger:
                ledger.promote(1)
                ledger.start(1, resume_epoch=1)
                ledger.epoch(1, 9, {"epoch": 9, "validation_accuracy": 0.75, "seconds": 1.0})
                ledger.finish(1, 0.75)
        else:
            lock.__exit__(None, None, None)

    lock = folder.driver_lock()
    lock.__enter__()
    follow(folder, sleep=sleep)
    said = capsys.readouterr().err
    assert "t0001 finished after 9 epochs: accuracy 75.00 %" in said
    assert "4 of 60 trials" in said


def test_watch_needs_an_experiment(capsys) -> None:
    assert main(["status", "--watch"]) == 2
    assert "--watch without an experiment" in capsys.readouterr().err


def test_the_front_in_letters_marks_what_nothing_beats() -> None:
    drawn = scatter([(1e3, 0.5), (1e4, 0.7), (1e4, 0.6), (1e5, 0.9), (1e6, 0.8)])
    plot = "".join(drawn[:-2])
    assert plot.count("o") == 3
    assert plot.count(" |") == 6
    assert drawn[0].lstrip().startswith("90.00 %")
    assert scatter([(1e3, 0.5)]) == []


def test_points_stand_by_the_logarithm_of_their_flops_and_their_accuracy() -> None:
    drawn = scatter([(1e3, 0.5), (1e4, 0.7), (1e5, 0.5), (1e5, 0.9)], width=9, height=5)
    assert drawn == [
        " 90.00 % |        o",
        "         |",
        "         |    o",
        "         |",
        " 50.00 % |o       .",
        "         +---------",
        "          1.00k to 100k FLOPs; o: the Pareto front",
    ]
    assert scatter([(1e3, 0.5), (1e3, 0.6)]) == scatter([(1e3, 0.5), (1e4, 0.5)]) == []
    assert scatter([(0.0, 0.5), (1e3, 0.6)]) == [], "zero has no logarithm"


def test_the_board_counts_rungs_and_pace(folder: ExperimentFolder) -> None:
    now = [0.0]
    board = Board(name="x", planned=30, epochs=9, clock=lambda: now[0])
    with Ledger.read(folder.ledger) as ledger:
        board.restore(ledger.trials())
        rung = ledger.rungs()[0]
        some = ledger.trial(1)
    assert board.rungs == [(1, rung.trials, rung.promoted)]
    assert board.pace is None
    for _ in range(2):
        board.trial(some, {"epoch": 1, "validation_accuracy": 0.5})
    assert board.pace is None, "no time has passed between them"
    now[0] += 100.0
    for _ in range(5):
        board.trial(some, {"epoch": 1, "validation_accuracy": 0.5})
        now[0] += 2.0
    assert board.pace == pytest.approx(0.5)

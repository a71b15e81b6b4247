"""The report: its figures are the ledger's, its advice holds, and it says so where it knows nothing."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from archsearch.analysis.report import Context, document, page, read_experiment
from archsearch.analysis.report.choices import columns
from archsearch.analysis.report.document import cheapest_first
from archsearch.analysis.report.importance import importance
from archsearch.analysis.report.leaderboard import csv_of, leaderboard, ranked
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.space.loading import load_space
from tests.analysis.report.searches import SPACE, confirm, experiment

VOID = {"meta", "link", "br", "img", "circle", "line", "rect", "polygon", "polyline", "path"}


class Balance(HTMLParser):
    """Every tag that opens closes, in its order; and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [
            value for name, value in attrs if name in ("src", "href") and not value.startswith(("#", "data:"))
        ]

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def written(folder: ExperimentFolder, beside: Context | None = None) -> tuple[dict, str]:
    """The document, and the page, which is whole and fetches nothing."""
    reading = read_experiment(folder, beside or Context(startup=10))
    found = document(reading)
    json.dumps(found, allow_nan=False)
    text = page(reading, found)
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert balance.fetched == []
    assert not re.search(r"https?://(?!www\.w3\.org/)", text.split("<body>")[1])
    return found, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> ExperimentFolder:
    return experiment(tmp_path_factory.mktemp("report"), 60, fail=0.1)


@pytest.fixture(scope="module")
def found(folder: ExperimentFolder) -> dict:
    return written(folder, Context(startup=10, baselines={"resnet8_cifar": {"flops": 600_000, "params": 5000}}))[0]


def test_the_figures_are_the_ledgers(folder: ExperimentFolder, found: dict) -> None:
    with Ledger.read(folder.ledger) as ledger:
        best, trials = ledger.best(), ledger.trials()
    assert found["winner"]["trial"] == best.id
    assert found["winner"]["value"] == best.value
    assert found["winner"]["low"] < best.value < found["winner"]["high"]
    assert [row["trial"] for row in found["rows"]] == [trial.id for trial in trials]
    assert found["budget"][0]["used"] == best.cost["flops"]
    assert sum(row["count"] for row in found["failures"]) == found["trials"]["failed"] > 0
    assert found["baselines"] == [
        {"name": "resnet8_cifar", "cost": {"flops": 600_000, "params": 5000}, "kind": "cost", "value": None}
    ]


def test_of_equal_points_the_front_names_the_first() -> None:
    points = [("a", 10, 0.5), ("b", 10, 0.5), ("c", 20, 0.5), ("d", 20, 0.9), ("e", 15, 0.4), ("f", 5, 0.1)]
    assert cheapest_first(points) == ["f", "a", "d"]
    assert cheapest_first([]) == []


def test_nothing_beats_the_front_and_it_beats_the_rest(found: dict) -> None:
    done = [row for row in found["rows"] if row["state"] == "finished"]
    scores = {row["trial"]: (row["value"], -row["cost"]["flops"]) for row in done}

    def beaten(one: tuple, other: tuple) -> bool:
        return other != one and other[0] >= one[0] and other[1] >= one[1]

    undominated = {t for t, own in scores.items() if not any(beaten(own, other) for other in scores.values())}
    assert set(found["front"]) == undominated


def test_random_is_what_was_proposed_before_the_sampler_knew_enough(folder: ExperimentFolder) -> None:
    for startup, beyond in ((10.0, False), (float("inf"), True)):
        drawn = read_experiment(folder, Context(startup=startup)).random
        assert (60 in drawn) == beyond
        assert set(range(1, 11)) <= drawn
    anchored = read_experiment(folder, Context(startup=10, is_anchor=lambda before: before < 3 or before == 7)).random
    assert not anchored & {1, 2, 3, 8} and {4, 5, 6, 7, 9, 10} <= anchored
    unknown = written(folder, Context())[0]
    assert unknown["progress"]["random"]["why_not"]
    assert unknown["distribution"]["space"] is None


def test_the_expectation_of_random_rests_on_the_random_trials_alone(found: dict) -> None:
    random = found["progress"]["random"]
    values = [row["curve"][0][1] for row in found["rows"] if row["random"] and row["curve"]]
    assert random["n"] == len(values)
    assert random["best"]["expected"][0] == pytest.approx(np.mean(values))
    assert random["best"]["expected"][-1] == pytest.approx(max(values))


def test_hours_are_those_in_which_workers_were_busy(folder: ExperimentFolder, found: dict) -> None:
    with Ledger.read(folder.ledger) as ledger:
        began, busy = None, 0.0
        for event in ledger.events():  # one lane: from every start to what ended it
            if event.kind == "started":
                began = event.time
            elif event.kind in ("paused", "finished", "failed"):
                busy += event.time - began
    last_failed = found["rows"][-1]["state"] == "failed"
    assert not last_failed
    assert found["spent"]["lane_hours"] == pytest.approx(busy / 3600)


def test_the_word_that_decides_is_found_and_noise_explains_nothing(found: dict, tmp_path: Path) -> None:
    said = found["importance"]
    assert said["words"][0]["word"] == "block"
    shares = {row["word"]: row["share"] for row in said["words"]}
    assert shares["activation"] < 0.1 < shares["depth"] < shares["block"]
    assert said["explained"] > 0.8
    assert {row["word"] for row in said["words"] if row["share"] > row["chance"]} == {"block", "depth"}
    assert sum(row["share"] for row in said["words"]) == pytest.approx(1)
    noise = experiment(tmp_path, 60, score=lambda choices, luck: 0.5 + luck.gauss(0, 0.05))
    said, text = written(noise)
    assert said["importance"]["explained"] < 0.1
    assert all(row["share"] <= row["chance"] for row in said["importance"]["words"])
    assert "No choice is more influential than chance" in text and "importance of each choice" not in text


def test_importance_is_the_same_each_time(folder: ExperimentFolder) -> None:
    trials = read_experiment(folder).trials
    scores = np.random.default_rng(0).random(len(trials))
    assert importance(columns(trials), scores) == importance(columns(trials), scores)


def test_the_narrower_space_loads_holds_the_best_and_drops_what_is_never_asked(found: dict, tmp_path: Path) -> None:
    said = found["narrower"]
    assert said["checked"]
    file = tmp_path / "narrower.yaml"
    file.write_text(said["yaml"])
    space, before = load_space(file), SPACE
    assert space.name == "small-narrow"
    assert list(space.parameters["block"].domain.choice) == ["basic"]
    assert "cardinality" not in space.parameters
    assert "cardinality" in before
    assert space.size() == said["size"][1] < said["size"][0]
    best = next(row for row in found["rows"] if row["trial"] == found["winner"]["trial"])
    assert space.parameters["depth"].domain.holds(best["choices"]["stage2.depth"])


def test_the_leaderboard_holds_every_trial_and_every_choice_that_varies(found: dict) -> None:
    ranks = [(row["state"] != "finished", -(row["epochs"] or 0), -(row["value"] or 0.0)) for row in ranked(found)]
    assert ranks == sorted(ranks)
    shown = leaderboard(found)
    assert re.findall(r'<tr[^>]* data-t="([^"]*)"', shown) == [row["trial"] for row in ranked(found)]
    heads = re.findall(r"<button[^>]*>([^<]*)</button></th>", shown)
    assert heads[:2] == ["#", "trial"] and {"block", "stage1.depth", "cardinality"} <= set(heads)
    assert "n/a" in shown
    rows = list(csv.DictReader(io.StringIO(csv_of(found))))
    by_id = {row["trial"]: row for row in found["rows"]}
    assert len(rows) == len(by_id)
    for row in rows:
        trial = by_id[row["trial"]]
        assert row["validation_accuracy"] == ("" if trial["value"] is None else repr(trial["value"]))
        assert int(row["flops"]) == trial["cost"]["flops"]
        assert row["stage1.depth"] == str(trial["choices"]["stage1.depth"])
        assert (row["cardinality"] == "") == ("cardinality" not in trial["choices"])


def test_training_curves_stand_beside_those_of_validation(folder: ExperimentFolder) -> None:
    found, text = written(folder)
    row = next(row for row in found["rows"] if row["state"] == "finished")
    assert [epoch for epoch, _ in row["training_curve"]] == [epoch for epoch, _ in row["curve"]] == list(range(1, 10))
    assert row["training_curve"][0][1] == pytest.approx(row["curve"][0][1] - 0.05)
    assert "training accuracy" in text and "curve best training" in text


def test_a_confirmation_speaks_first(folder: ExperimentFolder, tmp_path: Path) -> None:
    own = experiment(tmp_path, 12)
    confirm(own, 3)
    found, text = written(own)
    assert (found["winner"]["confirmed"], found["winner"]["value"], found["winner"]["half"]) == (True, 0.93, 0.01)
    assert found["picked"] == "Best of all by its mean."
    assert [row["kind"] for row in found["baselines"]] == ["trained"]
    assert "Retrained over new seeds" in text


def test_of_two_seeds_the_report_shows_the_values_and_no_interval(tmp_path: Path) -> None:
    own = experiment(tmp_path, 12)
    confirm(own, 3)
    file = own.confirmation.document
    verdict = json.loads(file.read_text())
    for split in ("validation", "test"):  # with the interval that older versions wrote
        verdict["rows"][0][split] |= {"n": 2, "values": [0.81, 0.93], "mean": 0.87}
    file.write_text(json.dumps(verdict))
    found, text = written(own)
    assert (found["winner"]["half"], found["winner"]["low"], found["winner"]["value"]) == (None, None, 0.87)
    assert text.count("of 2 seeds: 81.00 %, 93.00 %") == 2
    assert "81.00, 93.00 %" in text and "93.00 ± 1.00" not in text


@pytest.mark.parametrize(
    ("trials", "words", "headline"),
    [(0, {}, "No trial has begun"), (2, {}, "No trial was trained to its end"),
     (3, {"fail": 1.0}, "All 3 trials failed"),
     (1, {"fail": 1.0}, "The only trial failed"), (4, {"state": None}, "t0003 gets"),
     (4, {"state": "interrupted"}, "The search has not ended")],
)  # fmt: skip
def test_where_little_is_known_it_says_so(tmp_path: Path, trials: int, words: dict, headline: str) -> None:
    found, text = written(experiment(tmp_path, trials, **words))
    assert headline in text
    assert found["narrower"]["yaml"] is None
    assert "20 are needed" in found["importance"]["why_not"]
    assert trials == 0 or "20 are needed" in text


def test_several_objectives_and_bounds_have_charts_of_their_own(tmp_path: Path) -> None:
    words = ("search.objectives={accuracy: max, params: min}", "budget={flops: {max: 40M}, params: {max: 1M}}")
    found, text = written(experiment(tmp_path, 20, *words))
    assert {row["trial"] for row in found["pareto"]} >= {found["winner"]["trial"]}
    assert "parameters, log scale" in text
    assert [bound["name"] for bound in found["budget"]] == ["flops", "params"]


def test_it_is_written_where_the_images_are_elsewhere(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 60)
    text = folder.space_yaml.read_text().replace("name: digits", "name: folder").replace("root: data", "root: gone")
    assert "root: gone" in text
    folder.space_yaml.write_text(text)
    found, said = written(folder)
    assert found["winner"] is not None
    assert found["budget"] == []
    assert not found["narrower"]["checked"]
    assert "could not be checked here" in said


def test_what_others_wrote_stays_text(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><b onmouseover=x>"
    found, text = written(experiment(tmp_path, 12, fail=0.5, reason=evil))
    assert found["failures"][0]["reason"] == evil
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.slow
def test_a_thousand_trials_stay_below_five_megabytes(tmp_path: Path) -> None:
    _, text = written(experiment(tmp_path, 1000, fail=0.05))
    assert len(text.encode()) < 5_000_000


def test_it_says_how_often_the_test_split_was_looked_at(tmp_path: Path) -> None:
    folder = experiment(tmp_path, 12)
    with Ledger.open(folder.ledger) as ledger:
        best = ledger.best().number
        ledger.note("tested", {"test_accuracy": 0.5}, trial=best)
    assert "measured once, for it alone" in json.dumps(written(folder)[0])
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("tested", {"test_accuracy": 0.4}, trial=1 if best != 1 else 2)
    assert "measured once for it, and once for earlier winners" in json.dumps(written(folder)[0])

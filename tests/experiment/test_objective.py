"""A search by a metric that should be small: all that ranks, compares or shows trials knows which value is better."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.experiment import Event, ExperimentFolder, Ledger, TrialState
from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.pareto import front
from archsearch.experiment.records import leader_of
from archsearch.experiment.remarks import remarks
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import FINISHED, winner_of
from archsearch.reading.errors import InputError
from archsearch.search.confirming.contenders import Contender
from archsearch.search.confirming.detection import precision
from archsearch.search.confirming.verdict import Row, choose, differences
from archsearch.search.deciding.rungs import Rungs
from archsearch.search.proposing.records import Records, TrainedCandidate
from archsearch.space.search_settings import EarlyStopping
from archsearch.tracking.translate import updates
from archsearch.tracking.view import shared_view
from tests.experiment import fill

ERROR = Objective(name="mean_absolute_error", sense="min", percent=False)
F1 = Objective(name="macro_f1", sense="max", percent=True)
META = {"name": "angles", "space": "angles", "objectives": {ERROR.name: "min", "flops": "min"}, "trials": 9}


def searched(path: Path, values: list[float], objective: Objective = ERROR, **meta: Any) -> ExperimentFolder:
    """A ledger whose trials have finished with these values, the first 3 of them after a rung of 1 epoch."""
    folder = ExperimentFolder(path).create()
    folder.space_yaml.write_text("archsearch: 1\nname: angles\n")
    with Ledger.create(folder.ledger, {**META, "metric": objective.to_dict(), **meta}) as ledger:
        ledger.begin()
        for number, value in enumerate(values, 1):
            fill.propose(ledger, number)
            ledger.start(number)
            for epoch in (1, 2):
                ledger.epoch(number, epoch, {"seconds": 1.0, objective.validation: value + 2 - epoch})
                if epoch == 1:
                    ledger.pause(number, value + 1, rung=1)
                    ledger.promote(number)
                    ledger.start(number, resume_epoch=1)
            ledger.finish(number, value)
            folder.make_trial(number)
            folder.weights(number).write_bytes(b"weights")
        ledger.end("finished")
    return folder


def test_one_value_knows_which_is_better_and_how_it_is_read() -> None:
    assert (BY_ACCURACY.better(0.9, 0.8), ERROR.better(0.9, 0.8), ERROR.better(0.8, 0.8)) == (True, False, False)
    assert [ERROR.key(ERROR.key(value)) for value in (0.5, -3.0)] == [0.5, -3.0]
    assert (ERROR.gain(3.0, 4.5), BY_ACCURACY.gain(0.5, 0.25)) == (1.5, 0.25)
    assert (BY_ACCURACY.named(0.93042), F1.named(0.5), ERROR.named(12.3456)) == (
        "93.04 %", "macro-F1 50.00 %", "mean absolute error 12.35",
    )  # fmt: skip
    assert (F1.points(0.0125), ERROR.points(0.0125)) == ("1.25 points", "0.0125")
    assert (F1.validation, ERROR.test, F1.title) == ("validation_macro_f1", "test_mean_absolute_error", "Macro-F1")
    assert Objective.of({}) == BY_ACCURACY and Objective.of({"metric": ERROR.to_dict()}) == ERROR


def test_the_smallest_error_leads_and_wins(tmp_path: Path) -> None:
    folder = searched(tmp_path / "x", [3.0, 1.5, 1.5, 2.0])
    with Ledger.read(folder.ledger) as ledger:
        assert ledger.objective == ERROR
        assert ledger.best().number == 2, "of equals the first"
        assert ledger.best("max").number == 1
        assert leader_of(ledger.scores(), ledger.objective).trial.number == 2
        assert [trial.number for trial in front(ledger.trials(), ["mean_absolute_error", "flops"], ERROR)] == [1, 2]
        assert winner_of(folder, ledger).value == 1.5
    summary = summarise(folder)
    assert summary["metric"] == {"name": "mean_absolute_error", "sense": "min", "percent": False}
    assert (summary["best"]["trial"], summary["best"]["value"], summary["best"]["test_value"]) == ("t0002", 1.5, None)
    assert [row["trial"] for row in summary["pareto"]] == ["t0002", "t0001"]


def test_a_running_trial_s_score_is_of_the_metric(tmp_path: Path) -> None:
    folder = searched(tmp_path / "x", [3.0])
    with Ledger.open(folder.ledger) as ledger:
        fill.propose(ledger, 2)
        ledger.start(2)
        ledger.epoch(2, 1, {"validation_accuracy": 0.1, ERROR.validation: 0.5})
        assert {score.trial.number: score.value for score in ledger.scores()} == {1: 3.0, 2: 0.5}
        assert leader_of(ledger.scores(), ERROR).trial.number == 2
        assert ledger.changes(ERROR.validation, 0)[2][2] == {1: 0.5}


def test_a_longer_training_wins_where_its_error_is_smaller(tmp_path: Path) -> None:
    folder = searched(tmp_path / "x", [3.0, 2.0])
    folder.finish.path.mkdir()
    folder.finish.weights.write_bytes(b"longer")
    verdict = {"of": "finish", "winner": "t0001", "epochs": 6, "reference": None}
    for value, of in ((2.5, "search"), (1.0, "finish")):
        with Ledger.open(folder.ledger) as ledger:
            ledger.note(FINISHED, {**verdict, ERROR.validation: value}, trial=1)
            assert winner_of(folder, ledger).of == of
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("finish_tested", {ERROR.test: 1.25}, trial=1)
        assert (winner_of(folder, ledger).value, winner_of(folder, ledger).test) == (1.0, 1.25)
    assert (summarise(folder)["best"]["test_value"], summarise(folder)["best"]["test_accuracy"]) == (1.25, None)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("tested", {"test_accuracy": 0.5}),
        ("finish_tested", {"test_mean_absolute_error": None}),
        ("finished_training", {"of": "finish", "winner": "t0001", "epochs": 6, "validation_accuracy": 0.5}),
        ("confirmed", {"winner": "t0001", "validation_mean_absolute_error": "small"}),
    ],
)
def test_a_ledger_that_lacks_its_metric_is_damaged(tmp_path: Path, kind: str, data: dict[str, Any]) -> None:
    folder = searched(tmp_path / "x", [3.0])
    with Ledger.open(folder.ledger) as ledger:
        ledger.note(kind, data, trial=1)
    with pytest.raises(InputError, match="not written by archsearch"):
        Ledger.read(folder.ledger)


@pytest.mark.parametrize("change", [{"name": "$."}, {"sense": "most"}, {"percent": 1}])
def test_a_metric_that_is_none_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = ExperimentFolder(tmp_path / "x").create()
    with pytest.raises(InputError, match="metric of its meta"):
        Ledger.create(folder.ledger, {"metric": {**ERROR.to_dict(), **change}})


def test_rungs_promote_the_smallest_errors_and_come_back_from_the_ledger(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "x").create()
    stopping = EarlyStopping.model_validate({"grace_epochs": 1, "reduction": 3})
    with Ledger.create(folder.ledger, {"metric": ERROR.to_dict()}) as ledger:
        for number, value in enumerate([5.0, 0.5, 4.0, 3.0], 1):
            fill.propose(ledger, number)
            ledger.start(number)
            ledger.epoch(number, 1, {ERROR.validation: value})
            ledger.pause(number, value, rung=1)
        promotion = Rungs.of(stopping, 9, ledger).promotion()
        assert promotion is not None and promotion.trial == 2
        assert ledger.best(state=TrialState.PAUSED).number == 2


def test_samplers_see_errors_turned_so_that_more_is_better() -> None:
    records = Records(columns=1, objectives=("flops", ERROR.name), rungs=[1], full=2, objective=ERROR)
    for number, error in enumerate([4.0, 1.0], 1):
        trained = TrainedCandidate(choices={}, costs={"flops": 10.0 * number}, curve={1: error + 1, 2: error})
        records.learn(np.array([number], np.int32), trained, number=number)
    history = records.history()
    assert history.scores.tolist() == [[-10.0, -4.0], [-20.0, -1.0]]
    assert history.scores_at(1)[:, 1].tolist() == [-5.0, -2.0]


def row(kind: Any, number: int, errors: list[float]) -> Row:
    network = Architecture.from_dict({"input": [1, 8, 8], "stages": [{"depth": 1}]})
    contender = Contender(
        kind=kind, name=f"{kind}{number}", architecture=network, digest=digest(network), key=f"{kind}{number}",
        cost=MappingProxyType({"params": 1, "flops": 1}), within_budget=True, trial=number,
    )  # fmt: skip
    results = {seed: {s: {ERROR.name: error} for s in ("validation", "test")} for seed, error in enumerate(errors, 1)}
    return Row(contender=contender, results=results, seen=True, objective=ERROR)


def test_a_confirmation_chooses_the_smallest_mean_error_and_a_lead_is_above_0() -> None:
    rows = [row("trial", 1, [3.0, 3.1, 3.2]), row("trial", 2, [2.0, 2.1, 1.9]), row("baseline", 3, [4.0, 4.2, 4.4])]
    winner = choose(rows)
    assert winner is rows[1] and winner.best_seed == 3
    (lead,) = differences(rows, winner)
    assert lead.test.mean == pytest.approx(2.2)
    detects = {"seeds": 3, "comparisons": 2, "lead": 0.25, "probability": 0.8, "more_seeds": None}
    assert "a lead of 0.25 in 80%" in precision(detects, 3, objective=ERROR)[0]


def test_what_an_end_calls_for_is_told_in_the_metric_s_unit(tmp_path: Path) -> None:
    folder = searched(tmp_path / "x", [3.0])
    with Ledger.read(folder.ledger) as ledger:
        best, epochs = ledger.best(), ledger.epochs(1)
    (sentence,) = remarks(best, epochs, None, [1], objective=ERROR)
    assert sentence.startswith("From 1 to 2 epochs it gained 1 in mean absolute error, and more")
    slower = replace(best, value=3.9)
    assert remarks(slower, epochs, None, [1], objective=ERROR) == []
    floor = {"images": 100, "random_forest": 0.5, "reference": {"name": "plain resnet8", ERROR.name: 2.5}}
    assert remarks(best, epochs, floor, [], objective=ERROR) == [
        "The best network, mean absolute error 3, is above a plain resnet8 of the same budget, 2.5 (100 validation "
        "images): the search has not beaten these baselines yet. More epochs, a larger budget or more images may help."
    ]
    assert remarks(replace(best, value=2.0), epochs, floor, [], objective=ERROR) == []


def test_mlflow_has_the_metric_by_its_name_and_sorts_by_its_sense() -> None:
    events = [
        Event(id=1, time=1.0, kind="epoch", trial=1, data={"epoch": 1, "metrics": {ERROR.validation: 2.0}}),
        Event(id=2, time=2.0, kind="finished", trial=1, data={"value": 2.0}),
    ]
    (update,) = updates(events, ERROR)
    assert [point.key for point in update.points] == ["validation_mean_absolute_error", "final_mean_absolute_error"]
    view = shared_view("id", "run", [], "angles", 0.0, ERROR)
    assert "metrics.`mean_absolute_error`" in view and '\\"orderByAsc\\": true' in view
    assert '\\"orderByAsc\\": false' in shared_view("id", "run", [], "angles", 0.0)

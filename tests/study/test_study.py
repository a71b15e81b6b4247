"""An experiment as a study of Optuna: what the ledger says, while it grows and afterwards, and nothing written."""

import gc
import os
import warnings
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState as State

import archsearch
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.reading.errors import InputError
from archsearch.search.deciding.search import Search
from archsearch.study.storage import storage_of, study_over
from archsearch.study.trials import Translation
from tests.faults.driving import Arithmetic, drive, in_a_child, new
from tests.faults.invariants import check_study

TRAINED = "training.learning_rate={float: [0.01, 0.1], log: true}"
LEVEL = "training.label_smoothing={float: [0.0, 0.2], step: 0.05}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = new(tmp_path_factory.mktemp("study"), TRAINED, LEVEL, "search.trials=14")
    drive(folder)
    return folder


def test_the_study_says_what_the_ledger_says_after_every_report(tmp_path: Path) -> None:
    folder = new(tmp_path)
    study, states = archsearch.optuna_study(folder.path), set()

    def look(search: Search) -> None:
        check_study(folder, study)
        assert search.study.get_trials() == study.get_trials()
        states.update(trial.state for trial in study.get_trials(deepcopy=False))

    drive(folder, workers=2, after_each=look)
    assert states == {State.RUNNING, State.PRUNED, State.COMPLETE}
    assert study.get_trials() == archsearch.optuna_study(folder.path).get_trials()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds open files in /proc")
def test_a_storage_lets_go_of_the_ledger_and_reads_it_again(folder: ExperimentFolder) -> None:
    def is_open() -> bool:
        return any(os.path.realpath(file) == str(folder.ledger.resolve()) for file in Path("/proc/self/fd").iterdir())

    gc.collect()
    storage = storage_of(folder)
    trials = storage.get_all_trials(1)
    assert is_open()
    storage.close()
    assert not is_open()
    assert storage.get_all_trials(1) == trials and is_open()
    storage.close()


def test_parameters_have_the_names_and_the_domains_of_the_file(folder: ExperimentFolder) -> None:
    trials = archsearch.optuna_study(folder.path).trials
    distributions = {name: d for trial in trials for name, d in trial.distributions.items()}
    assert distributions["link"] == CategoricalDistribution(("plain", "residual", "dense"))
    assert distributions["stage1.depth"] == IntDistribution(1, 2)
    assert distributions["training.learning_rate"] == FloatDistribution(0.01, 0.1, log=True)
    assert distributions["training.label_smoothing"] == FloatDistribution(0.0, 0.2, step=0.05)
    with Ledger.read(folder.ledger) as ledger:
        for trial, recorded in zip(trials, ledger.trials(), strict=True):
            trial._validate()
            assert trial.params == recorded.choices
            assert trial.user_attrs["training.learning_rate"] == recorded.choices["training.learning_rate"]
            assert trial.user_attrs.get("reason") == recorded.reason
            assert trial.user_attrs["flops"] == recorded.cost["flops"]
            assert trial.constraints == pytest.approx({"flops.max": recorded.cost["flops"] / 120_000 - 1})


def test_a_value_that_a_changed_space_does_not_hold_is_a_choice_by_itself(tmp_path: Path) -> None:
    folder = new(tmp_path)
    drive(folder)
    text = folder.space_yaml.read_text()
    assert "[plain, residual, dense]" in text
    folder.space_yaml.write_text(text.replace("[plain, residual, dense]", "[plain, dense]"))
    trials = [t for t in archsearch.optuna_study(folder.path).trials if t.params["link"] == "residual"]
    assert trials
    for trial in trials:
        trial._validate()
        assert trial.distributions["link"] == CategoricalDistribution(("residual",))


def test_what_optuna_draws_and_ranks_works_on_it(folder: ExperimentFolder) -> None:
    study = archsearch.optuna_study(folder.path)
    with Ledger.read(folder.ledger) as ledger:
        best, finished = ledger.best(), len([t for t in ledger.trials() if t.state == "finished"])
    assert best is not None and study.best_trial.user_attrs["trial"] == best.id and study.best_value == best.value
    frame = study.trials_dataframe()
    assert frame["user_attrs_trial"].tolist() == [f"t{number:04d}" for number in range(1, 15)]
    assert (frame["state"] == "COMPLETE").sum() == finished
    assert sum(optuna.importance.get_param_importances(study).values()) == pytest.approx(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("optimization_history", "intermediate_values", "parallel_coordinate", "slice", "edf", "timeline",
                     "param_importances"):  # fmt: skip
            assert len(getattr(optuna.visualization, f"plot_{name}")(study).data) > 0, name


def test_several_objectives_have_their_directions_names_and_front(tmp_path: Path) -> None:
    folder = new(tmp_path, "search.objectives={accuracy: max, params: min}")
    drive(folder)
    study = archsearch.optuna_study(folder.path)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    with Ledger.read(folder.ledger) as ledger:
        finished = [(t.number, t.value, t.cost["params"]) for t in ledger.trials() if t.state == "finished"]
    front = {n for n, v, p in finished if not any(w >= v and q <= p and (w, q) != (v, p) for _, w, q in finished)}
    assert {trial.user_attrs["number"] for trial in study.best_trials} == front
    assert {"values_accuracy", "values_params"} <= set(study.trials_dataframe().columns)
    assert len(optuna.visualization.plot_pareto_front(study).data) > 0


def test_writing_is_refused_in_a_clear_word_and_changes_nothing(folder: ExperimentFolder) -> None:
    study, before = archsearch.optuna_study(folder.path), folder.ledger.read_bytes()
    study.trials[0].user_attrs["digest"] = "altered"
    study.trials[0].params.clear()
    assert study.trials[0].params and study.trials[0].user_attrs["digest"] != "altered"
    trial = optuna.create_study().ask()
    for write in (
        study.ask,
        lambda: study.optimize(lambda trial: 1.0, n_trials=1),
        lambda: study.enqueue_trial({"link": "plain"}),
        lambda: study.add_trial(optuna.trial.create_trial(value=1.0)),
        lambda: study.set_user_attr("mine", 1),
        lambda: study._storage.set_trial_state_values(trial._trial_id, State.COMPLETE, [1.0]),
        lambda: study._storage.delete_study(study._study_id),
    ):
        with pytest.raises(InputError, match=r"the study of an experiment is read-only"):
            write()
    assert folder.ledger.read_bytes() == before


def test_only_what_has_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new(tmp_path)
    translated, frozen = [], Translation.frozen

    def counting(self: Translation, trial: object, curve: object) -> object:
        translated.append(trial.number)
        return frozen(self, trial, curve)

    drive(folder)
    study = archsearch.optuna_study(folder.path)
    monkeypatch.setattr(Translation, "frozen", counting)
    assert len(study.trials) == 8 and sorted(translated) == list(range(1, 9))
    assert len(study.trials) == 8 and len(translated) == 8
    with Ledger.open(folder.ledger) as ledger:
        ledger.note("tested", {"test_accuracy": 0.5}, trial=3)
    assert len(study.trials) == 8 and translated[8:] == [3]


def test_a_trial_that_was_never_begun_waits_and_a_failed_one_has_failed(tmp_path: Path) -> None:
    folder = new(tmp_path)
    assert in_a_child(lambda: drive(folder), crash="proposed-after:2") in (-9, 0)
    with Ledger.open(folder.ledger) as ledger:
        network = archsearch.zoo.get("resnet20_cifar").to_dict()
        cost = {"params": 1, "flops": 2, "macs": 2, "activations": 1, "memory": 1}
        number = ledger.propose(
            choices={"block": "basic"}, architecture=network, digest="0" * 16, cost=cost, seed=0
        ).number
        study = archsearch.optuna_study(folder.path)
        assert study.trials[number - 1].state is State.WAITING
        ledger.start(number)
        ledger.epoch(number, 1, {"validation_accuracy": float("nan")})
        running = study.trials[number - 1]
        assert running.state is State.RUNNING and np.isnan(running.intermediate_values[1])
        ledger.fail(number, "nan: of all things")
        failed = study.trials[number - 1]
        assert (failed.state, failed.values, failed.user_attrs["reason"]) == (State.FAIL, None, "nan: of all things")
        failed._validate()


def test_a_driver_holds_the_study_with_the_sampler_that_proposes(tmp_path: Path) -> None:
    folder = new(tmp_path)
    with Ledger.open(folder.ledger) as ledger:
        from tests.search.local import Silent

        space = archsearch.load_space(folder.space_yaml)
        search = Search(space=space, folder=folder, ledger=ledger, observer=Silent())
        assert isinstance(search.study, optuna.Study)
        assert search.study.study_name == "x"
        assert isinstance(search.study.sampler, archsearch.samplers.GaussianProcessSampler)
        assert search.study.sampler.algorithm is search._candidates.sampler


def test_no_such_experiment(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no experiment"):
        archsearch.optuna_study(tmp_path / "none")


def test_it_is_there_though_the_images_are_gone(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cats", "dogs"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (8, 8), (number, 9, 9)).save(tmp_path / "images" / name / f"{number}.png")
    folder = new(tmp_path, f"data={{name: folder, root: {tmp_path / 'images'}, size: 8}}", "budget={}")
    drive(folder, lambda space: Arithmetic(space.training.epochs))
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert len(archsearch.optuna_study(folder.path).trials) == 8
    space = archsearch.load_space(folder.space_yaml, [f"data.root={tmp_path / 'elsewhere'}"])
    assert len(study_over(folder, space).trials) == 8

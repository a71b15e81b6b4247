"""Optuna's samplers behind our face: told what was run, asked through their public interface."""

import sys
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from archsearch.reading.errors import InputError
from archsearch.search.proposing.history import History
from archsearch.search.proposing.samplers import optuna_adaptor, sampler_of
from archsearch.search.proposing.samplers.optuna_adaptor import OptunaAdaptor, nearest
from archsearch.search.proposing.samplers.registry import allow
from archsearch.space.many.columns import Column
from benchmarks.finite_field import FiniteField
from tests.search.samplers.small import NAMES, accuracy, search, space

TPE = "optuna.samplers:TPESampler"


class Spy(optuna.samplers.RandomSampler):
    """Keeps what a study knew when it was asked."""

    seen: list[optuna.trial.FrozenTrial] = []  # noqa: RUF012

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        Spy.seen = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]


def messy() -> tuple[FiniteField, History]:
    field = space()
    codes = field.draw(6, np.random.default_rng(0))
    for row in codes:
        field.use(row)
    scores = np.array([0.5, 0.6, 0.7, np.nan, 0.8, np.nan])[:, None]
    return field, History(codes, scores, np.array([9, 1, 9, 9, 3, 0]), 9)


def test_the_study_hears_what_was_run_and_how_far() -> None:
    field, history = messy()
    allow([f"{__name__}:Spy"])
    OptunaAdaptor(f"{__name__}:Spy").propose(history, field, np.random.default_rng(0))
    told = [trial for trial in Spy.seen if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert [trial.state.name for trial in told] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert [trial.value for trial in told if trial.state == TrialState.COMPLETE] == [0.5, 0.7]
    assert [trial.intermediate_values for trial in told] == [{}, {1: 0.6}, {}, {3: 0.8}]
    for trial, row in zip(told, history.codes[[0, 1, 2, 4]], strict=True):
        assert trial.params == {name: code for name, code in zip(NAMES, row.tolist(), strict=True) if code >= 0}


@pytest.mark.parametrize("name", ["TPESampler", "RandomSampler", "NSGAIISampler"])
def test_optunas_own_samplers_search(name: str) -> None:
    field = space()
    history = search(OptunaAdaptor(f"optuna.samplers:{name}"), field, 25)
    assert len(history) == 25


def test_tpe_learns_from_what_it_is_told() -> None:
    tops = {}
    for name in ("TPESampler", "RandomSampler"):
        found = [search(OptunaAdaptor(f"optuna.samplers:{name}"), space(), 35, seed) for seed in range(4)]
        tops[name] = np.mean([accuracy(space(), history.codes).max() for history in found])
    assert tops["TPESampler"] > tops["RandomSampler"]


def test_a_population_forms_although_suggestions_are_moved() -> None:
    """NSGA-II writes down each trial's generation: beyond the first one, children resemble their parents."""
    field = space()
    adaptor = OptunaAdaptor("optuna.samplers:NSGAIISampler", {"population_size": 10})
    history = search(adaptor, field, 45)
    adaptor.propose(history, field, np.random.default_rng(0))
    study = adaptor._study
    assert study is not None
    kept = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    generations = [v for trial in kept for k, v in trial.system_attrs.items() if k.endswith(":generation")]
    assert len(generations) == len(kept) and max(generations) >= 3


def test_the_nearest_candidate_changes_the_fewest_choices_and_those_the_least() -> None:
    field = space()
    rng = np.random.default_rng(0)
    wished = np.array([1, 1, 0, 2, 0, 1], np.int32)  # plain: the growth rate does not count
    found = nearest(wished, field, rng)
    assert found is not None and found.tolist() == [1, 1, 0, 2, -1, 1]
    field.use(found)
    found = nearest(wished, field, rng)
    assert found is not None
    assert ((found != wished) & (found >= 0)).sum() == 1
    field.left[:] = False
    far = int(field.places(np.array([0, 0, 0, 0, -1, 1])))
    near = int(field.places(np.array([1, 0, 0, 0, -1, 1])))
    field.left[[far, near]] = True
    found = nearest(wished, field, rng)
    assert found is not None and int(field.places(found)) == near
    field.left[:] = False
    assert nearest(wished, field, rng) is None


def test_a_distance_along_an_ordered_choice_is_a_share_of_it_and_along_another_is_one() -> None:
    columns = [
        Column(name=name, values=tuple(range(size)), weights=np.full(size, 1 / size), ordered=ordered)
        for name, size, ordered in (("few", 2, True), ("many", 9, True), ("names", 9, False))
    ]

    def chosen(*codes: list[int]) -> list[int]:
        rows = np.array(codes, np.int32)
        found = nearest(np.zeros(3, np.int32), FiniteField(columns, rows, {}), np.random.default_rng(0))
        assert found is not None
        return found.tolist()

    assert chosen([1, 0, 0], [0, 7, 0], [0, 0, 1]) == [0, 7, 0]  # seven eighths of the way
    assert chosen([1, 7, 0], [0, 7, 8], [1, 6, 0]) == [1, 6, 0]
    assert chosen([0, 8, 8], [0, 7, 8]) == chosen([0, 8, 1], [0, 7, 8]) == [0, 7, 8]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TPESampler", "module:Class"),
        ("optuna.samplers:", "module:Class"),
        ("no_such_module_here:TPESampler", "no_such_module_here"),
        ("optuna.samplers:TPESampeler", "TPESampler"),
        ("optuna.samplers:intersection_search_space", "not an Optuna sampler"),
        ("collections:OrderedDict", "BaseSampler"),
        ("optuna.samplers:PartialFixedSampler", "cannot be made"),
        ("optuna.samplers:GridSampler", "enumerates combinations"),
        ("optuna.samplers:BruteForceSampler", "enumerates combinations"),
    ],
)
def test_what_is_no_sampler_is_refused(name: str, said: str) -> None:
    allow(["no_such_module_here:TPESampler", "collections:OrderedDict"])
    with pytest.raises(InputError) as refused:
        OptunaAdaptor(name)
    assert said in str(refused.value)


def test_options_reach_the_constructor_and_wrong_ones_are_refused() -> None:
    history = search(OptunaAdaptor(TPE, {"multivariate": True, "n_startup_trials": 3}), space(), 8)
    assert len(history) == 8
    with pytest.raises(InputError, match="no_such_option"):
        OptunaAdaptor(TPE, {"no_such_option": 3})


@pytest.mark.parametrize(
    "name", ["this:s", "lib2to3.__main__:X", "optuna.samplers._tpe.sampler:TPESampler", "os:system"]
)
def test_a_module_that_nobody_allowed_is_not_imported(name: str) -> None:
    """A file that names it runs no code; a class of Optuna's own is meant by its public name."""
    before = set(sys.modules)
    with pytest.raises(InputError, match="--allow-sampler MODULE:CLASS"):
        sampler_of({"optuna": name}, objectives=1)
    assert set(sys.modules) == before


def test_a_score_that_changes_is_told_anew_as_if_it_had_always_been_so() -> None:
    """A paused trial goes on: the study that has followed is the one that is made of the new history."""
    field, before = messy()
    later = replace(before, scores=before.scores + 0.1, epochs=np.full(6, 9))
    following, fresh = OptunaAdaptor(TPE), OptunaAdaptor(TPE)
    following.propose(before, field, np.random.default_rng(0))
    rows = [adaptor.propose(later, field, np.random.default_rng(1)) for adaptor in (following, fresh)]
    assert rows[0] is not None and np.array_equal(*rows)  # type: ignore[arg-type]
    studies = [adaptor._study.get_trials(states=[TrialState.COMPLETE]) for adaptor in (following, fresh)]  # type: ignore[union-attr]
    assert [t.values for t in studies[0]] == [t.values for t in studies[1]]
    assert [t.values[0] for t in studies[0]] == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert [t.params for t in studies[0]] == [t.params for t in studies[1]]


def test_a_model_hears_of_the_best_and_the_newest_of_many_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_adaptor, "BEST", 3)
    monkeypatch.setattr(optuna_adaptor, "NEWEST", 5)
    field = space()
    codes = field.draw(20, np.random.default_rng(0))
    scores = np.full(20, 0.5)
    scores[[2, 7, 16]] = 0.9
    adaptor = OptunaAdaptor(TPE)
    history = History(codes, scores[:, None], np.full(20, 9), 9)
    assert adaptor.propose(history, field, np.random.default_rng(0)) is not None
    expected = codes[[2, 7, 14, 15, 16, 17, 18, 19]]
    assert [list(trial.params.values()) for trial in adaptor.known] == [
        [c for c in row if c >= 0] for row in expected.tolist()
    ]
    other = OptunaAdaptor("optuna.samplers:RandomSampler")
    assert other.propose(history, field, np.random.default_rng(0)) is not None
    assert len(other.known) == 20, "no model whose time grows: it hears of all"


def test_a_population_hears_of_trials_as_they_end_and_is_not_made_anew() -> None:
    """A trial that was known at a rung before others ended comes after them, so that what they were told of stays."""
    field = space()
    codes = field.draw(30, np.random.default_rng(0))
    for row in codes:
        field.use(row)
    scores, ended = np.linspace(0.1, 0.9, 30)[:, None], np.arange(30.0)
    adaptor = OptunaAdaptor("optuna.samplers:NSGAIISampler", {"population_size": 5})
    epochs = np.full(30, 9)
    epochs[3] = 1
    adaptor.propose(History(codes, scores, epochs, 9, ended=ended), field, np.random.default_rng(0))
    before = adaptor.known
    epochs, ended = np.full(30, 9), ended.copy()
    ended[3] = 99.0
    history = History(codes, scores, epochs, 9, ended=ended)
    rows = [adaptor.propose(history, field, np.random.default_rng(1)) for _ in range(2)]
    assert len(before) == 29 and len(adaptor.known) == 30
    assert all(after is trial for after, trial in zip(adaptor.known, before, strict=False))
    anew = OptunaAdaptor("optuna.samplers:NSGAIISampler", {"population_size": 5})
    rows.append(anew.propose(history, field, np.random.default_rng(1)))
    assert all(row is not None and np.array_equal(row, rows[0]) for row in rows)  # type: ignore[arg-type]
    generations = [next(v for k, v in t.system_attrs.items() if k.endswith(":generation")) for t in adaptor.known]
    assert generations == [number // 5 for number in range(30)]

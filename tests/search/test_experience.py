"""Experience: what earlier experiments teach, what is kept of it, and what it changes."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archsearch.api.searching import begin, dry_run
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.shapes import check_event
from archsearch.experiment.summary import learned, summarise
from archsearch.reading.errors import InputError
from archsearch.search.proposing.experience import Source, experience, shipped, source_of, weights, weights_of
from archsearch.search.proposing.history import History
from archsearch.search.proposing.proposals import Proposals
from archsearch.search.proposing.samplers.bayes import Bayes
from archsearch.search.proposing.samplers.experience import Experience
from archsearch.search.proposing.samplers.registry import random_until
from archsearch.search.session import create
from archsearch.space.loading import load_space
from archsearch.space.many.feasible import Feasible
from archsearch.space.many.features import features
from archsearch.space.space import SearchSpace
from tests.search.local import SPACE, drive_locally, tiny

RNG = np.random.default_rng(0)


def made_up(name: str, slope: float, count: int = 40, shift: float = 0.0) -> Source:
    depth, noise = RNG.normal(shift, 1, count), RNG.normal(0, 1, count)
    scores = 1 - np.exp(-(2 + 0.3 * slope * (depth - shift) - shift / 50))
    return Source(name=name, features={"depth": depth, "noise": noise}, scores=scores)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "first").mkdir()
    space, experiment = tiny(folder / "first")
    drive_locally(space, experiment)
    return experiment


def proposed(space: SearchSpace, learnt: dict[str, float] | None, count: int = 3) -> list[str]:
    proposals = Proposals(space, weights=learnt)
    found = []
    for number in range(1, count + 1):
        candidate = proposals.propose(number)
        assert candidate is not None
        proposals.begins(number, candidate)
        found.append(candidate.digest)
    return found


def test_weights_follow_what_is_better_within_each_source_and_not_between_them() -> None:
    both = weights([made_up("a", 1.0), made_up("b", 1.0, shift=-50.0)])
    assert 0.7 < both["depth"] < 1.1
    assert abs(both["noise"]) < 0.15, "though the source with the smaller features scores far higher"
    assert weights([made_up("a", -1.0)])["depth"] < -0.5


def test_what_the_sources_say_nothing_of_is_as_it_was_believed() -> None:
    learnt = weights([made_up("a", 1.0)], {"depth": -1.0, "width": 0.3})
    assert learnt["width"] == 0.3
    assert learnt["depth"] > 0.3, "forty trials outweigh a belief"
    assert weights([made_up("a", 1.0, count=2)], {"depth": -1.0})["depth"] < 0, "two do not"
    assert weights([], {"width": 0.3}) == {"width": 0.3}


def test_scores_that_are_less_sure_count_for_less() -> None:
    good, bad = made_up("a", 1.0), made_up("b", -1.0)
    both = Source(
        name="both",
        features={name: np.concatenate([good.features[name], bad.features[name]]) for name in good.features},
        scores=np.concatenate([good.scores, bad.scores]),
        trust=np.repeat([1.0, 0.1], 40),
    )
    assert weights([both])["depth"] > 0.4 > 0.2 > abs(weights([replace(both, trust=None)])["depth"])


def test_features_are_what_the_architectures_have(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    feasible = Feasible(space, seed=0)
    rows = feasible.draw(40, np.random.default_rng(0))
    values = features(feasible.grid, rows, feasible.costs(rows))
    assert set(feasible.features(rows, ["depth", "block=basic", "unknown"])) == {"depth", "block=basic"}
    proposals = Proposals(space)
    for index, row in enumerate(rows):
        candidate = proposals.candidate(row)
        first, last = (stage.depth for stage in candidate.architecture.stages)
        assert values["depth"][index] == pytest.approx((np.log2(first) + np.log2(last)) / 2)
        assert values["depth, last less first"][index] == pytest.approx(np.log2(last) - np.log2(first))
        kinds = [stage.block.kind for stage in candidate.architecture.stages]
        assert values["block=basic"][index] == kinds.count("basic") / 2
        assert values["flops"][index] == pytest.approx(np.log2(candidate.price.flops))
    assert "training.epochs" not in values


def test_an_experiment_is_a_source_by_its_trials_that_reached_a_rung(earlier: ExperimentFolder) -> None:
    source = source_of(earlier)
    assert source is not None
    with Ledger.read(earlier.ledger) as ledger:
        trials = ledger.trials()
    assert source.name == "experiment" and len(source.scores) == len(trials) == 8
    assert source.trust is not None
    measured = {round(float(np.log2(t.cost["flops"])), 6) for t in trials if t.state is TrialState.FINISHED}
    trusted = source.features["flops"][source.trust == source.trust.max()]
    assert measured <= set(trusted.round(6)) and 0 < source.trust.min() < source.trust.max() <= 1
    assert sorted(source.features["flops"]) == pytest.approx(sorted(np.log2([t.cost["flops"] for t in trials])))
    best = max(trials, key=lambda t: (t.epochs, t.value or 0))
    assert source.features["flops"][np.argmax(source.scores)] == pytest.approx(np.log2(best.cost["flops"]))


def test_too_few_results_and_damaged_ledgers_are_refused_where_named_and_passed_over_elsewhere(
    tmp_path: Path, earlier: ExperimentFolder
) -> None:
    root = tmp_path / "experiments"
    root.mkdir()
    for name in ("empty", "damaged", "linked"):
        (tmp_path / name).mkdir()
        tiny(tmp_path / name)[1].path.rename(root / name)
    with sqlite3.connect(root / "damaged" / "ledger.sqlite") as db:
        db.execute("DROP TABLE trials")
    (root / "linked" / "best.yaml").symlink_to("/etc/hostname")
    (root / "copied").mkdir()
    for file in ("space.yaml", "ledger.sqlite", "ledger.count"):
        (root / "copied" / file).write_bytes((earlier.path / file).read_bytes())
    learnt = experience(root)
    assert learnt.sources == (("copied", 8),)
    assert sorted(text.partition(":")[0] for text in learnt.passed_over) == ["damaged", "linked"]
    assert learnt.lines()[-1] == "learned from 1 earlier experiment: copied"
    for name in ("empty", "damaged"):
        with pytest.raises(InputError):
            experience(root, [ExperimentFolder(root / name)])
    assert experience(None).sources == () and experience(None).weights == shipped()


def test_a_resumed_search_goes_on_with_what_it_began_with(tmp_path: Path, earlier: ExperimentFolder) -> None:
    space, _ = tiny(tmp_path)
    folders = [ExperimentFolder(tmp_path / name) for name in ("whole", "interrupted")]
    learnt = replace(experience(None, [earlier]), weights={"depth": -1.0, "flops": -0.5})
    for folder in folders:
        create(space, folder, name=folder.name, learnt=learnt)
    drive_locally(space, folders[0])
    drive_locally(space, folders[1], reports=6)
    drive_locally(space, folders[1])
    digests = []
    for folder in folders:
        with Ledger.read(folder.ledger) as ledger:
            assert weights_of(ledger) == learnt.weights
            digests.append([trial.digest for trial in ledger.trials()])
        assert summarise(folder)["learned_from"] == [{"name": "experiment", "trials": 8}]
    assert digests[0] == digests[1]
    assert digests[0][:3] == proposed(space, dict(learnt.weights)) != proposed(space, None)


def test_the_first_trials_are_by_experience_and_by_size_in_turns(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path, "budget={}")
    proposals = Proposals(space, weights={"flops": -1.0})
    flops = []
    for number in range(1, 5):
        candidate = proposals.propose(number)
        assert candidate is not None
        proposals.begins(number, candidate)
        flops.append(candidate.price.flops)
    everything = Feasible(space, seed=0)
    costs = np.sort(everything.costs(everything.draw(10**6, RNG))["flops"])
    assert flops[0] == costs[0] and flops[1] == costs[-1]
    assert flops[2] < np.median(costs) < flops[3]
    assert isinstance(proposals.sampler, Bayes)
    assert [proposals.sampler.first(n) for n in range(8)] == [
        "expected", "large", "expected", "large", "expected", "random", "large", "random",
    ]  # fmt: skip
    _, is_chosen = random_until("auto", objectives=1, experienced=True)
    assert is_chosen is not None and [is_chosen(n) for n in range(6)] == [True] * 5 + [False]


def test_experience_that_does_not_tell_candidates_apart_changes_nothing(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path)
    assert Experience(weights={"depth": 1.0}).tells(Feasible(space, seed=0))
    assert not Experience(weights={"depth": 0.01}).tells(Feasible(space, seed=0))
    assert not Experience(weights={"of another space": 9.0}).tells(Feasible(space, seed=0))
    assert proposed(space, {"depth": 0.01}, 8) == proposed(space, None, 8)
    for other in ("search.sampler=random", "search.objectives={accuracy: max, flops: min}"):
        (tmp_path / other[:12]).mkdir()
        space, _ = tiny(tmp_path / other[:12], other)
        assert proposed(space, {"depth": 1.0}) == proposed(space, None)


def test_experiments_teach_a_search_beside_them_and_none_with_a_folder_of_its_own(
    tmp_path: Path, earlier: ExperimentFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments" / "old").mkdir(parents=True)
    for file in ("space.yaml", "ledger.sqlite", "ledger.count"):
        (tmp_path / "experiments" / "old" / file).write_bytes((earlier.path / file).read_bytes())

    def told(output: Path | None = None, named: tuple[str, ...] = (), *overrides: str) -> str:
        lines: list[str] = []
        space = load_space(file, overrides)
        dry_run(space, name=None, output=output, learn_from=named, tell=lines.append)
        return "\n".join(lines)

    file = tmp_path / "tiny.yaml"
    file.write_text(SPACE)

    mine, shipped_alone = "learned from 1 earlier experiment: old", learned([])
    assert mine in told()
    assert shipped_alone in told(tmp_path / "apart")
    assert mine in told(tmp_path / "apart", ("old",))
    assert "learned" not in told(None, (), "search.experience=none") + told(None, (), "search.sampler=random")
    assert mine in told(None, ("old",), "search.experience=none")
    with pytest.raises(InputError, match="only the sampler bayes"):
        told(None, ("old",), "search.sampler=random")
    with pytest.raises(InputError, match="no experiment"):
        told(None, ("nobody",))
    ready = begin(load_space(file), name=None, output=None, tell=lambda text: None)
    assert summarise(ready.session.folder)["learned_from"] == [{"name": "old", "trials": 8}]


def test_the_model_sees_what_experience_expects(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path, "budget={}")
    learnt = Experience(weights={"depth, last less first": 1.0, "block=basic": 1.0, "width, last less first": -1.0})
    reached: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(8):
        rng, feasible = np.random.default_rng(seed), Feasible(space, seed=0)
        codes = feasible.draw(8, rng)
        scores = learnt.expected(codes, feasible)[:, None]
        for row in codes:
            feasible.use(row)
        history = History(codes, scores, np.full(8, 3), 3)
        for sampler in (Bayes(), Bayes(experience=learnt)):
            row = sampler.propose(history, feasible, np.random.default_rng(seed))
            assert row is not None
            reached[sampler.experience is not None].append(float(learnt.expected(row[None], feasible)[0]))
    assert np.mean(reached[True]) > np.mean(reached[False]) + 0.2


@pytest.mark.parametrize("data", ['{"sources": [1], "weights": {}}', '{"sources": [], "weights": {"depth": "x"}}'])
def test_a_note_of_another_shape_is_damage(data: str) -> None:
    with pytest.raises(ValueError):
        check_event("experience", None, data)

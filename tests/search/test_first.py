"""Networks that a search tries first: `search.first`."""

from dataclasses import replace
from pathlib import Path

import pytest

from archsearch.api.spaces import load_space
from archsearch.api.starting import networks_tried_first
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.cli.showing.summary import show
from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.experiment.remarks import remarks
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import reference_of
from archsearch.reading.errors import InputError
from archsearch.search.proposing.first import plain_network
from archsearch.search.session import create
from archsearch.space.space import SearchSpace
from tests.search.local import SPACE, drive_locally, end


def space_of(tmp_path: Path, first: str, *overrides: str) -> SearchSpace:
    file = tmp_path / "tiny.yaml"
    file.write_text(SPACE.replace("search: {", f"search: {{first: {first}, "))
    return load_space(file, overrides)


def begun(space: SearchSpace, folder: Path) -> ExperimentFolder:
    experiment = ExperimentFolder(folder)
    create(space, experiment, name="tiny", first=networks_tried_first(space, lambda _: None))
    return experiment


def test_they_are_the_first_trials_and_a_resumed_search_has_them_too(tmp_path: Path) -> None:
    other = load_space(SPACE).sample(1, seed=8)[0]
    (tmp_path / "mine.yaml").write_text(other.to_yaml())
    space = space_of(tmp_path, f"[plain, {tmp_path / 'mine.yaml'}]", "search.trials=4")
    plain = plain_network(space)
    assert plain is not None and plain.digest != digest(other)
    folder, whole = begun(space, tmp_path / "killed"), begun(space, tmp_path / "whole")
    drive_locally(space, folder, reports=1)
    drive_locally(space, folder)
    drive_locally(space, whole)
    digests = []
    for experiment in (folder, whole):
        with Ledger.read(experiment.ledger) as ledger:
            digests.append([trial.digest for trial in ledger.trials()])
    assert digests[0] == digests[1] and digests[0][:2] == [plain.digest, digest(other)]
    assert len(set(digests[0])) == 4


def test_the_plain_network_is_the_largest_of_the_space_within_the_budget(tmp_path: Path) -> None:
    space = space_of(tmp_path, "[plain]")
    plain = plain_network(space)
    assert plain is not None and plain.name == "plain resnet10_w4"
    assert plain.choices["link"] == "residual" and plain.choices["block"] == "basic"
    assert plain_network(space_of(tmp_path, "[plain]", "budget.flops.max=20k")) is None
    told = list[str]()
    assert networks_tried_first(space_of(tmp_path, "[plain]", "budget.flops.max=20k"), told.append) == ()
    assert told == ["search.first: no plain residual network of the space is within the budget"]


def test_trained_in_full_it_stands_beside_the_best(tmp_path: Path) -> None:
    space = space_of(tmp_path, "[plain]", "search.trials=2", "search.early_stopping.kind=none", "training.epochs=2")
    folder = begun(space, tmp_path / "x")
    drive_locally(space, folder)
    end(folder)
    with Ledger.open(folder.ledger) as ledger:
        first = ledger.trial(1)
        expected = {"name": "plain resnet10_w4", "flops": first.cost["flops"], "params": first.cost["params"]}
        assert reference_of(ledger) == {"accuracy": first.value, **expected, "epochs": 2, "stopped": False}
        ledger.note("floor", {"images": 60, "random_forest": 0.1, "logistic_regression": 0.1, "commonest_class": 0.1})
    floor = summarise(folder)["floor"]
    assert floor is not None and floor["reference"]["accuracy"] == first.value


def test_stopped_early_it_is_said_to_be_and_is_no_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ("search.trials=6", "training.epochs=3", "search.seed=1")
    folder = begun(space_of(tmp_path, "[plain]", *sets), tmp_path / "x")
    drive_locally(load_space(folder.space_yaml), folder)
    end(folder)
    with Ledger.open(folder.ledger) as ledger:
        first = ledger.trial(1)
        assert first.state is TrialState.STOPPED and first.value is not None, "of this seed others are better"
        ledger.note("floor", {"images": 60, "random_forest": 0.1, "logistic_regression": 0.1, "commonest_class": 0.1})
    summary = summarise(folder)
    assert summary["floor"]["reference"]["stopped"] and summary["floor"]["reference"]["epochs"] == first.epochs
    assert not any("plain" in remark for remark in summary["remarks"])
    best = replace(first, value=0.5)
    for stopped in (True, False):
        beside = {
            **summary["floor"],
            "reference": {**summary["floor"]["reference"], "accuracy": 0.9, "stopped": stopped},
        }
        assert any("plain resnet" in remark for remark in remarks(best, [], beside, [])) is not stopped
    show(summary, as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"plain resnet10_w4 {100 * first.value:.2f} % (stopped after 1 epoch)" in shown


@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("[resnet18]", "resnet18: stage1.width = 64; allowed: 4, 8, 12"),
        ("[no_such]", "no_such"),
        ("['torchvision:vgg16']", "a network of another library"),
        ("[missing.yaml]", r"missing\.yaml"),
    ],
)
def test_what_cannot_be_tried_is_refused_at_its_line(tmp_path: Path, first: str, text: str) -> None:
    space = space_of(tmp_path, first)
    with pytest.raises(InputError, match=text) as caught:
        networks_tried_first(space, lambda _: None)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == (str(tmp_path / "tiny.yaml"), 15)


def test_a_network_outside_of_the_budget_is_refused_with_what_it_costs(tmp_path: Path) -> None:
    network = max(load_space(SPACE).sample(20), key=lambda network: cost(network).flops)
    (tmp_path / "large.yaml").write_text(network.to_yaml())
    space = space_of(tmp_path, f"[{tmp_path / 'large.yaml'}]", "budget.flops.max=20k")
    with pytest.raises(InputError, match=f"outside of the budget, with flops {cost(network).flops:,}; allowed: flops"):
        networks_tried_first(space, lambda _: None)

"""check, sample, run without Ray, resume, status, schema, doctor: the verbs about searches."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from archsearch import Architecture, cost, load_space
from archsearch.architecture.canonical import digest
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.tracking import BeingSent, TrackingError

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"

SMALL = """\
archsearch: 1
name: small
data: {name: digits}
space: {stages: 2, depth: {int: [1, 2]}, width: 8}
budget: {params: {max: 1M}}
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def experiment(root: Path, name: str, state: str | None = "finished") -> ExperimentFolder:
    """A search of two trials, as a driver leaves it."""
    folder = ExperimentFolder(root / "experiments" / name).create()
    folder.space_yaml.write_text(SMALL)
    network = Architecture.from_dict({"archsearch": 1, "input": [1, 8, 8], "classes": 10, "stages": [{"depth": 1}]})
    words = {"choices": {}, "architecture": network.to_dict(), "cost": cost(network).to_dict()}
    with Ledger.create(folder.ledger, {"name": name, "space": "small", "trials": 2, "seed": 0}) as ledger:
        ledger.begin()
        for number, value in ((1, 0.5), (2, 0.75)):
            ledger.propose(digest=f"{number:016x}", seed=number, **words)
            ledger.start(number)
            ledger.epoch(number, 1, {"epoch": 1, "validation_accuracy": value})
            ledger.pause(number, value, rung=1)
        for number, value in ((1, 0.5), (2, 0.75)):
            ledger.promote(number)
            ledger.start(number, resume_epoch=1)
            ledger.epoch(number, 2, {"epoch": 2, "validation_accuracy": value})
            ledger.finish(number, value)
            ledger.correlate(1, 0.5 if number == 2 else None, number, corrected=0.75 if number == 2 else None)
        if state is not None:
            ledger.end(state)
    return folder


STABLE = {
    "file", "name", "valid", "notes", "size", "size_exact", "budget", "samples", "within_budget", "share_within_budget",
    "seconds_per_sample", "flops_histogram", "cheapest", "dearest", "median_flops_within_budget", "trials", "epochs",
    "training_images", "search_flops_at_most",
}  # fmt: skip


def test_check_says_size_share_and_extremes(capsys) -> None:
    assert main(["check", str(DIGITS), "--samples", "200", "--no-probe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= STABLE
    assert found["valid"] is True
    assert found["size"] == load_space(DIGITS).size()
    assert 0 < found["share_within_budget"] < 1
    assert sum(row["count"] for row in found["flops_histogram"]) == found["samples"] == 200
    assert found["cheapest"]["flops"] < found["dearest"]["flops"]
    shares = {bound["name"]: bound for bound in found["bounds"]}
    assert set(shares) == {"flops", "params"}
    assert found["hardest"] == "flops"
    assert shares["flops"]["share_of_others"] == shares["params"]["share"] >= found["share_within_budget"]
    assert (found["probe"], found["forecast"], found["not_foretold"]) == (None, None, "--no-probe")


def test_checks_page_fits_a_terminal_and_warns_of_what_is_out_of_reach(capsys) -> None:
    words = ["--set", "space.stem.width={choice: [8, 16, 4096]}", "--samples", "300"]
    assert main(["check", str(DIGITS), *words, "--no-probe"]) == 0
    page = capsys.readouterr().out
    assert "valid" in page
    assert "(tightest limit)" in page
    assert "stem.width: 4096 (no network within the budget among" in page
    assert max(map(len, page.splitlines())) <= 100


def test_check_counts_a_space_of_one_network(small: Path, capsys) -> None:
    assert main(["check", str(small), "--set", "space.depth=1", "--samples", "20", "--json", "--no-probe"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size"], found["samples"], found["every_network"], found["within_budget"]) == (1, 1, True, 1)
    assert found["cheapest"] == found["dearest"]
    assert sum(row["within_budget"] for row in found["flops_histogram"]) == 1


def test_check_foretells_hours_from_a_probe(small: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("archsearch.search.foretelling.check.PROBE_SECONDS", 0.2)
    assert main(["check", str(small), "--set", "search.trials=2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["probe"]["networks"]) == 2
    said = found["forecast"]
    assert 0 < said["hours"] <= said["hours_at_most"] * said["at_once"]
    assert said["trial_epochs"] <= said["trial_epochs_at_most"] == 2 * found["epochs"]
    assert said["gpu_hours"] is None
    assert found["not_foretold"] is None


def sampled(capsys, *words: str) -> list[dict]:
    assert main(["sample", str(DIGITS), "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_sample_draws_distinct_networks_within_the_budget_by_its_seed(capsys) -> None:
    found = sampled(capsys, "-n", "30", "--seed", "4")
    budget = load_space(DIGITS).budget
    assert len({line["digest"] for line in found}) == 30
    for line in found:
        network = Architecture.from_dict(line["architecture"])
        counted = cost(network)
        assert budget.admits(counted)
        price = load_space(DIGITS).price(counted).to_dict()
        assert line == {"digest": digest(network), **price, "architecture": line["architecture"]}
    assert set(found[0]) >= {"digest", "params", "flops", "macs", "activations", "architecture"}
    assert sampled(capsys, "-n", "30", "--seed", "4") == found
    assert sampled(capsys, "-n", "12", "--seed", "4") == found[:12], "a shorter sample is the beginning of a longer"
    assert sampled(capsys, "-n", "30", "--seed", "5") != found


def test_sample_gives_what_there_is_and_says_so(small: Path, capsys) -> None:
    assert main(["sample", str(small), "-n", "9", "--json"]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert "only 2 networks: the space has no others" in said.err


BROKEN = {
    "archsearch: 1\nname: x\nspace: {stages: 2\n": ":4:1: ",
    "archsearch: 1\nname: x\nspace: {stages: 2, depth: 1, width: 8}\nbudgett: {}\n": ":4:1: ",
    "archsearch: 1\nname: x\nspace: {stages: 2, depth: 1, width: 8}\nbudget: {params: {max: 3}}\n": ":4:24: ",
}


@pytest.mark.parametrize("verb", ["check", "sample", "run"])
@pytest.mark.parametrize("text", BROKEN, ids=["yaml", "word", "budget"])
def test_a_bad_space_is_refused_at_its_place_without_a_traceback(verb, text, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    assert main([verb, str(file)]) == 2
    said = capsys.readouterr()
    assert f"{file}{BROKEN[text]}" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_dry_run_writes_nothing(small: Path, capsys) -> None:
    assert main(["run", str(small), "--trials", "2", "--seed", "3", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trials"], found["seed"], len(found["proposals"])) == (2, 3, 2)
    assert found["share_within_budget"] == 1
    for line in found["proposals"]:
        network = Architecture.from_dict(line["architecture"])
        assert (line["digest"], line["flops"]) == (digest(network), cost(network).flops)
    assert [path.name for path in small.parent.iterdir()] == ["small.yaml"]


def test_a_run_takes_a_free_name_and_never_one_that_is_given_and_taken(small: Path, capsys) -> None:
    experiment(small.parent, "small")
    assert main(["run", str(small), "--trials", "1", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["experiment"] == "small-2"
    assert main(["run", str(small), "--name", "small", "--dry-run"]) == 2
    assert "archsearch resume small" in capsys.readouterr().err
    assert main(["run", str(small), "--name", "../up", "--dry-run"]) == 2


def test_a_run_without_its_data_leaves_no_folder(small: Path, capsys) -> None:
    assert main(["run", str(small), "--set", "data.name=cifar10", "--set", "data.root=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (small.parent / "experiments").exists()


def test_an_address_where_nobody_listens_is_refused_before_there_is_a_folder(small: Path, capsys) -> None:
    assert main(["run", str(small), "--address", "127.0.0.1:1"]) == 2
    assert "no Ray answers at 127.0.0.1:1" in capsys.readouterr().err
    assert not (small.parent / "experiments").exists()


def test_status_tells_the_contracts_fields(small: Path, capsys) -> None:
    experiment(small.parent, "one")
    experiment(small.parent, "two", state=None)
    assert main(["status", "one", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["experiment"], found["state"]) == ("one", "finished")
    assert {"finished", "stopped", "failed", "running", "paused", "total"} <= set(found["trials"])
    rung = {"bracket": 0, "epochs": 1, "trials": 2, "promoted": 2, "correlation": 0.5, "corrected": 0.75, "n": 2}
    assert found["rungs"] == [rung]
    assert (found["best"]["trial"], found["best"]["value"]) == ("t0002", 0.75)
    assert {"architecture", "params", "flops"} <= set(found["best"])
    assert main(["status", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {summary["experiment"]: summary["state"] for summary in listed} == {
        "one": "finished",
        "two": "interrupted",
    }
    for words in ([], ["one"]):
        assert main(["status", *words]) == 0
        said = capsys.readouterr().out
        assert "75.00 %" in said
        assert ("1 epoch: 2 of 2 trials went on\n" in said) == bool(words), "two trials have no ranking"


def test_an_unknown_experiment_is_refused_with_the_nearest(small: Path, capsys) -> None:
    experiment(small.parent, "digits-a")
    for verb in ("status", "resume", "ui"):
        assert main([verb, "digits-b"]) == 2
        assert "digits-a" in capsys.readouterr().err


def test_resuming_a_finished_search_says_so(small: Path, capsys) -> None:
    experiment(small.parent, "done")
    assert main(["resume", "done", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["state"] == "finished"
    assert "finished" in said.err
    assert "archsearch resume done --trials N" in said.err
    assert main(["resume", "done", "--trials", "2"]) == 2
    assert "2 trials have already begun" in capsys.readouterr().err


def test_an_experiment_that_is_driven_leaves_with_4(small: Path) -> None:
    folder = experiment(small.parent, "busy", state=None)
    with folder.driver_lock():
        words = [sys.executable, "-m", "archsearch", "resume", "busy", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=small.parent, check=False)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "is in use by process" in done.stderr


@pytest.mark.parametrize(
    ("error", "driven", "code"),
    [(TrackingError, False, 1), (TrackingError, True, 1), (BeingSent, False, 1), (BeingSent, True, 4)],
)
def test_sync_leaves_with_4_where_the_driver_sends_and_with_1_where_nobody_could(
    error: type[TrackingError], driven: bool, code: int, small: Path, capsys, monkeypatch
) -> None:
    def fails(*_: object) -> None:
        raise error("nothing was sent")

    folder = experiment(small.parent, "one")
    monkeypatch.setattr("archsearch.tracking.sync", fails)
    with folder.driver_lock() if driven else nullcontext():
        assert main(["sync", "one", "--json"]) == code
    said = capsys.readouterr()
    assert ("sends its events" in said.err) == (code == 4)
    assert json.loads(said.out)["sent"] == 0 < json.loads(said.out)["left"]


def test_an_experiments_best_is_exported(small: Path, capsys) -> None:
    experiment(small.parent, "one")
    assert main(["export", "one"]) == 0
    assert Architecture.from_yaml(capsys.readouterr().out).name == "one-t0002"


def test_the_schema_takes_the_spaces_that_come_with_it(small: Path, capsys) -> None:
    import jsonschema
    import yaml

    assert main(["schema", "-o", "schema.json"]) == 0
    assert capsys.readouterr().out == ""
    schema = json.loads((small.parent / "schema.json").read_text())
    jsonschema.validate(yaml.safe_load(DIGITS.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"archsearch": 1, "name": 3}, schema)


def test_doctor_looks_at_every_tested_package(capsys) -> None:
    assert main(["doctor", "--json"]) in (0, 1)
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {"python", "torch", "ray", "optuna", "mlflow", "fvcore", "gpu", "memory", "disk"} <= set(found)
    for finding in found.values():
        assert finding["level"] == "ok" or finding["advice"]


def test_an_unexpected_failure_is_one_line_and_a_traceback_with_debug_alone(small, monkeypatch, capsys) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("archsearch.search.foretelling.check.check_space", broken)
    assert main(["check", str(small)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("archsearch: internal error: ZeroDivisionError: of all things")
    assert said.count("\n") == 1
    assert main(["check", str(small), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ARCHSEARCH_DEBUG", "1")
    assert main(["check", str(small)]) == 1
    assert "Traceback" in capsys.readouterr().err

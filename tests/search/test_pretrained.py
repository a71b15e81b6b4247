"""Pretrained networks in a confirmation: which are fine-tuned and how, what is tested, and what a person is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from archsearch.analysis.report import document as report_document
from archsearch.analysis.report import page, read_experiment
from archsearch.api.pretrained import parents_within, sources_of
from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.confirmed import read_confirmation
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.errors import InputError
from archsearch.reading.files import read_json
from archsearch.search.confirming import foretold
from archsearch.search.confirming.confirm import Plan, confirm
from archsearch.search.confirming.pretrained import Beyond, verdict
from archsearch.search.confirming.runs import Run, images_of
from archsearch.search.confirming.verdict import Row, choose, compared, differences
from archsearch.space.loading import load_space
from archsearch.space.settings import TrainingSettings
from archsearch.tracking.retrained import retrained
from archsearch.training.fit import train_architecture
from archsearch.training.run import TrainingRun
from tests.search.local import finished, tiny
from tests.search.test_confirm import Told, row

NORMALIZATION = ((0.25,), (0.5,))


def network(width: int) -> Architecture:
    return Architecture.from_dict(
        {"input": [1, 8, 8], "classes": 10, "stem": {"width": width}, "stages": [{"depth": 1, "width": width}]}
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return load_images(tiny(tmp_path_factory.mktemp("images"))[0].data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Path:
    """A folder of two trained networks, of which one is far over the budget, and another file."""
    folder = tmp_path_factory.mktemp("trained")
    for name, width, epochs in (("small", 8, 8), ("large", 64, 1)):
        run = TrainingRun(settings=TrainingSettings(recipe="none", epochs=epochs, batch_size=16), seed=5, threads=1)
        train_architecture(network(width), images, run, folder / name, test=False)
    (folder / "notes.txt").write_text("no network")
    return folder


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFolder:
    return finished(tmp_path_factory.mktemp("searched"), "search.trials=1", "training.epochs=2")


def test_those_within_the_budget_are_fine_tuned_and_the_winner_of_both_is_named(
    searched: ExperimentFolder, trained: Path, images: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    space = load_space(searched.space_yaml)
    parents, beyond = parents_within(trained, space, print)
    assert beyond == [], "only what libraries publish is counted before it is read"
    parents = [dataclasses.replace(parent, normalization=NORMALIZATION, licence="mit") for parent in parents]
    plan = Plan(folder=searched, top=1, seeds=1, named=[], pretrained=parents, random=False, processes=1)
    told = Told()
    document = confirm(plan, images, told)
    assert (told.left, told.done) == (2, 0)
    assert any(text.startswith("large is not fine-tuned: 79.6k parameters") for text in told.phases)
    rows = {each["name"]: each for each in document["rows"]}
    small, winner = rows["small"], next(each for each in document["rows"] if each["winner"])
    assert (winner["kind"], small["kind"], small["winner"]) == ("trial", "pretrained", False)
    assert small["initial"]["source"] == str(trained / "small") and small["note"] == "licence mit"

    result = read_json(Path(small["runs"][0]["folder"]) / "result.json")
    assert (result["training"]["learning_rate"], result["training"]["schedule"]) == (0.05, "linear")
    assert result["training"]["epochs"] == 2, "no more epochs than the search's"
    assert (tuple(result["data"]["mean"]), tuple(result["data"]["std"])) == NORMALIZATION, "as the weights expect"
    assert result["data"]["settings"]["name"] == images.name, "so that an export is compared on the images"
    assert (result["start"]["sha256"], result["start"]["licence"]) == (small["initial"]["sha256"], "mit")
    copy = next((searched.path / "confirm" / "pretrained").iterdir())
    assert {path.name for path in copy.iterdir()} == {"model.yaml", "weights.safetensors", "parent.json"}

    found = document["pretrained"]
    assert (found["best"], found["better"], found["networks"]) == ("small", True, 1)
    (large,) = found["beyond"]
    assert (large["name"], large["params"]) == ("large", 79562)
    assert read_confirmation(searched) is not None
    summary = summarise(searched)
    assert summary["remarks"][0].startswith("A fine-tuned pretrained network wins: small is ")
    assert summary["best"]["trial"] == winner["name"], "the search's network stays the experiment's winner"
    main(["status", str(searched.path)])
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split(maxsplit=1)[1] == summary["remarks"][0]
    assert shown.split("next:\n  ")[1].startswith(f"archsearch export {searched.path / found['run']} -o bundle")
    read = read_experiment(searched)
    html = page(read, report_document(read))
    assert f"<h1>small, pretrained and fine-tuned, is better than the search's {winner['name']}</h1>" in html
    with Ledger.read(searched.ledger) as ledger:
        names = sorted(each.name for each in retrained(searched, ledger))
        handed = winner_of(searched, ledger)
    assert names == ["confirm small seed 1", f"confirm {winner['name']} seed 1"]
    assert handed is not None and handed.trial.id == winner["name"]

    out = searched.path.parent / "small.onnx"
    assert main(["export", str(searched.path / found["run"]), "-o", str(out)]) == 0 and out.is_file()
    again = Told()
    assert confirm(plan, images, again)["pretrained"] == found
    assert (again.left, again.done) == (0, 2), "nothing is trained again"


def test_a_folder_stands_for_the_networks_in_it_and_a_text_for_a_list(trained: Path, tmp_path: Path) -> None:
    names = ["timm:resnet18.a1_in1k", str(trained / "small")]
    assert sources_of(str(trained)) == sources_of(trained) == [str(trained / "large"), str(trained / "small")]
    assert sources_of(trained / "small") == [str(trained / "small")]
    assert sources_of(", ".join(names)) == sources_of([*names, names[0]]) == names
    file = tmp_path / "mine" / "weights.pth"
    file.parent.mkdir()
    file.write_bytes(b"")
    (file.parent / "model.yaml").write_text(network(4).to_yaml())
    assert sources_of(tmp_path) == [str(file)]
    for empty in ("", tmp_path / "mine" / "none"):
        (tmp_path / "mine" / "none").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="no pretrained network in"):
            sources_of(empty)


def test_what_is_over_the_budget_is_not_downloaded(searched: ExperimentFolder) -> None:
    name = "torchvision:ResNet18_Weights.IMAGENET1K_V1"
    parents, (resnet18,) = parents_within(name, load_space(searched.space_yaml), print)
    assert parents == []
    assert (resnet18.name, resnet18.cost["params"]) == (name, 11_175_370)
    assert resnet18.reason == "11.2M parameters and 11.7M FLOPs at 1x8x8, over the budget (flops <= 120k)"


def told(rows: list[Row], *beyond: Beyond) -> dict[str, object]:
    winner = choose(rows)
    assert winner is not None
    for each in rows:
        each.seen = compared(each, winner, rows)
    return verdict(rows, winner, differences(rows, winner), beyond, ExperimentFolder(Path("experiment")))


def test_the_verdict_is_by_validation_and_the_best_alone_is_tested() -> None:
    search = row("trial", 1, [0.80, 0.82, 0.81], [0.79, 0.80, 0.81])
    best = row("pretrained", 2, [0.90, 0.92, 0.91], [0.84, 0.86, 0.88])
    second = row("pretrained", 3, [0.70, 0.72, 0.71], [0.99, 0.99, 0.99])
    found = told([search, second, best])
    assert (best.seen, second.seen) == (True, False), "what is not chosen stays untested"
    assert (found["best"], found["better"]) == ("pretrained2", True)
    assert found["sentence"] == (
        "A fine-tuned pretrained network wins: pretrained2 is 10.00 points ahead of the search's trial1 on validation "
        "and 6.00 points ahead on test (3 seeds)."
    )
    assert found["run"] == f"confirm/runs/{best.contender.key}-s2"
    found = told([search, second])
    assert found["better"] is False and second.seen
    assert found["sentence"] == (
        "The search wins: trial1 is 10.00 points ahead of pretrained3 on validation and 19.00 points behind on test "
        "(3 seeds)."
    )
    third = row("pretrained", 4, [0.79, 0.82, 0.80], [0.79, 0.81, 0.80])
    assert told([search, second, third])["sentence"] == (
        "The search wins: trial1 is 0.67 points ahead of pretrained4, the best of 2 fine-tuned pretrained networks, on "
        "validation and 0.00 points ahead on test (3 seeds, not significant)."
    )


def test_where_none_is_fine_tuned_the_reason_is_told() -> None:
    search = row("trial", 1, [0.8], [0.8])
    larger = [Beyond(name=name, cost={"params": n, "flops": 10 * n}, reason="") for name, n in (("b", 2e7), ("a", 1e7))]
    assert told([search], *larger)["sentence"] == (
        "No pretrained network was fine-tuned: none of the 2 given fits the budget (the smallest, a, has 10.0M "
        "parameters and 100M FLOPs)."
    )
    failed = row("pretrained", 2, [], [], failed=1)
    assert told([search, failed])["sentence"] == "No pretrained network could be fine-tuned: pretrained2 failed."
    unread = Beyond(name="vgg", reason="it cannot take images of 1x8x8")
    assert "No pretrained network takes these images" in str(told([search], unread)["sentence"])


def test_the_plan_counts_their_trainings(searched: ExperimentFolder) -> None:
    with Ledger.read(searched.ledger) as ledger:
        text = foretold.plan(
            ledger, {"trials of the search": 1}, seeds=3, epochs=60, random_epochs=0, at_once=1,
            fine_tuned=[(30, 100.0), (30, 0.1)],
        )  # fmt: skip
    assert "3 trainings of 60 epochs; 2 pretrained networks fine-tuned: 6 trainings of 30 epochs; about" in text


def test_images_keep_their_own_normalization_without_weights(images: ImageSet) -> None:
    run = Run(contender=row("trial", 1, [0.8], [0.8]).contender, seed=1, folder=Path())
    assert images_of(images, run).mean == images.mean


def test_a_verdict_that_archsearch_does_not_write_is_refused(searched: ExperimentFolder) -> None:
    file = searched.confirmation.document
    text = file.read_text()
    for crafted in ({}, {"sentence": 1, "better": True}, {"sentence": "x", "better": 1}, "better"):
        file.write_text(json.dumps({**json.loads(text), "pretrained": crafted}))
        with pytest.raises(InputError, match="the confirmation is damaged: its pretrained"):
            read_confirmation(searched)
    file.write_text(text)

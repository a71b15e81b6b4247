"""`archsearch analyze` on a network that was trained, and on an experiment: figures, page, the smaller network."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

import archsearch
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.guests.building import build_guest
from archsearch.guests.guest import Guest
from archsearch.reading.errors import InputError
from tests.export.photographs import searched, write_digits
from tests.training.task_images import digits

NETWORK = Architecture.from_dict(
    {
        "name": "small",
        "input": [1, 8, 8],
        "stem": {"width": 8},
        "stages": [{"depth": 4, "width": 8, "stride": 1}, {"depth": 3, "width": 16}],
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "small"
    archsearch.train(
        NETWORK, data="digits", epochs=8, batch_size=32, folder=folder, progress=False,
        training={"recipe": "fast", "precision": "float32"},
    )  # fmt: skip
    return folder


def words(trained: Path, kind: str, *more: str) -> list[str]:
    weights = str(trained / "weights.safetensors")
    return ["analyze", kind, str(trained / "model.yaml"), "--weights", weights, "--data", "digits", *more]


def test_lesions_as_page_json_and_a_smaller_network(trained: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "new" / "page.html"
    assert main(words(trained, "lesion", "--draws", "3", "-o", str(page), "--json")) == 0
    figures = json.loads(capsys.readouterr().out)
    result = json.loads((trained / "result.json").read_text())
    assert figures["whole"]["error"] == pytest.approx(1 - result["validation"]["accuracy"])
    assert figures["whole"]["loss"] == pytest.approx(result["validation"]["loss"], rel=1e-4)
    assert figures["images"] == 216 and figures["split"] == "validation" and figures["digest"] == result["digest"]
    assert [block["path"] for block in figures["blocks"]][3:5] == ["stage1.block4", "stage2.block1"]
    assert all(0 <= block["error"] <= 1 for block in figures["blocks"])
    assert [row["blocks"] for row in figures["deleted"]] == list(range(1, 8))
    assert figures["deleted"][2]["paths_left"] == 0.125 and len(figures["deleted"][2]["scores"]) == 3
    assert figures["deleted"][-1]["scores"][0]["error"] > figures["whole"]["error"] + 0.2
    text = page.read_text()
    assert all(f"{block['path']}" in text for block in figures["blocks"]) and "<svg" in text
    assert all(remark in text for remark in figures["remarks"] if "%" not in remark)
    assert "about 20 % (10 of 54)" in text and "(1 of 7)" in text, "the level nearest to the paper's"
    assert main(words(trained, "lesion", "--draws", "3", "-o", str(page), "--json")) == 0
    assert json.loads(capsys.readouterr().out) == figures, "the seed decides"


def test_the_smaller_network_has_the_score_that_was_foretold(trained: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.html"
    assert main(words(trained, "lesion", "--draws", "1", "--max-loss", "20", "-o", str(page), "--json")) == 0
    pruned = json.loads(capsys.readouterr().out)["pruned"]
    assert pruned["removed"] and pruned["flops_saved"] > 0.05
    again = [
        "analyze", "lesion", str(tmp_path / "page.pruned.yaml"), "--data", "digits", "--draws", "1", "--json",
        "--weights", str(tmp_path / "page.pruned.safetensors"), "-o", str(tmp_path / "again.html"),
    ]  # fmt: skip
    assert main(again) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["whole"]["error"] == pruned["error"]
    assert (figures["flops"], figures["params"]) == (pruned["flops"], pruned["params"])
    assert len(figures["blocks"]) == 7 - len(pruned["removed"])


def test_paths_of_a_trained_network(trained: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.html"
    assert main(words(trained, "paths", "--draws", "4", "--images", "32", "-o", str(page), "--json")) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["paths"] == 2**7 and figures["with_shortcut"] == 7 and figures["images"] == 32
    norms = [row["gradient"] for row in figures["lengths"]]
    assert len(norms) == 8 and figures["decay"]["factor"] < 1 and norms[0] > norms[-1]
    assert sum(row["contribution"] for row in figures["lengths"]) == pytest.approx(1)
    assert figures["effective"]["contribution"] >= 0.95
    assert [row["share"] for row in figures["published"]] == [0.004537, 0.009917]
    assert "128 paths" in page.read_text() and "19 to 35 of its 54 blocks" in page.read_text()
    last = figures["effective"]["to"]
    assert any(f"those of more than {last} blocks carry" in text for text in figures["remarks"]) == (
        figures["effective"]["share"] < 0.5
    )


def test_python_takes_arrays_and_several_questions(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = digits()
    data = images[:400], (labels[:400] % 7).astype(np.float32) / 2 + np.linspace(0, 0.4, 400, dtype=np.float32)
    trained = archsearch.train(
        NETWORK, data=data, epochs=2, batch_size=32, folder="out", progress=False, training={"precision": "float32"}
    )
    figures = archsearch.analyze(
        "lesion", trained.architecture, data=data, weights="out/weights.safetensors", draws=1, images=40,
        output="p.html", progress=False,
    )  # fmt: skip
    assert figures["whole"]["error"] is None and figures["whole"]["loss"] > 0 and figures["images"] == 40
    assert "without it" in Path("p.html").read_text()


def test_an_experiments_best_network_is_looked_at_with_its_own_images(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "images")
    experiment = searched(tmp_path)
    assert main(["analyze", "paths", str(experiment.path), "--draws", "1"]) == 0
    page = experiment.path / "analysis" / "paths.html"
    shown = capsys.readouterr()
    assert f"written: {page}" in shown.out and page.is_file()
    figures = json.loads(page.with_suffix(".json").read_text())
    assert figures["analysis"] == "paths" and figures["remarks"][0] in shown.out
    assert "MLflow" not in shown.err, "which does not have this search"
    for report in (experiment.path / "report.html", tmp_path / "elsewhere" / "report.html"):
        report.parent.mkdir(exist_ok=True)
        assert main(["report", str(experiment.path), "-o", str(report), "--json"]) == 0
        (link,) = json.loads(capsys.readouterr().out)["analyses"]
        assert (report.parent / link["page"]).resolve() == page.resolve() and link["remark"] == figures["remarks"][0]
        assert f'<a href="{link["page"]}">paths</a>' in report.read_text()
    page.with_suffix(".json").write_text(json.dumps({**figures, "digest": "of an earlier winner"}))
    assert main(["report", str(experiment.path), "-o", str(report)]) == 0
    assert "paths</a>" not in report.read_text()
    capsys.readouterr()
    assert main(["analyze", "lesion", str(experiment.path), "--split", "test"]) == 2
    assert "the test split of an experiment is looked at once" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["resnet20_cifar", "--data", "digits"], "a network without weights"),
        (["resnet20_cifar", "--weights", "w.safetensors"], "resnet20_cifar, a network, needs --data"),
        (["resnet20_cifar"], "resnet20_cifar, a network, needs --data"),
        (["nowhere"], "nowhere"),
        (["resnet20_cifar", "--data", "digits", "--weights", "w.safetensors"], "the weights cannot be read"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], problem: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", "lesion", *arguments]) == 2
    assert problem in capsys.readouterr().err
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_page_is_html(trained: Path, tmp_path: Path, capsys) -> None:
    assert main(words(trained, "paths", "--draws", "1", "-o", str(tmp_path / "page.pdf"))) == 2
    told = capsys.readouterr().err
    assert "a name that ends in .html" in told and "random paths" not in told, "before the work, not after it"
    for none in ({"images": 0}, {"draws": 0}):
        with pytest.raises(InputError, match="1 or more"):
            archsearch.analyze(
                "paths", NETWORK, data="digits", weights=trained / "weights.safetensors", progress=False, **none
            )
    with pytest.raises(InputError, match="lesion or paths"):
        archsearch.analyze("magic", "x")


def test_a_landscape_that_is_interrupted_goes_on(trained: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    page = tmp_path / "page.html"
    command = words(trained, "landscape", "--points", "5", "--images", "60", "-o", str(page), "--json")
    monkeypatch.setattr("archsearch.anatomy.points.SAVE_EVERY", 0.0)
    from archsearch.anatomy import points

    add, taken = points.Points.add, []

    def interrupted(self: points.Points, *point: float) -> None:
        add(self, *point)
        taken.append(point[:2])
        if len(taken) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(points.Points, "add", interrupted)
    assert main(command) == 3 and not page.exists()
    capsys.readouterr()
    assert main(command) == 0
    assert len(taken) == 25 == len(set(taken)), "each point once, in both"
    figures = json.loads(capsys.readouterr().out)
    again = tmp_path / "again.html"
    assert main([*command[:-2], str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == figures
    middle = figures["values"][2][2]
    assert figures["loss"] == middle and figures["split"] == "training" and figures["images"] == 60
    assert middle < min(figures["values"][0][0], figures["values"][4][4])
    assert "<svg" in page.read_text()
    assert main(words(trained, "landscape", "--points", "4", "-o", str(page))) == 2
    assert "an odd number" in capsys.readouterr().err


def test_the_depth_of_a_network_without_weights(tmp_path: Path, capsys) -> None:
    (tmp_path / "small.yaml").write_text(NETWORK.to_yaml())
    command = ["analyze", "depth", str(tmp_path / "small.yaml"), "--data", "digits", "--draws", "2", "--images", "8"]
    command += ["-o", str(tmp_path / "page.html")]
    assert main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["weights"] is None and figures["images"] == figures["measured"]["images"] == 8
    assert figures["expected_blocks"] == pytest.approx((3 * 7 - 1) / 4) and figures["blocks"] == 7
    assert "no stochastic depth of its own" in figures["remarks"][-1]
    assert figures["remarks"][0] in (tmp_path / "page.html").read_text()
    assert main([*command, "--survival", "0.8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["expected_blocks"] == pytest.approx(7 - 0.2 * 4)
    assert main([*command, "--survival", "0"]) == 2
    assert "above 0, at most 1" in capsys.readouterr().err


def test_landscapes_of_several_networks_at_one_scale(trained: Path, tmp_path: Path, capsys) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    stages = tuple(stage.model_copy(update={"block": Block(link="plain")}) for stage in NETWORK.stages)
    network = NETWORK.model_copy(update={"stages": stages, "name": None})
    (plain / "model.yaml").write_text(network.to_yaml())
    save_file(archsearch.build(network, seed=3).state_dict(), plain / "weights.safetensors")
    page, grid = tmp_path / "page.html", ["--points", "3", "--images", "40", "--json", "-o"]
    assert main([*words(trained, "landscape", "--beside", str(plain), *grid), str(page)]) == 0
    figures = json.loads(capsys.readouterr().out)
    (other,) = figures["beside"]
    assert main([*words(plain, "landscape", *grid), str(tmp_path / "plain.html")]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert other["network"] == "plain" and other["values"] == alone["values"] != figures["values"]
    assert other["below_twice_the_least"] == alone["below_twice_the_least"] and other["loss"] == alone["loss"]
    assert "around plain (loss" in figures["remarks"][-1]
    everything = [value for values in (figures["values"], other["values"]) for row in values for value in row]
    text = page.read_text()
    assert f"one scale, from {min(everything):.4g} to {max(everything):.4g}" in text
    assert text.count('fill-opacity="0.060"') == text.count('fill-opacity="1.000"') == 2, "wide and narrow, over both"
    assert (tmp_path / "page.2.points.json").is_file()
    assert main([*words(trained, "landscape", "--beside", str(tmp_path), *grid), str(page)]) == 2
    assert "a folder that `archsearch train` wrote" in capsys.readouterr().err
    assert main(words(trained, "paths", "--beside", str(plain), "-o", str(page))) == 2
    assert "--beside with paths; allowed: only with landscape" in capsys.readouterr().err


def test_a_guests_blocks_are_left_out(tmp_path: Path, capsys) -> None:
    guest = Guest(guest="torchvision:mobilenet_v3_small", input=(1, 8, 8), classes=10)
    save_file(build_guest(guest, seed=1).state_dict(), tmp_path / "weights.safetensors")
    command = ["torchvision:mobilenet_v3_small", "--weights", str(tmp_path / "weights.safetensors"), "--data", "digits"]
    command += ["--images", "32", "--draws", "1", "-o", str(tmp_path / "page.html")]
    assert main(["analyze", "lesion", *command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["network"] == "torchvision:mobilenet_v3_small" and figures["pruned"] is None
    assert 0 < sum(block["deleted"] for block in figures["blocks"]) < len(figures["blocks"])
    assert figures["deleted"][0]["paths_left"] is None and 0 < figures["work"]["share"] < 1
    page = (tmp_path / "page.html").read_text()
    assert "Each block left out" in page and "grammar alone" in page
    assert main(["analyze", "paths", *command]) == 2
    assert "no shortcuts that archsearch knows" in capsys.readouterr().err


def test_a_network_of_which_nothing_can_be_left_out_is_refused(tmp_path: Path, capsys) -> None:
    stage = {"depth": 1, "block": {"link": "plain"}}
    network = Architecture.from_dict({"input": [1, 8, 8], "stem": {"width": 4}, "stages": [{**stage, "width": 8}]})
    (tmp_path / "model.yaml").write_text(network.to_yaml())
    save_file(archsearch.build(network).state_dict(), tmp_path / "weights.safetensors")
    assert main(words(tmp_path, "lesion", "--images", "8", "-o", str(tmp_path / "page.html"))) == 2
    assert "no block that can be left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["lesion", "digits", "--depths", "8,14"], "--depths with lesion; allowed: only with degradation"),
        (
            ["degradation", "--data", "digits", "--split", "test"],
            "--split with degradation; allowed: only with lesion or",
        ),
        (["depth", "resnet20_cifar", "--points", "5"], "--points with depth; allowed: only with landscape"),
    ],
)
def test_an_option_of_another_kind_is_refused(command: list[str], problem: str, capsys) -> None:
    assert main(["analyze", *command]) == 2
    assert problem in capsys.readouterr().err

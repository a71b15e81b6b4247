"""Smaller networks of a trained one: `archsearch shrink`."""

import json
from pathlib import Path

import pytest

import archsearch
from archsearch import Architecture, InputError, cost
from archsearch.cli import main
from archsearch.network import build
from archsearch.network.inheriting import inherit
from archsearch.shrinking import job
from archsearch.shrinking.slices import Limits, Slices
from archsearch.training.checkpoint import weights_to_bytes

WORDS = Architecture.from_dict(
    {
        "name": "small", "input": [1, 8, 8], "classes": 10, "stem": {"width": 8},
        "stages": [{"depth": 2, "width": 8, "stride": 1}, {"depth": 3, "width": 16, "block": {"shortcut": "A"}}],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network's config and weights, untrained: how accurate it is does not matter here."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(WORDS.to_yaml())
    (folder / "weights.safetensors").write_bytes(weights_to_bytes(build(WORDS).state_dict()))
    return folder


def command(trained: Path, output: Path, *more: str) -> list[str]:
    return ["shrink", str(trained / "small.yaml"), "--weights", str(trained / "weights.safetensors"),
            "--data", "digits", "--epochs", "1", "--candidates", "6", "--finalists", "2", "--images", "100",
            "--output", str(output), "--set", "data.limit=200", *more]  # fmt: skip


def test_slices_are_smaller_parts_of_their_parent_within_the_limits() -> None:
    parent, limits = build(WORDS), Limits(flops=250_000, params=9_000)
    slices = Slices(WORDS, lambda words: inherit(parent, words))
    assert {what for what, _ in slices.free} == {"depth", "width"}
    drawn = list(slices.drawn(limits, (1.0, 0.75), 20, seed=3))
    assert len({archsearch.digest(words) for _, words in drawn}) == 20
    for band, words in drawn:
        assert cost(words).flops <= 250_000 * (1.0, 0.75)[band]
        assert cost(words).params <= 9_000 * (1.0, 0.75)[band]
        assert words.stem.width == words.stages[0].width
        inherit(parent, words)
    assert drawn == list(slices.drawn(limits, (1.0, 0.75), 20, seed=3))
    bottlenecks = WORDS.model_copy(update={"stages": tuple(
        stage.model_copy(update={"block": stage.block.model_copy(update={"kind": "bottleneck"})})
        for stage in WORDS.stages)})  # fmt: skip
    assert ("inner", 1) in Slices(bottlenecks, lambda words: inherit(build(bottlenecks), words)).free


def test_an_interrupted_job_goes_on_and_ends_as_one_that_was_not(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    assert main(command(trained, whole, "--flops", "250k", "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["finished"]
    assert len(document["slices"]) == 6
    assert [entry["flops"] <= 250_000 for entry in document["trained"]] == [True, True]
    assert document["epochs"] == 1
    for entry in document["trained"]:
        folder = Path(entry["folder"])
        assert cost(Architecture.from_yaml(folder / "model.yaml")).flops == entry["flops"]
        result = json.loads((folder / "result.json").read_text())
        assert result["training"]["teacher"] == str(whole / "parent")
        assert result["start"]["replaced"] == []
        assert (entry["test"] is not None) == entry["front"]

    real, calls = job.train_architecture, []

    def interrupted(*args, **keywords):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **keywords)

    monkeypatch.setattr(job, "train_architecture", interrupted)
    cut = tmp_path / "cut"
    assert main(command(trained, cut, "--flops", "250k")) == 3
    assert "continues" in capsys.readouterr().err
    assert main(command(trained, cut, "--flops", "250k")) == 0
    assert len(calls) == 3
    assert "6 slices ranked" in capsys.readouterr().out
    after = json.loads((cut / "shrink.json").read_text())
    assert [entry["value"] for entry in after["trained"]] == [entry["value"] for entry in document["trained"]]
    assert main(command(trained, cut, "--flops", "200k")) == 2
    assert "holds another shrinking" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, r"flops: no limit of the smaller networks; allowed: flops 30M, params 100k, or both"),
        ({"flops": "1M"}, r"flops: the trained network is within the limits: .* FLOPs and .* parameters"),
        ({"flops": 1000}, r"no slice of the trained network is within the limits: the smallest has"),
        ({"flops": "200k", "finalists": 0}, r"finalists: 0 finalists; allowed: 1 or more"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits: dict, message: str, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        archsearch.shrink(trained / "small.yaml", weights=trained / "weights.safetensors", data="digits",
                          folder=tmp_path / "out", progress=False, **limits)  # fmt: skip


def test_from_python_within_a_time(trained: Path, tmp_path: Path) -> None:
    result = archsearch.shrink(
        trained / "small.yaml", weights=trained / "weights.safetensors", data={"name": "digits", "limit": 100},
        flops="200k", time=0.01, candidates=4, finalists=1, folder=tmp_path / "out", progress=False,
    )  # fmt: skip
    assert result.document["epochs"] == 1
    assert 1 <= len(result.document["slices"]) <= 4
    assert [entry["front"] for entry in result.front] == [True]
    assert repr(result).startswith("<Shrunk: 1 smaller")

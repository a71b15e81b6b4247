"""profile's words of this machine: memory foretold, latency measured."""

import json

import pytest

from archsearch import cost, zoo
from archsearch.architecture.memory import training_bytes
from archsearch.architecture.spec import Architecture, Stage, Stem
from archsearch.cli import main


def document(capsys, *words: str):
    assert main(["profile", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_memory_is_of_a_training_step_of_the_batch_that_was_asked_for(capsys) -> None:
    counted = cost(zoo.get("resnet20_cifar"))
    for batch, words in ((128, ()), (32, ("--batch", "32"))):
        found = document(capsys, "resnet20_cifar", *words)
        assert found["batch"] == batch
        assert found["memory"] == training_bytes(
            params=counted.params, saved=counted.saved, largest=counted.largest, batch=batch, image=3 * 32 * 32
        )
        assert "latency" not in found
    assert main(["profile", "resnet20_cifar", "--batch", "32"]) == 0
    assert "training memory: 53." in capsys.readouterr().out


def test_latency_is_measured_and_says_how(tmp_path, capsys) -> None:
    file = tmp_path / "tiny.yaml"
    tiny = Architecture(input=(1, 8, 8), stem=Stem(width=4), stages=(Stage(depth=1, width=4),))
    file.write_text(tiny.to_yaml())
    found = document(capsys, str(file), "--latency", "--latency-batch", "2")["latency"]
    low, high = found["iqr_ms"]
    assert 0 < low <= high
    assert found["median_ms"] > 0
    assert (found["batch"], found["dtype"]) == (2, "float32")
    assert found["device_name"]
    assert found["repeats"] >= 3
    assert main(["profile", str(file), "--latency"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("latency: ")
    assert all(word in said for word in ("quartiles", "batch 1", "float32", found["device_name"]))


@pytest.mark.parametrize("words", [("--batch", "0"), ("--latency", "--latency-batch", "0"), ("--batch", "many")])
def test_a_batch_that_is_none_is_bad_input(words, capsys) -> None:
    assert main(["profile", "resnet20_cifar", *words]) == 2
    assert capsys.readouterr().out == ""

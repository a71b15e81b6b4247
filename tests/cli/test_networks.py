"""zoo, profile, export, train: the verbs about networks."""

import json
from pathlib import Path

import pytest

from archsearch import Architecture, cost, zoo
from archsearch.architecture.canonical import digest
from archsearch.cli import main


def document(capsys, *words: str, code: int = 0):
    assert main(list(words)) == code
    return json.loads(capsys.readouterr().out)


def test_profile_of_resnet50_is_the_published_network(capsys) -> None:
    found = document(capsys, "profile", "resnet50", "--json")
    assert (found["params"], found["flops"], found["macs"]) == (25_557_032, 4_111_512_576, 4_089_184_256)
    assert found["name"] == "resnet50"
    assert found["input"] == [3, 224, 224]
    assert found["digest"] == digest(zoo.get("resnet50"))
    assert sum(found["by_operator"].values()) == found["flops"]


def test_profile_takes_another_input_and_a_file(tmp_path: Path, capsys) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(zoo.get("resnet20_cifar").to_yaml())
    found = document(capsys, "profile", str(file), "--input", "1x16x16", "--json")
    other = Architecture.from_dict({**zoo.get("resnet20_cifar").to_dict(), "input": [1, 16, 16]})
    assert found["digest"] == digest(other)
    assert found["flops"] == cost(other).flops


@pytest.mark.parametrize("depth", ["stage", "layer"])
def test_the_rows_of_a_profile_add_up_to_its_total(depth: str, capsys) -> None:
    assert main(["profile", "resnet20_cifar", "--depth", depth]) == 0
    rows = [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]]
    counts = [[int(cell.replace(",", "")) for cell in row[-4:]] for row in rows]
    assert [sum(column) for column in zip(*counts[:-1], strict=True)] == counts[-1]


def test_fvcore_counts_the_same(capsys) -> None:
    found = document(capsys, "profile", "resnet20_cifar", "--counter", "fvcore", "--json")
    assert found["counter"] == "fvcore"
    assert found["flops"] == cost(zoo.get("resnet20_cifar")).flops


@pytest.mark.parametrize("shape", ["3x32", "0x32x32", "3x32x32x1", "3x-1x32", "3x99999x32"])
def test_a_shape_that_is_none_is_refused(shape: str, capsys) -> None:
    assert main(["profile", "resnet20_cifar", "--input", shape]) == 2
    assert "--input" in capsys.readouterr().err


def test_an_unknown_network_is_refused_with_the_nearest_names(capsys) -> None:
    assert main(["profile", "resnet5O"]) == 2
    said = capsys.readouterr()
    assert "did you mean" in said.err
    assert said.out == ""


def test_a_broken_network_file_is_refused_at_its_line(tmp_path: Path, capsys) -> None:
    file = tmp_path / "net.yaml"
    file.write_text("archsearch: 1\nstages:\n- {depth: many}\n")
    assert main(["profile", str(file)]) == 2
    assert f"{file}:3:11: " in capsys.readouterr().err


def test_zoo_begins_with_what_people_know_and_is_narrowed(capsys) -> None:
    names = [row["name"] for row in document(capsys, "zoo", "--json")]
    assert names[:4] == ["resnet18", "resnet34", "resnet50", "resnet101"]
    assert names.index("resnet20_cifar") < names.index("plain20_cifar")
    dense = document(capsys, "zoo", "DenseNet", "--flops", "2G", "--params", "5M", "--json")
    assert {row["name"] for row in dense} == {"densenet40_12_cifar", "densenet_bc100_12_cifar"}
    assert main(["zoo", "dual_path"]) == 0  # a family
    printed = capsys.readouterr().out
    assert "dpn92" in printed and "resnet50" not in printed and "5 networks" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnt20"], "did you mean resnet20_cifar"),
        (["resnet", "--flops", "1k"], "within these limits"),
        (["--flops", "2g"], "--flops: the count '2g'"),
    ],
)
def test_a_zoo_that_would_be_empty_says_why(words: list[str], message: str, capsys) -> None:
    assert main(["zoo", *words]) == 2
    assert message in capsys.readouterr().err


def test_zoo_lists_every_network_with_its_costs(capsys) -> None:
    found = {row["name"]: row for row in document(capsys, "zoo", "--json")}
    assert set(found) == set(zoo.names())
    resnet = found["resnet20_cifar"]
    assert {"name", "family", "params", "macs", "flops", "published_error_percent", "source"} <= set(resnet)
    assert resnet["params"] == cost(zoo.get("resnet20_cifar")).params
    assert resnet["published_error_percent"] == 8.75


def test_an_exported_network_reads_back_unchanged(tmp_path: Path, capsys) -> None:
    file = tmp_path / "net.yaml"
    assert main(["export", "wrn16_4_cifar", "--format", "config", "-o", str(file)]) == 0
    assert Architecture.from_yaml(file) == zoo.get("wrn16_4_cifar")
    assert capsys.readouterr().out == ""
    assert main(["export", str(file)]) == 0
    assert Architecture.from_yaml(capsys.readouterr().out) == zoo.get("wrn16_4_cifar")


def test_a_program_is_not_printed_and_formats_that_do_not_exist_are_refused(capsys) -> None:
    assert main(["export", "resnet20_cifar", "--format", "onnx"]) == 2
    assert "-o model.onnx" in capsys.readouterr().err
    assert main(["export", "resnet20_cifar", "--format", "caffe"]) == 2
    assert "config" in capsys.readouterr().err


def test_train_writes_a_network_adapted_to_the_data(tmp_path: Path, capsys) -> None:
    output = tmp_path / "trained"
    words = ["train", "resnet20_cifar", "--data", "digits", "--epochs", "1", "--output", str(output), "--json"]
    assert main([*words, "--set", "data.limit=128", "--batch-size", "64"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result == json.loads((output / "result.json").read_text())
    assert result["epochs"] == len(result["history"]) == 1
    model = Architecture.from_yaml(output / "model.yaml")
    assert (model.input, model.classes) == ((1, 8, 8), 10)
    assert "adapted to digits: input [3, 32, 32] -> [1, 8, 8]" in said.err
    assert said.err.index("epoch 1/1 begins") < said.err.index("epoch 1/1  loss"), (
        "a pipe is told before the first epoch"
    )
    assert "epoch 1/1" in said.err
    assert main(words) == 2, "a trained network is never overwritten"


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--data", "digitz"], "--data: "),
        (["--data", "digits", "--epochs", "0"], "--epochs: "),
        (["--data", "digits", "--set", "training.rate=1"], "--set training.rate=1: "),
    ],
)
def test_words_that_train_cannot_use_are_refused_by_their_option(words, place, capsys) -> None:
    assert main(["train", "resnet20_cifar", *words]) == 2
    assert capsys.readouterr().err.startswith(place)


def test_train_without_its_data_says_the_ways_out(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "resnet20_cifar", "--data", "cifar10"]) == 2
    assert "data.root=DIR" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_profile_draws_the_network_and_says_where(tmp_path: Path, capsys) -> None:
    import xml.etree.ElementTree as ET

    file = tmp_path / "net.svg"
    found = document(capsys, "profile", "resnet20_cifar", "--draw", str(file), "--json")
    assert found["drawing"] == str(file)
    assert "resnet20_cifar" in "".join(ET.fromstring(file.read_bytes()).itertext())
    assert main(["profile", "resnet20_cifar", "--draw", str(file)]) == 0
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing/net.svg", "folder.svg", "net.png"])
def test_a_drawing_that_cannot_be_written_is_bad_input(name: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "folder.svg").mkdir()
    assert main(["profile", "resnet20_cifar", "--draw", str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert "--draw" in said.err
    assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


def test_an_export_as_json_names_what_was_written(tmp_path: Path, capsys) -> None:
    file = tmp_path / "net.yaml"
    found = document(capsys, "export", "resnet20_cifar", "--format", "config", "-o", str(file), "--json")
    assert found["file"] == str(file)
    assert digest(Architecture.from_yaml(file)) == found["digest"] == digest(zoo.get("resnet20_cifar"))

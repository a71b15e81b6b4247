"""archsearch.load_space, and what a space does in Python."""

import json
from pathlib import Path

import pytest

import archsearch
from archsearch import InputError
from archsearch.cli import main
from archsearch.space.loading import load_space as load_file

DIGITS = Path(__file__).parents[2] / "search_spaces" / "digits.yaml"
SMALL = """\
archsearch: 1
name: small
data: {name: digits}
space: {stages: 2, depth: {int: [1, 2]}, width: 8}
budget: {params: {max: 1M}}
"""
PLAIN = {
    "archsearch": 1,
    "name": "small",
    "data": {"name": "digits"},
    "space": {"stages": 2, "depth": {"int": (1, 2)}, "width": 8},
    "budget": {"params": {"max": "1M"}},
}


def test_a_space_comes_from_a_file_a_name_a_text_plain_values_or_itself(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    spaces = [archsearch.load_space(source) for source in (file, str(file), SMALL, PLAIN, load_file(file))]
    assert all(space == spaces[0] for space in spaces)
    assert archsearch.load_space("digits") == archsearch.load_space(DIGITS)
    assert archsearch.load_space(spaces[0]) is spaces[0]
    with pytest.raises(InputError, match="a space of type int"):
        archsearch.load_space(3)  # type: ignore[arg-type]


def test_overrides_are_texts_dotted_keys_or_groups() -> None:
    epochs = [
        archsearch.load_space(SMALL, overrides).training.epochs
        for overrides in (["training.epochs=3"], {"training.epochs": 3}, {"training": {"epochs": 3}})
    ]
    assert epochs == [3, 3, 3]
    narrow = archsearch.load_space(PLAIN, {"space": {"depth": {"choice": [1]}}, "budget": {"params": {"max": "2M"}}})
    assert (narrow.size(), narrow.budget.params.high) == (1, 2_000_000)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training": {"epochs": "many"}}, "training.epochs='many'"),
        ({"training": {"epoch": 3}}, "epoch"),
        ({"trainings": {"epochs": 3}}, "the override 'trainings'"),
        ({"training.epochs.x": 3}, "epochs"),
        ({"training..": 3}, "the override"),
        ({"training": {"epochs": {1, 2}}}, "epochs"),
        ({"training": {"epochs": float("nan")}}, "epochs"),
    ],
)
def test_a_wrong_override_is_an_input_error_that_names_it(overrides: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        archsearch.load_space(SMALL, overrides)


@pytest.mark.parametrize(
    "source", [{}, {"archsearch": 1}, {1: 2}, "a: [\n", "\n", {"archsearch": 1, "name": "x", "space": 3}]
)
def test_a_wrong_space_is_an_input_error(source: object) -> None:
    with pytest.raises(InputError):
        archsearch.load_space(source)  # type: ignore[arg-type]


def test_samples_are_those_of_the_command(capsys) -> None:
    assert main(["sample", str(DIGITS), "-n", "5", "--seed", "3", "--json"]) == 0
    printed = [json.loads(line)["digest"] for line in capsys.readouterr().out.splitlines()]
    assert [archsearch.digest(network) for network in archsearch.load_space("digits").sample(5, 3)] == printed
    with pytest.raises(InputError, match="n is 0"):
        archsearch.load_space("digits").sample(0)


def test_a_check_is_the_commands_document(capsys) -> None:
    assert main(["check", str(DIGITS), "--json", "--no-probe", "--samples", "500"]) == 0
    printed = json.loads(capsys.readouterr().out)
    document = archsearch.load_space(DIGITS).check(samples=500, probe=False)
    unequal = {key for key in printed if printed[key] != json.loads(json.dumps(document[key]))}
    assert unequal <= {"seconds_per_sample"}
    assert printed.keys() == document.keys()

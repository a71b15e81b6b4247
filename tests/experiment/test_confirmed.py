"""What confirm.json may hold: crafted values are bad input for whoever reads it, and never an internal error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsearch.analysis.report import document, page, read_experiment
from archsearch.cli import main
from archsearch.experiment import ExperimentFolder
from archsearch.experiment.confirmed import check_result, read_confirmation
from archsearch.reading.errors import InputError
from tests.analysis.report.searches import confirm, experiment
from tests.faults.invariants import check_words

CRAFTED = (None, True, -1, 1e300, 2**70, float("nan"), "", "x" * 300, "\x1b[2J", [], [1], {}, {"a": 1}, [[[]]])
RESULT = {
    "digest": "a" * 16, "seed": 1, "epochs": 2, "folder": "confirm/runs/a-s1", "device": "cpu", "precision": "float32",
    "seconds": 1.5, "validation": {"loss": 1.0, "accuracy": 0.5}, "test": None, "weights": {"sha256": "b" * 64},
}  # fmt: skip


@pytest.fixture
def confirmed(tmp_path: Path) -> ExperimentFolder:
    folder = experiment(tmp_path, 9)
    confirm(folder, 3)
    return folder


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document, but for the document's own."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def changed(whole: Any, path: tuple[Any, ...], value: Any, *, removed: bool = False) -> Any:
    """The document with another value at the path, or without what is there."""
    result = copy.deepcopy(whole)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    if removed:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return result


def test_each_crafted_value_is_refused_or_shown(confirmed: ExperimentFolder) -> None:
    file = confirmed.confirmation.document
    whole = json.loads(file.read_text())
    variants = [(path, changed(whole, path, value)) for path in leaves(whole) for value in CRAFTED]
    variants += [(path, changed(whole, path, None, removed=True)) for path in leaves(whole)]
    refused = 0
    reading = read_experiment(confirmed)
    for path, variant in variants:
        file.write_text(json.dumps(variant))
        try:
            known = read_confirmation(confirmed)
        except InputError as error:
            refused += 1
            assert len(str(error.problems[0]).splitlines()) == 2, "a line and its hint"
            continue
        try:
            object.__setattr__(reading, "confirmed", known)
            figures = document(reading)
            json.dumps(figures, allow_nan=False)
            page(reading, figures)
        except Exception as error:
            raise AssertionError(f"{path}: {type(error).__name__}: {error}") from error
    assert refused > len(variants) / 2


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("rows", 0, "validation", "mean"), "0.9", "its rows"),
        (("rows", 0, "winner"), False, "its rows"),
        (("rows",), [], "its rows"),
        (("winner",), 3, "its winner"),
        (("state",), "done", "its state"),
        (("differences", 0, "test", "low"), [], "its differences"),
        (("weights_of_seed",), "1", "its weights_of_seed"),
        (("notes",), None, "its notes"),
    ],
)
def test_a_crafted_confirmation_is_bad_input_for_who_reads_it(
    confirmed: ExperimentFolder, path: tuple[Any, ...], value: Any, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file, name = confirmed.confirmation.document, str(confirmed.path)
    file.write_text(json.dumps(changed(json.loads(file.read_text()), path, value)))
    confirmed.confirmation.weights.write_bytes(b"")
    for words in (["report", name], ["export", name, "-o", str(confirmed.path.parent / "bundle")]):
        code = main(words)
        error = capsys.readouterr().err
        check_words(code, error, allowed={2})
        assert f"confirm.json: the confirmation is damaged: {field}" in error, words
    assert main(["status", name]) == 0 and capsys.readouterr().err == ""


def test_a_result_is_checked_field_by_field() -> None:
    check_result(RESULT)
    for path in leaves(RESULT):
        if path in (("validation", "loss"), ("test",)):
            continue
        with pytest.raises(ValueError, match=f"its {path[0]}"):
            check_result(changed(RESULT, path, None, removed=True))
        with pytest.raises(ValueError, match=f"its {path[0]}"):
            check_result(changed(RESULT, path, [float("nan")]))
    for text in ([], "x", None):
        with pytest.raises(ValueError, match="not a mapping"):
            check_result(text)

"""What is asked of a table's images follows from its labels, and may be stated: classes, several labels, numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archsearch.reading.errors import InputError
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings
from tests.sources.laid_out import counts, digits, load, write_digits, write_table

COUNT = 60
LABELS = [int(label) for label in digits(COUNT)[1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("digits")
    write_digits(top, COUNT)
    return top


def table(folder: Path, header: list[str], columns: list[list[object]]) -> str:
    paths = [f"images/{number:04}.png" for number in range(COUNT)]
    rows = [(path, *cells) for path, *cells in zip(paths, *columns, strict=True)]
    return str(write_table(folder / "table.csv", ["path", *header], rows))


@pytest.mark.parametrize("in_memory", [True, False])
def test_several_labels_in_a_cell_or_in_columns(folder: Path, in_memory: bool) -> None:
    even, small = [label % 2 == 0 for label in LABELS], [label < 5 for label in LABELS]
    words = ["|".join(["even"] * e + ["small"] * s) for e, s in zip(even, small, strict=True)]
    expected = np.stack([even, small], 1).astype(np.uint8)
    file = table(folder, ["label"], [words])
    images, _ = load(name="table", file=file, columns={"separator": "|"}, in_memory=in_memory)
    assert images.task == "multi_label" and images.classes == ("even", "small") and counts(images) == [43, 8, 9]
    one = np.concatenate([images.split(name).labels for name in ("train", "validation", "test")])
    assert sorted(map(tuple, one)) == sorted(map(tuple, expected)) and one.dtype == np.uint8
    file = table(folder, ["even", "small"], [[int(e) for e in even], [int(s) for s in small]])
    columns = {"label": ["even", "small"]}
    same, _ = load(name="table", file=file, columns=columns, in_memory=in_memory)
    assert np.array_equal(same.train.labels, images.train.labels) and same.classes == images.classes
    known = facts(DataSettings(name="table", file=file, columns=columns))
    assert (known.classes, known.task) == (2, "multi_label")


def test_numbers_are_targets_where_they_are_not_whole_or_where_that_is_stated(folder: Path) -> None:
    file = table(folder, ["height"], [[label + 0.5 for label in LABELS]])
    images, _ = load(name="table", file=file, columns={"label": "height"})
    assert images.task == "regression" and images.classes == ("height",) and images.train.labels.dtype == np.float32
    file = table(folder, ["label"], [LABELS])
    assert load(name="table", file=file)[0].task == "single_label"
    images, _ = load(name="table", file=file, task="regression")
    assert images.task == "regression" and images.train.labels.shape == (43, 1) and images.classes == ("label",)
    file = table(folder, ["x", "y"], [[label / 7 for label in LABELS], LABELS])
    images, _ = load(name="table", file=file, columns={"label": ["x", "y"]})
    assert images.classes == ("x", "y") and images.test.labels.shape == (9, 2)


def test_weights_are_those_of_the_images(folder: Path) -> None:
    file = table(folder, ["label", "weight"], [LABELS, [1 + label for label in LABELS]])
    for in_memory in (True, False):
        images, _ = load(name="table", file=file, in_memory=in_memory)
        assert images.train.weights is not None and images.train.weights.tolist() == (images.train.labels + 1).tolist()


@pytest.mark.parametrize(
    ("header", "columns", "settings", "problem"),
    [
        (["label"], [["a", "b"] * 30], {"task": "regression"}, "the label 'a' is no number"),
        (["label"], [LABELS], {"task": "multi_label"}, "columns.separator divides several labels"),
        (["x", "y"], [LABELS, LABELS], {"task": "multi_label", "columns": {"label": ["x", "y"]}}, "other than 0 and 1"),
        (
            ["x", "y"],
            [LABELS, LABELS],
            {"task": "single_label", "columns": {"label": ["x", "y"]}},
            "2 labels or numbers",
        ),
        (["x", "y"], [LABELS, ["?"] * 60], {"columns": {"label": ["x", "y"]}}, "'?' instead of a number"),
    ],
)
def test_labels_that_cannot_be_of_the_stated_task_are_refused(folder, header, columns, settings, problem) -> None:
    with pytest.raises(InputError) as caught:
        load(name="table", file=table(folder, header, columns), **settings)
    assert problem in str(caught.value)

"""Tables of images: CSV, TSV, JSON lines and Parquet with paths; columns by their names; bad rows by their lines."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archsearch.data.splitting import Fold, fold_of
from archsearch.data.streaming import StreamedImages, some_files
from archsearch.reading.errors import InputError
from archsearch.sources.columns import Columns
from archsearch.sources.table import open_table
from archsearch.space.datasets import facts
from archsearch.space.settings import DataSettings
from tests.sources.laid_out import counts, digits, load, sums, write_digits, write_table

COUNT = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    top = tmp_path_factory.mktemp("digits")
    write_digits(top, COUNT)
    return top


def rows_of(folder: Path) -> list[tuple[str, int]]:
    return [(f"images/{number:04}.png", int(label)) for number, label in enumerate(digits(COUNT)[1])]


def expected() -> set[tuple[int, str]]:
    pixels, labels = digits(COUNT)
    return {(3 * int(image.sum()), str(label)) for image, label in zip(pixels, labels, strict=True)}


def write(folder: Path, suffix: str) -> Path:
    rows, file = rows_of(folder), folder / f"labels{suffix}"
    match suffix:
        case ".csv":
            return write_table(file, ["path", "label"], rows)
        case ".tsv":
            return write_table(file, ["label", "filename"], [(label, path) for path, label in rows], "\t")
        case ".jsonl":
            file.write_text("".join(json.dumps({"image": path, "class": label}) + "\n" for path, label in rows))
        case ".parquet":
            paths, labels = zip(*rows, strict=True)
            pq.write_table(pa.table({"file_name": paths, "target": labels}), file)
    return file


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_table_holds_the_images_and_labels_that_it_names(folder: Path, suffix: str, in_memory: bool) -> None:
    file = write(folder, suffix)
    images, messages = load(name="table", file=str(file), in_memory=in_memory)
    assert images.classes == tuple("0123456789") and images.shape == (3, 8, 8)
    assert counts(images) == [43, 8, 9] and sums(images) == expected()
    assert any(str(file) in message for message in messages)
    known = facts(DataSettings(name="table", file=str(file), size=8))
    assert (known.input, known.classes, known.images) == ((3, 8, 8), 10, 51)
    if in_memory is False:
        assert isinstance(images, StreamedImages) and pickle.loads(pickle.dumps(images)).digest == images.digest
        assert all(Path(name).parent == folder / "images" for name in some_files(images))


def test_paths_are_relative_to_the_table_and_the_table_to_the_root_where_that_is_given(folder, monkeypatch) -> None:
    write(folder, ".csv")
    monkeypatch.chdir(folder.parent)
    digests = {
        load(name="table", file=f"{folder.name}/labels.csv")[0].digest,
        load(name="table", root=folder.name, file="labels.csv")[0].digest,
        load(name="table", root="/nowhere", file=str(folder / "labels.csv"))[0].digest,
    }
    assert len(digests) == 1
    absolute = write_table(folder / "absolute.csv", ["path", "label"], [(folder / p, n) for p, n in rows_of(folder)])
    assert load(name="table", file=str(absolute))[0].digest in digests


def test_npy_files_of_a_table_have_the_channels_of_the_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        np.save(tmp_path / f"{number}.npy", rng.integers(0, 256, (9, 9, 5), np.uint8))
    table = write_table(
        tmp_path / "bands.csv", ["path", "label"], [(f"{number}.npy", number % 2) for number in range(40)]
    )
    given = {"name": "table", "file": str(table), "size": 9}
    assert facts(DataSettings.model_validate(given)).input == (5, 9, 9) == load(**given)[0].shape


def test_classes_that_are_numbers_are_in_numeric_order_and_others_in_that_of_their_names(folder: Path) -> None:
    numbers = [(path, 1 + 37 * label) for path, label in rows_of(folder)]
    images, _ = load(name="table", file=str(write_table(folder / "numbers.csv", ["path", "label"], numbers)))
    assert images.classes == tuple(str(1 + 37 * label) for label in range(10))
    padded = [(path, f"{label:03}") for path, label in rows_of(folder)]
    images, _ = load(name="table", file=str(write_table(folder / "padded.csv", ["path", "label"], padded)))
    assert images.classes == tuple(f"{label:03}" for label in range(10))


def test_stated_splits_are_used_and_empty_ones_are_drawn_from(folder: Path) -> None:
    kinds = ["training"] * 40 + ["val"] * 8 + [""] * 2 + ["Test"] * 10
    rows = [(*row, kind) for row, kind in zip(rows_of(folder), kinds, strict=True)]
    images, _ = load(name="table", file=str(write_table(folder / "split.csv", ["path", "label", "split"], rows)))
    assert counts(images) == [42, 8, 10]
    assert images.test.labels.tolist() == digits(COUNT)[1][50:].tolist()
    some = [(path, label, "test" if kind == "Test" else "") for path, label, kind in rows]
    images, _ = load(name="table", file=str(write_table(folder / "test.csv", ["path", "label", "split"], some)))
    assert counts(images) == [42, 8, 10]


def test_columns_of_any_name_are_stated(folder: Path) -> None:
    rows = [(label, path, "odd" if label % 2 else "even") for path, label in rows_of(folder)]
    file = write_table(folder / "stated.csv", ["digit", "where", "parity"], rows, ";")
    images, _ = load(name="table", file=str(file), columns={"image": "where", "label": "parity"})
    assert images.classes == ("even", "odd")
    with pytest.raises(InputError, match=r"no column that is called image.*'digit', 'where', 'parity'") as caught:
        load(name="table", file=str(file))
    assert "--set data.columns.image=NAME" in str(caught.value)
    with pytest.raises(InputError, match=r"data\.columns\.label: the table has no column 'pariti'.*\n.*parity"):
        load(name="table", file=str(file), columns={"image": "where", "label": "pariti"})


def test_images_of_one_group_are_in_one_split(folder: Path) -> None:
    rows = [(*row, f"patient {number // 5}") for number, row in enumerate(rows_of(folder))]
    file = write_table(folder / "groups.csv", ["path", "label", "group"], rows)
    images, _ = load(name="table", file=str(file), in_memory=False, validation=0.25)
    numbers = [images.split(name).images.numbers // 5 for name in ("train", "validation", "test")]
    groups = [set(part.tolist()) for part in numbers]
    assert sum(map(len, groups)) == 12 == len(set.union(*groups)) and min(map(len, groups)) >= 2
    assert sum(counts(images)) == COUNT
    held, _ = load(name="table", file=str(file), in_memory=True, validation=0.25)
    for fold in (Fold(number=number, of=3, seed=0) for number in (1, 2, 3)):
        streamed, crossed = fold_of(images, fold), fold_of(held, fold)
        train, validation = (
            set((streamed.split(name).images.numbers // 5).tolist()) for name in ("train", "validation")
        )
        assert not train & validation and train | validation == groups[0] | groups[1]
        assert np.array_equal(streamed.validation.images[:], crossed.validation.images)


LABELS = "path,label\nimages/0000.png,0\n"


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (LABELS + "images/0001.png\n", 3, r"1 cells; allowed: 2, as in the header"),
        (LABELS + "images/0001.png,1,7\n", 3, r"3 cells; allowed: 2"),
        (LABELS + "images/0001.png,\n", 3, "an empty label"),
        (LABELS + ",1\n", 3, "'' instead of a path"),
        (LABELS + '"images/0001.png,1\n', 3, "unexpected end of data"),
        (LABELS + "images/gone.png,1\nimages/0001.png,1\n", 3, r"no such file: images/gone\.png"),
        (
            "path,label,split\nimages/0000.png,0,train\nimages/0001.png,1,later\n",
            3,
            r"the split 'later'; allowed: train",
        ),
        (
            "path,label,weight\nimages/0000.png,0,1\nimages/0001.png,1,-2\n",
            3,
            r"the weight -2; allowed: a number above",
        ),
        ("path,label,weight\nimages/0000.png,0,1\n\nimages/0001.png,1,nan\n", 4, "'nan' instead of a finite number"),
    ],
)
def test_a_bad_row_is_named_by_its_line_with_what_was_found_and_what_is_allowed(folder, text, line, problem) -> None:
    file = folder / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load(name="table", file=str(file))
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: ") and re.search(problem, message) and "\n  hint: " in message


def test_of_many_bad_rows_twenty_are_named_and_all_are_counted(folder: Path) -> None:
    rows = [(path.replace(".png", ".jpg"), label) for path, label in rows_of(folder)]
    file = write_table(folder / "many.csv", ["path", "label"], rows)
    with pytest.raises(InputError, match=r"60 rows like these, 20 of them listed above") as caught:
        load(name="table", file=str(file))
    assert len(caught.value.problems) == 21
    assert caught.value.problems[19].file == f"{file}:21"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", b"", "no columns"),
        ("a.csv", b"path,label\n", "no rows"),
        ("a.csv", b"path,path\nx,y\n", "the column 'path' twice"),
        ("a.csv", "path,label\n".encode("utf-16"), "not text in UTF-8"),
        ("a.csv", b"path,label\nimages/0000.png,caf\xe9\nimages/0001.png,x\n", "label that is not valid UTF-8"),
        ("a.jsonl", b'{"path": "x", "label": 1}\n[1, 2]\n', r"a\.jsonl:2: a list; allowed: one JSON object"),
        ("a.jsonl", b'{"path": "x", "label": 1}\n\n{"path": \n', r"a\.jsonl:3: Expecting value"),
        ("a.jsonl", b"[" * 100_000, "nested too deeply|Expecting"),
        ("a.parquet", b"PAR1 and no more PAR1", "it cannot be read"),
        ("a.xlsx", b"PK", r"data\.file: 'a\.xlsx'; allowed: a table: \.csv"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        open_table(tmp_path / name, Columns())


def test_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="a named pipe, not a regular file"):
        open_table(tmp_path / "pipe.csv", Columns())
    with pytest.raises(InputError, match=r"it cannot be read: No such file.*\n.*data\.file=FILE"):
        open_table(tmp_path / "none.csv", Columns())


def test_a_broken_image_is_named_with_its_row_and_can_be_skipped(folder: Path) -> None:
    (folder / "images" / "broken.png").write_bytes(b"no image")
    rows = [*rows_of(folder), ("images/broken.png", 3)]
    file = write_table(folder / "broken.csv", ["path", "label"], rows)
    with pytest.raises(InputError, match=rf"^{file}:62: images/broken\.png: not a readable image"):
        load(name="table", file=str(file))
    images, messages = load(name="table", file=str(file), broken="skip")
    assert sum(counts(images)) == COUNT and any("1 unreadable images skipped" in message for message in messages)


def test_labels_of_a_single_class_are_refused(folder: Path) -> None:
    rows = [(path, "cat") for path, _ in rows_of(folder)]
    with pytest.raises(InputError, match="labels of a single class, 'cat'"):
        load(name="table", file=str(write_table(folder / "single.csv", ["path", "label"], rows)))


def test_quoted_cells_a_byte_order_mark_and_spaces_are_read(folder: Path) -> None:
    text = '\ufeffpath , label\r\n"images/0000.png", "a, b"\r\nimages/0001.png,c\r\n'
    (folder / "quoted.csv").write_text(text.replace(', "a', ',"a'), newline="")
    source = open_table(folder / "quoted.csv", Columns())
    assert source.labels.values.tolist() == ["a, b", "c"] and source.file(0) == folder / "images" / "0000.png"


def test_labels_keep_what_they_are(folder: Path) -> None:
    def labels(text: str, **columns: object):
        (folder / "kinds.csv").write_text(text)
        return open_table(folder / "kinds.csv", Columns.model_validate(columns)).labels

    one = labels("path,label\na,0.5\nb,2\n")
    assert one.values.dtype == np.float64 and one.names == ("label",)
    several = labels("path,x,y\na,1,0\nb,1,1\n", label=["x", "y"])
    assert several.values.tolist() == [[1, 0], [1, 1]] and several.names == ("x", "y")
    tags = labels("path,label\na,cat|dog\nb,\nc,dog | ant\n", separator="|")
    assert tags.names == ("ant", "cat", "dog") and tags.values.tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 1]]
    (folder / "kinds.jsonl").write_text('{"path": "a", "labels": ["x"]}\n{"path": "b", "labels": ["y", "x"]}\n')
    assert open_table(folder / "kinds.jsonl", Columns()).labels.values.tolist() == [[1, 0], [1, 1]]

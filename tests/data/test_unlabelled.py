"""The images that a person names for a prediction: files, folders and tables, in their order."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from archsearch.data.decoding import decode
from archsearch.data.form import ImageForm
from archsearch.data.unlabelled import images_of
from archsearch.reading.errors import InputError

FORM = ImageForm(channels=3, height=16, width=16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """pictures/ with b.png, a.JPG, deep/c.npy, and what is no image or is hidden."""
    top = tmp_path / "pictures"
    for hidden in ("deep", ".thumbnails", "__MACOSX"):
        (top / hidden).mkdir(parents=True)
    for number, name in enumerate(("b.png", "a.JPG", ".thumbnails/x.png", "__MACOSX/y.png", ".z.png")):
        Image.fromarray(np.full((20, 30, 3), 40 * number + 10, np.uint8)).save(top / name)
    np.save(top / "deep" / "c.npy", np.full((20, 30, 3), 200, np.uint8))
    (top / "labels.txt").write_text("notes")
    return top


def seen(arguments: list) -> list[tuple[str, int]]:
    """Names, and a pixel of each."""
    images = images_of(arguments)
    pixels = [decode(images.read(number), FORM, images.name(number)) for number in range(len(images))]
    return [(images.name(number), int(each[0, 8, 8])) for number, each in enumerate(pixels)]


def test_a_folder_has_its_images_in_the_order_of_their_names(folder: Path) -> None:
    inside = [(str(folder / "a.JPG"), 50), (str(folder / "b.png"), 10), (str(folder / "deep" / "c.npy"), 200)]
    assert seen([folder]) == inside
    assert seen([folder / "b.png", folder, str(folder / "b.png")]) == [inside[1], *inside, inside[1]]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_a_tables_paths_are_relative_to_it(name: str, folder: Path, monkeypatch) -> None:
    rows = ["b.png", "deep/c.npy", str(folder / "a.JPG")]
    table = folder / name
    if name == "t.parquet":
        pq.write_table(pa.table({"path": rows, "other": [1, 2, 3]}), table)
    elif name == "t.jsonl":
        table.write_text("".join(json.dumps({"path": row, "other": 1}) + "\n" for row in rows))
    else:
        separator = "," if name == "t.csv" else "\t"
        table.write_text(f"other{separator}path\n" + "".join(f"1{separator}{row}\n" for row in rows))
    monkeypatch.chdir(folder.parent)
    expected = [("pictures/b.png", 10), ("pictures/deep/c.npy", 200), (str(folder / "a.JPG"), 50)]
    assert seen([f"pictures/{name}"]) == expected
    assert seen(["pictures/b.png", f"pictures/{name}"]) == [("pictures/b.png", 10), *expected]


@pytest.mark.parametrize("kind", ["bytes", "hugging face"])
def test_a_parquet_file_may_hold_the_images(kind: str, folder: Path) -> None:
    contents = [(folder / name).read_bytes() for name in ("a.JPG", "b.png")]
    column = contents if kind == "bytes" else [{"bytes": content, "path": "x.png"} for content in contents]
    pq.write_table(pa.table({"image": column, "label": [0, 1]}), folder / "t.parquet")
    assert seen([folder / "t.parquet"]) == [
        (f"{folder / 't.parquet'}: row {row}", pixel) for row, pixel in ((0, 50), (1, 10))
    ]


def test_what_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    for content, name, message in (
        ("a,b\n1,2\n", "t.csv", "no column that is called image"),
        ("path\n", "none.csv", "a table without rows"),
        ("path,x\nb.png\n", "row.csv", "row.csv:2: 1 cells"),
        ("no parquet", "t.parquet", "t.parquet: "),
    ):
        (folder / name).write_text(content)
        with pytest.raises(InputError, match=message) as refused:
            images_of([folder / name])
        assert "data.columns" not in str(refused.value), "there is no such option here"
    with pytest.raises(InputError, match="no images"):
        images_of([folder / "empty"])
    with pytest.raises(InputError, match="no images are named"):
        images_of([])
    with pytest.raises(InputError, match=r"gone\.csv"):
        images_of([folder / "gone.csv"])

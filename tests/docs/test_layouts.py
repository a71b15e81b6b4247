"""The table of layouts in docs/how-to/data-layouts.md: each row's command, on real images that are laid out so."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from archsearch.cli import main
from archsearch.sources import own
from tests.docs.reading import ROOT
from tests.sources.laid_out import digits, idx, png, write_parquet
from tests.sources.test_huggingface import NAMES, write_saved

PAGE = ROOT / "docs" / "how-to" / "data-layouts.md"
COUNT = 120
PIXELS, LABELS = digits(COUNT)


def rows() -> list[tuple[str, str]]:
    """(layout, command) of the page's table."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [(layout, command.strip("`")) for layout, _, command in lines if layout not in ("layout", "---")]


def photos(folder: Path) -> list[tuple[str, int]]:
    """Digits as JPEG files `photos/1.jpg`, ...; (path, label) of each."""
    (folder / "photos").mkdir()
    for number, pixels in enumerate(PIXELS, 1):
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.jpg", quality=95)
    return [(f"photos/{number}.jpg", int(label)) for number, label in enumerate(LABELS, 1)]


def lines(file: Path, header: str, cells: list[tuple[object, ...]]) -> None:
    file.write_text(header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in cells))


def classes(folder: Path) -> None:
    for number, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        (folder / "pets" / f"class {label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / "pets" / f"class {label}" / f"{number}.jpg")


def csv(folder: Path) -> None:
    lines(folder / "labels.csv", "path,label", photos(folder))


def json_lines(folder: Path) -> None:
    text = "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in photos(folder))
    (folder / "labels.jsonl").write_text(text)


def parquet(folder: Path) -> None:
    pq.write_table(pa.table({"image": [png(image) for image in PIXELS], "label": LABELS}), folder / "images.parquet")


def hub(folder: Path) -> None:
    write_parquet(folder / "hub" / "train-00000-of-00001.parquet", 0, 90, names=NAMES)
    write_parquet(folder / "hub" / "test-00000-of-00001.parquet", 90, COUNT, names=NAMES)


def saved(folder: Path) -> None:
    write_saved(folder / "saved" / "train", 0, COUNT)
    (folder / "saved" / "dataset_dict.json").write_text('{"splits": ["train"]}')


def shards(folder: Path) -> None:
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "train-000000.tar", "w") as tar:
        for number, (pixels, label) in enumerate(zip(PIXELS, LABELS, strict=True), 1):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG")
            for name, content in ((f"{number:05}.jpg", file.getvalue()), (f"{number:05}.cls", str(label).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def one_file(folder: Path) -> None:
    np.savez_compressed(
        folder / "arrays.npz", train_images=PIXELS[:90], train_labels=LABELS[:90], test_images=PIXELS[90:],
        test_labels=LABELS[90:],
    )  # fmt: skip


def arrays(folder: Path) -> None:
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "images.npy", PIXELS)
    np.save(folder / "arrays" / "labels.npy", LABELS)


def letters(folder: Path) -> None:
    (folder / "letters").mkdir()
    for name, array in (("images-idx3", PIXELS), ("labels-idx1", LABELS.astype(np.uint8))):
        (folder / "letters" / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(idx(array)))


def tags(folder: Path) -> None:
    words = [";".join(["even"] * (label % 2 == 0) + ["small"] * (label < 5)) for _, label in photos(folder)]
    lines(folder / "tags.csv", "path,label", [(f"photos/{n}.jpg", word) for n, word in enumerate(words, 1)])


def angles(folder: Path) -> None:
    lines(folder / "angles.csv", "path,angle", [(path, label * 12.5) for path, label in photos(folder)])


def own_class(folder: Path) -> None:
    (folder / "scans").mkdir()
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(folder / "scans" / f"{number}.png")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names, groups = (["benign", "malignant"] * (COUNT // 2), [f"patient {n // 4}" for n in range(COUNT)])
    example = re.sub(r"self\.labels = .*", f"self.labels = {names}", example)
    example = re.sub(r"self\.groups = .*", f"self.groups = {groups}", example)
    (folder / "my_images.py").write_text("from pathlib import Path\n\n" + example)
    (data,) = re.findall(r'^data: \{name: "my_images.*$', PAGE.read_text(), re.MULTILINE)
    (folder / "scans.yaml").write_text(
        f"archsearch: 1\nname: scans\n{data.replace('}', ', size: 8}')}\n"
        "space: {stem: {kernel: 3, width: 8}, stages: 2, depth: 1, width: {choice: [8, 16], each: stage}}\n"
    )


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "a folder of classes": classes, "CSV or TSV": csv, "JSON lines": json_lines, "Parquet": parquet,
    "Hugging Face's hub": hub, "`datasets.save_to_disk`": saved, "WebDataset": shards, "NumPy, one file": one_file,
    "NumPy, a folder": arrays, "idx, as MNIST and EMNIST": letters, "several labels an image": tags, "numbers": angles,
    "a class of your own": own_class,
}  # fmt: skip
SHAPES = {"NumPy, one file": (1, 8, 8), "NumPy, a folder": (1, 8, 8), "idx, as MNIST and EMNIST": (1, 8, 8)}
OUTPUTS = {
    "several labels an image": ("multi_label", 2),
    "numbers": ("regression", 1),
    "a class of your own": (None, 2),
}


def test_every_row_is_laid_out_and_run() -> None:
    assert [layout for layout, _ in rows()] == list(LAYOUTS)


@pytest.mark.parametrize(("layout", "command"), rows())
def test_a_layout_of_the_page_is_searched_by_its_command(
    layout: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """`run` is gone through to its first proposals, `init` writes the space, and `check` sees the images."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(own, "ALLOWED_CLASSES", set())
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data" if layout != "a class of your own" else tmp_path)
    LAYOUTS[layout](Path.cwd())
    _, verb, path, *options = shlex.split(command)
    if verb == "run":
        assert main(["run", path, *options, "--flops", "300k", "--dry-run", "--json"]) == 0
        first = json.loads(capsys.readouterr().out)["proposals"][0]["architecture"]
        task, outputs = OUTPUTS.get(layout, ("single_label", 10))
        assert first["input"][1:] == [8, 8] and first["classes"] == outputs
        assert layout not in SHAPES or tuple(first["input"]) == SHAPES[layout]
        assert main(["init", path, *options, "--flops", "300k", "-o", "made.yaml"]) == 0
        path, options = "made.yaml", []
    else:
        task = "single_label"
    capsys.readouterr()
    assert main(["check", path, *options, "--no-probe", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)["folder"]
    assert sum(seen["splits"].values()) == COUNT and seen["task"] == task and not seen["broken"]
    assert main(["check", path, *options, "--no-probe"]) == 0
    assert f"{COUNT} images" in capsys.readouterr().out
    sys.modules.pop("my_images", None)

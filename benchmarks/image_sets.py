"""Real image sets, laid out as folders of PNG files with a sub-folder a class: what benchmarks measure with.

`fashion*` and `clothes*` are of Fashion-MNIST (Debian's dataset-fashion-mnist), `digits` is scikit-learn's, `cifar*` is
CIFAR-10 as JPEG in Parquet files, `handwriting` and `textures` are of Debian's opencv-doc: 5,000 digits of 20 by 20
pixels, and patches of 12 photographs. Where the last two lie is given: see `Sources`.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLOTHES = {0: "t-shirt", 2: "pullover", 3: "dress", 4: "coat", 6: "shirt"}
PHOTOGRAPHS = (
    "aero1.jpg", "aloeL.jpg", "baboon.jpg", "board.jpg", "building.jpg", "fruits.jpg",
    "graf1.png", "home.jpg", "leuvenA.jpg", "rubberwhale1.png", "squirrel_cls.jpg", "starry_night.jpg",
)  # fmt: skip
PATCH = 32  # pixels a side
NAMES = ("digits", "clothes", "fashion-5000", "fashion", "handwriting", "textures", "cifar-5000", "cifar")
Labelled = Iterator[tuple[str, Image.Image]]


@dataclass(frozen=True)
class Sources:
    """The folders that sets are read from; None where one is not at hand."""

    fashion: Path = Path("/usr/share/datasets/fashion-mnist")
    cifar: Path | None = None  # train.parquet and test.parquet, as Hugging Face lays CIFAR-10 out
    opencv: Path | None = None  # examples/data of opencv-doc

    @property
    def names(self) -> tuple[str, ...]:
        """The sets that can be made of what is at hand."""
        missing = {"cifar": self.cifar is None, "cifar-5000": self.cifar is None, "handwriting": self.opencv is None,
                   "textures": self.opencv is None}  # fmt: skip
        return tuple(name for name in NAMES if not missing.get(name, False))


def laid_out(name: str, root: Path, sources: Sources) -> Path:
    """The set as a folder of images below `root`, with its own test split where it has one. Returns `root`."""
    for split, pictures in pictures_of(name, sources).items():
        for number, (label, picture) in enumerate(pictures):
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{number:06}.png")
    return root


def pictures_of(name: str, sources: Sources) -> dict[str, Labelled]:
    """Labels and images by split; "" is a set that brings none."""
    if name == "clothes":
        return {"": fashion(sources.fashion, "train", classes=CLOTHES, each=300)}
    if name.startswith("fashion"):
        each = 500 if name == "fashion-5000" else None
        classes = {label: f"class{label}" for label in range(10)}
        return {"train": fashion(sources.fashion, "train", classes=classes, each=each),
                "test": fashion(sources.fashion, "t10k", classes=classes)}  # fmt: skip
    if name == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        return {"": ((str(label), Image.fromarray((image * 15.9).astype("uint8")))
                     for image, label in zip(data.images, data.target, strict=True))}  # fmt: skip
    if name in ("handwriting", "textures"):
        assert sources.opencv is not None
        return handwriting(sources.opencv) if name == "handwriting" else textures(sources.opencv)
    assert sources.cifar is not None
    return {"train": jpegs(sources.cifar / "train.parquet", 5000 if name == "cifar-5000" else None),
            "test": jpegs(sources.cifar / "test.parquet", None)}  # fmt: skip


def fashion(folder: Path, kind: str, *, classes: dict[int, str], each: int | None = None) -> Labelled:
    """The first `each` images of each class."""
    pixels, labels = (
        np.frombuffer(gzip.decompress((folder / f"{kind}-{part}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for part, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    for label, name in classes.items():
        for index in np.flatnonzero(labels == label)[:each]:
            yield name, Image.fromarray(pixels.reshape(-1, 28, 28)[index])


def jpegs(file: Path, count: int | None) -> Labelled:
    """The first `count` images of a Parquet file."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(file)
    for row in table.slice(0, count).to_pylist():
        yield f"class{row['label']}", Image.open(io.BytesIO(row["image"]["bytes"]))


def handwriting(folder: Path) -> dict[str, Labelled]:
    """digits.png: 50 rows of 100 digits, five rows a class. The last fifth of each row is the test split: one hand
    may stand in both."""
    sheet = np.asarray(Image.open(folder / "digits.png").convert("L"))

    def part(columns: range) -> Labelled:
        for row in range(50):
            for column in columns:
                cell = sheet[20 * row : 20 * row + 20, 20 * column : 20 * column + 20]
                yield str(row // 5), Image.fromarray(cell)

    return {"train": part(range(80)), "test": part(range(80, 100))}


def textures(folder: Path) -> dict[str, Labelled]:
    """Patches that do not overlap, a class a photograph: those of its left 70 % to learn from, of its right 25 % to be
    tested on."""

    def part(begin: float, end: float) -> Labelled:
        for file in PHOTOGRAPHS:
            photograph = Image.open(folder / file).convert("RGB")
            width, height = photograph.size
            for left in range(int(begin * width), int(end * width) - PATCH, PATCH):
                for top in range(0, height - PATCH, PATCH):
                    yield file.partition(".")[0], photograph.crop((left, top, left + PATCH, top + PATCH))

    return {"train": part(0, 0.7), "test": part(0.75, 1)}

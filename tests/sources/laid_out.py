"""Real images laid out as people have them: the digits of scikit-learn as PNG files, and rows that name them."""

from __future__ import annotations

import io
import json
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet
from archsearch.space.settings import DataSettings

SPLITS = ("train", "validation", "test")


@cache
def digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 8, 8) of 0 to 255, (N,) labels: the first digits."""
    pixels, labels = load_digits(return_X_y=True)
    return np.rint(pixels[:count] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8), labels[:count]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_digits(folder: Path, count: int) -> list[tuple[str, int]]:
    """(path relative to `folder`, label) of so many digits, written as PNG files."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, (pixels, label) in enumerate(zip(*digits(count), strict=True)):
        name = f"images/{number:04}.png"
        (folder / name).write_bytes(png(pixels))
        rows.append((name, int(label)))
    return rows


def write_table(file: Path, header: list[str], rows: list[tuple[object, ...]], delimiter: str = ",") -> Path:
    lines = [header, *rows]
    file.write_text("".join(delimiter.join(map(str, line)) + "\n" for line in lines))
    return file


def load(**data: object) -> tuple[ImageSet, list[str]]:
    """The images, and the messages on the way."""
    messages: list[str] = []
    settings = DataSettings.model_validate({"size": 8, **data})
    return load_images(settings, progress=messages.append), messages


def counts(images: ImageSet) -> list[int]:
    return [len(images.split(name)) for name in SPLITS]


def sums(images: ImageSet) -> set[tuple[int, str]]:
    """What identifies each image with its label, whatever split it is in: the sum of its values and its class."""
    return {
        (int(image.sum()), images.classes[label])
        for name in SPLITS
        for image, label in zip(images.split(name).images[:], images.split(name).labels, strict=True)
    }


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_parquet(file: Path, first: int, last: int, *, rows: int = 16, names: tuple[str, ...] | None = None) -> Path:
    """Digits `first` to `last` as Hugging Face's hub has images: {bytes, path}, and the names in the metadata."""
    pixels, labels = digits(last)
    values = [{"bytes": png(image), "path": f"{number}.png"} for number, image in enumerate(pixels[first:])]
    table = pa.table({"image": values, "label": labels[first:]})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=rows)
    return file


def write_shard(file: Path, first: int, last: int, *, ending: str = "cls", folder: str = "") -> Path:
    """Digits `first` to `last` as members KEY.png and KEY.cls, or KEY.json, of a tar file."""
    pixels, labels = digits(last)
    with tarfile.open(file, "w") as tar:
        for number in range(first, last):
            label = str(labels[number])
            text = label if ending == "cls" else json.dumps({"label": int(label), "source": "digits"})
            for name, content in (("png", png(pixels[number])), (ending, text.encode())):
                member = tarfile.TarInfo(f"{folder}{number:05}.{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return file

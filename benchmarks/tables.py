"""A large table of images: seconds until its facts are known and until the first batch, and the memory that takes.

N images (the digits of scikit-learn as PNG files of 8x8, repeated) in each layout: a CSV file beside the image files,
one JSON line an image, a Parquet file with the bytes (row groups of 1,000; the first time unpacked, then not), tar
files, and gzipped ones (unpacked likewise). Each measurement is a process of its own: the facts that a search space
needs, then the data set read from disk, then one batch of 64 by StreamFeed without worker processes. The memory is the
highest resident size of the process above that before the first of these.

    python benchmarks/tables.py [--images 200000] [--folder DIR] [--repeats 3] [--layout NAME]... [--json]

The rows are those of benchmarks/results/tables.md.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_digits

import archsearch

BATCH, PER_FILE = 64, 10_000
LAYOUTS = {
    "csv": "CSV beside image files",
    "jsonl": "JSON lines beside image files",
    "parquet": "Parquet with bytes, unpacked now",
    "parquet again": "the same again",
    "webdataset": "WebDataset, tar files",
    "gzipped": "WebDataset, gzipped, unpacked now",
    "gzipped again": "the same again",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the images are written, and remain (default: nowhere)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layout", action="append", choices=LAYOUTS, help="measure this one alone; repeatable")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measured(json.loads(arguments.measure))))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        written = write(folder, arguments.images)
        document = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "archsearch": archsearch.__version__,
            "images": arguments.images,
            "n": arguments.repeats,
            "layouts": {name: run(name, written, folder, arguments.repeats) for name in arguments.layout or LAYOUTS},
        }
    if arguments.json:
        print(json.dumps(document, indent=1))
        return 0
    print(f"{document['images']:,} images, {document['machine']}, archsearch {document['archsearch']}, "
          f"medians of n = {document['n']}")  # fmt: skip
    print("\n| layout | facts, s | data set, s | first batch of 64, s | memory above the imports, MiB |")
    print("|---|---|---|---|---|")
    for name, row in document["layouts"].items():
        cells = (f"{row[key]:.2f}" for key in ("facts", "loaded", "batch"))
        print("|", " | ".join([LAYOUTS[name], *cells, f"{row['mebibytes']:.0f}"]), "|")
    return 0


def write(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """Writes all layouts; the settings of each."""
    pixels, labels = load_digits(return_X_y=True)
    pictures = [_png(np.rint(image * (255 / 16)).astype(np.uint8).reshape(8, 8)) for image in pixels]
    chosen = np.arange(count) % len(pictures)
    names = [f"images/{number // PER_FILE:03}/{number:06}.png" for number in range(count)]
    for name in ("shards", "gzipped"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for start in range(0, count, PER_FILE):
        (folder / names[start]).parent.mkdir(parents=True, exist_ok=True)
        shard = folder / "shards" / f"digits-{start // PER_FILE:04}.tar"
        with tarfile.open(shard, "w") as tar:
            for number in range(start, min(count, start + PER_FILE)):
                picture, label = pictures[chosen[number]], str(labels[chosen[number]])
                (folder / names[number]).write_bytes(picture)
                for ending, content in (("png", picture), ("cls", label.encode())):
                    member = tarfile.TarInfo(f"{number:06}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        (folder / "gzipped" / f"{shard.name}.gz").write_bytes(gzip.compress(shard.read_bytes(), 1))
    of = labels[chosen]
    rows = zip(names, of.tolist(), strict=True)
    (folder / "labels.csv").write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    rows = zip(names, of.tolist(), strict=True)
    (folder / "labels.jsonl").write_text(
        "".join(json.dumps({"path": name, "label": label}) + "\n" for name, label in rows)
    )
    pq.write_table(
        pa.table({"image": [pictures[number] for number in chosen], "label": of}),
        folder / "images.parquet",
        row_group_size=1000,
    )
    gzipped = {"name": "webdataset", "root": str(folder / "gzipped")}
    parquet = {"name": "table", "file": str(folder / "images.parquet")}
    return {
        "csv": {"name": "table", "file": str(folder / "labels.csv")},
        "jsonl": {"name": "table", "file": str(folder / "labels.jsonl")},
        "parquet": parquet,
        "parquet again": parquet,
        "webdataset": {"name": "webdataset", "root": str(folder / "shards")},
        "gzipped": gzipped,
        "gzipped again": gzipped,
    }


def run(name: str, written: dict[str, dict[str, Any]], folder: Path, repeats: int) -> dict[str, float]:
    """The medians of so many processes; the cache is emptied before each but for `again`."""
    results = []
    for _ in range(repeats):
        for file in () if name.endswith("again") else (folder / "cache").rglob("*.bin"):
            file.unlink()
        done = subprocess.run(
            [sys.executable, __file__, "--measure", json.dumps(written[name])],
            env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        results.append(json.loads(done.stdout))
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def measured(settings: dict[str, Any]) -> dict[str, float]:
    """Seconds and MiB of one layout, in this process."""
    import torch

    from archsearch.data.datasets import load_images
    from archsearch.space.datasets import facts
    from archsearch.space.settings import DataSettings, TrainingSettings
    from archsearch.training.feeds.stream_feed import StreamFeed

    before, start = _highest(), time.perf_counter()
    data = DataSettings.model_validate({"size": 8, "in_memory": False, **settings})
    facts(data)
    known = time.perf_counter()
    images = load_images(data)
    loaded = time.perf_counter()
    feed = StreamFeed(images, TrainingSettings(), torch.device("cpu"), 0)
    next(feed.training(torch.randperm(feed.count), torch.Generator(), BATCH))
    return {
        "facts": known - start,
        "loaded": loaded - known,
        "batch": time.perf_counter() - start,
        "mebibytes": (_highest() - before) / 2**20,
    }


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())

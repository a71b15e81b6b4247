"""A Parquet file larger than the memory that a process may have is trained on, row group after row group."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.sources.laid_out import digits

LIMIT = 150 * 2**20  # bytes beyond what the imported libraries take
SMALL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}  # no address space is kept in reserve
SCRIPT = f"""
import resource, sys
import numpy as np, pyarrow.parquet, torch
from pathlib import Path
from archsearch.data.datasets import load_images
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from tests.training.nets import tiny
torch.set_num_threads(1)
torch.nn.Conv2d(3, 8, 3)(torch.zeros(64, 3, 16, 16)).sum().backward()  # what torch takes once
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {LIMIT},) * 2)
file = Path(sys.argv[1])
assert file.stat().st_size > 2 * {LIMIT}
try:
    file.read_bytes()
    sys.exit("the limit does not hold")
except MemoryError:
    pass
data = DataSettings(name="table", file=str(file), size=16, in_memory=False, limit=64, validation=32)
images = load_images(data)
settings = TrainingSettings(epochs=1, batch_size=32, device="cpu", precision="float32")
training = Training(tiny(0, 3, classes=10), images, settings, seed=0)
print(len(images.train), len(images.test), next(iter(training)).validation_accuracy)
"""


def test_a_parquet_file_larger_than_the_memory_allowed_trains(tmp_path: Path) -> None:
    """One row group for the whole file, as pandas writes it."""
    pixels, labels = digits(1797)
    schema = pa.schema({"image": pa.binary(), "label": pa.int64()})
    large = [np.kron(image, np.ones((8, 8), np.uint8)).repeat(3, 1).tobytes() for image in pixels]
    table = pa.table({"image": [b"P6 64 64 255\n" + values for values in large], "label": labels}, schema=schema)
    whole = pa.concat_tables([table] * 15)
    pq.write_table(
        whole, tmp_path / "large.parquet", compression="none", use_dictionary=False, row_group_size=len(whole)
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "large.parquet")], capture_output=True, text=True, check=False,
        env=os.environ | SMALL | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    count, test, accuracy = done.stdout.split()
    assert (int(count), int(test)) == (64, 4043) and 0 <= float(accuracy) <= 1

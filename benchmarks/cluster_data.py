"""What the images cost a node: N trials at once, their memory, and how soon each begins to train.

Images of CIFAR-10's size and number (drawn at random: no pixel's value matters here) go into Ray's object store once,
as the executor hands them over; N processes map them and train the first steps of a network with crops of 4 pixels,
`laid out` as they are handed over today, and `copied` as before: each process made its own rows of them. Reported of
every process: seconds from being ready (torch imported, nothing else) to its first step's end; USS and PSS with it; and
of its mapping of the object store the resident part. One copy a node means that USS does not grow with the images.

    python benchmarks/cluster_data.py [--json] [--quick] [--trials N]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from quickstart import machine

from archsearch import zoo
from archsearch.data.images import ImageSet, Split
from archsearch.data.laid_out import laid_out
from archsearch.search.running.environment import prepare
from archsearch.space.settings import TrainingSettings

TARGET_SECONDS = 1.0
STEPS, BATCH, PADDING = 5, 64, 4


class Enough(Exception):
    pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trials", type=int, default=4)
    asked = parser.parse_args()
    trials, count = (2, 20_000) if asked.quick else (asked.trials, 50_000)
    images = drawn(count)
    prepare(None)
    from archsearch.search.running.cluster import cluster

    figures: dict[str, Any] = {"images_mib": round(images.nbytes / 2**20, 1), "trials": trials}
    with cluster(None, object_bytes=4 * images.nbytes):
        for name, given in (("laid out", laid_out(images, padding=PADDING)), ("copied", images)):
            figures[name] = measure(given, trials)
    rest = figures["laid out"]["first_step_seconds"][1:]
    # What a process has of its own beyond the copying one is its copy: less than a tenth of it may be left.
    saved = figures["copied"]["uss_mib_median"] - figures["laid out"]["uss_mib_median"]
    document = {
        "name": "cluster_data",
        "figures": figures,
        "target": f"from the second trial on a step within {TARGET_SECONDS:g} s of being ready; one copy for all",
        "met": max(rest) <= TARGET_SECONDS and saved >= 0.9 * figures["images_mib"] * len(images.train) / count,
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "ray")},
        "n": trials,
    }
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0


def drawn(count: int) -> ImageSet:
    rng = np.random.default_rng(0)

    def split(number: int) -> Split:
        pixels = rng.integers(0, 256, (number, 3, 32, 32), dtype=np.uint8)
        return Split(images=pixels, labels=rng.integers(0, 10, number))

    parts = [split(number) for number in (count * 9 // 10, count // 10, count // 5)]
    names = tuple("0123456789")
    return ImageSet.of(name="drawn", classes=names, train=parts[0], validation=parts[1], test=parts[2])


def measure(images: ImageSet, trials: int) -> dict[str, Any]:
    """N processes, one after another; all live when memory is read."""
    import ray

    reference, actor = ray.put(images), ray.remote(num_cpus=0)(OneTrial)
    actors, seconds = [], []
    for _ in range(trials):
        actors.append(actor.remote())
        ray.get(actors[-1].ready.remote())
        seconds.append(round(ray.get(actors[-1].first_steps.remote([reference])), 3))
    memory = [memory_of(ray.get(one.pid.remote())) for one in actors]
    for one in actors:
        ray.kill(one)
    return {
        "first_step_seconds": seconds,
        "uss_mib": [round(found["uss"]) for found in memory],
        "uss_mib_median": round(statistics.median(found["uss"] for found in memory)),
        "pss_mib": [round(found["pss"]) for found in memory],
        "store_mapped_mib": [round(found["store_rss"]) for found in memory],
        "store_share_mib_in_all": round(sum(found["store_pss"] for found in memory)),
    }


class OneTrial:
    """A process as a lane's is, and the first steps of a trial in it."""

    def ready(self) -> None:
        from archsearch.search.running.worker import load_trainer

        load_trainer()
        from archsearch.network import build

        build(zoo.get("resnet20_cifar"))  # what torch loads when it is first used

    def first_steps(self, images: list[Any]) -> float:
        import ray

        from archsearch.network import build
        from archsearch.training.loop import Training

        began, first = time.monotonic(), []

        def on_step(done: int, steps: int) -> None:
            first.append(time.monotonic() - began)
            if done == STEPS:
                raise Enough

        held = ray.get(images[0])
        settings = TrainingSettings(batch_size=BATCH, crop_padding=PADDING, flip=True, precision="float32")
        network = build(zoo.get("resnet20_cifar"), seed=0)
        self._training = Training(network, held, settings, seed=0, threads=1, on_step=on_step)
        try:
            next(iter(self._training))
        except Enough:
            held.train.images.sum()  # as an epoch: every pixel was read
            return first[0]
        raise AssertionError("an epoch of fewer steps")

    def pid(self) -> int:
        return os.getpid()


def memory_of(pid: int) -> dict[str, float]:
    """MiB of a process: unique, proportional; and of its mapping of Ray's object store (/dev/shm), resident and its
    share of that."""
    sums = dict.fromkeys(("uss", "pss", "store_rss", "store_pss"), 0.0)
    store = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if "-" in name.split(" ")[0] and len(name.split(" ")[0]) > 8:
            store = "/dev/shm/" in line or "plasma" in line
        elif len(words) == 2 and words[1] == "kB":
            mib = int(words[0]) / 1024
            sums["uss"] += mib if name in ("Private_Clean", "Private_Dirty") and not store else 0
            sums["pss"] += mib if name == "Pss" else 0
            sums["store_rss"] += mib if name == "Rss" and store else 0
            sums["store_pss"] += mib if name == "Pss" and store else 0
    return sums


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    text = [f"{figures['images_mib']} MiB of images, {figures['trials']} trials; {document['machine']}"]
    for name in ("laid out", "copied"):
        found = figures[name]
        text.append(
            f"  {name}: first step after {', '.join(f'{s:.2f}' for s in found['first_step_seconds'])} s; USS "
            f"{found['uss_mib_median']} MiB each; of the store {found['store_share_mib_in_all']} MiB in all"
        )
    return "\n".join([*text, f"target ({document['target']}): {'met' if document['met'] else 'NOT met'}"])


if __name__ == "__main__":
    raise SystemExit(main())

"""Real digits with other questions: several labels, and a number."""

from functools import cache

import numpy as np
from scipy.ndimage import rotate

from archsearch.data.arrays import collect
from archsearch.data.digits import _table
from archsearch.data.images import ImageSet
from archsearch.data.splitting import assemble, subset, without_test
from archsearch.space.settings import DataSettings

LABELS = ("0", "1", "2", "3", "4")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, uint8 (1797, 8, 8), and their classes."""
    pixels, labels = _table()
    return np.rint(pixels.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8), labels.astype(np.int64)


def pairs_of_digits(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Two digits of 0 to 4 side by side, (count, 8, 16), and which digits are there, (count, 5)."""
    images, labels = digits()
    images, labels = images[labels < 5], labels[labels < 5]
    left, right = np.random.default_rng(0).integers(0, len(images), (2, count))
    present = np.zeros((count, 5), np.int64)
    present[np.arange(count), labels[left]] = present[np.arange(count), labels[right]] = 1
    return np.concatenate([images[left], images[right]], 2), present


def rotated_digits(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Ones and sevens in 14x14 pixels, turned by an angle, and the angles in degrees."""
    images, labels = digits()
    images = np.pad(images[np.isin(labels, (1, 7))], ((0, 0), (3, 3), (3, 3)))
    rng = np.random.default_rng(0)
    angles, chosen = rng.uniform(-60, 60, count), rng.integers(0, len(images), count)
    turned = [rotate(images[i], angle, reshape=False, order=1) for i, angle in zip(chosen, angles, strict=True)]
    return np.stack(turned), angles


@cache
def task_images(task: str, count: int = 1000) -> ImageSet:
    """One of these sets, split, as a search has it."""
    arrays = collect(pairs_of_digits(count) if task == "multi_label" else rotated_digits(count))
    whole = arrays.splits["train"]
    test, remaining = without_test(whole.labels, 0.15)
    settings = DataSettings(name="arrays")
    return assemble(arrays.classes, subset(whole, remaining), subset(whole, test), settings, task=arrays.task)

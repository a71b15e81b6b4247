"""scikit-learn's digits: 1,797 real images of 8x8 (UCI, Alpaydin and Kaynak 1998), embedded, no download."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data.images import ImageSet, Split
from archsearch.data.splitting import assemble, without_test
from archsearch.space.settings import DataSettings

CLASSES = tuple("0123456789")
TEST_SHARE = 0.2


def load(settings: DataSettings) -> ImageSet:
    """The digits, their grey values 0..16 scaled to 0..255; a fifth is the test split, the same for every seed."""
    pixels, target = _table()
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = target.astype(np.int64)
    test, remaining = without_test(labels, TEST_SHARE)
    return assemble(
        CLASSES,
        Split(images=images[remaining], labels=labels[remaining]),
        Split(images=images[test], labels=labels[test]),
        settings,
    )


def _table() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(N, 64) grey values, (N,) labels: read from scikit-learn's file, for importing scikit-learn takes seconds."""
    package = find_spec("sklearn")
    for location in package.submodule_search_locations or () if package else ():
        path = Path(location, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            with gzip.open(path, "rt") as file:
                table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    return pixels, target

"""SVHN (Netzer 2011, cropped digits of 32x32) from its two MATLAB files, in torchvision's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data.download import obtain
from archsearch.data.images import ImageSet, Progress, Split
from archsearch.data.splitting import assemble
from archsearch.reading.errors import refuse
from archsearch.reading.files import open_regular
from archsearch.space.settings import DataSettings

URL = "http://ufldl.stanford.edu/housenumbers/"
SHA256 = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}
ALLOWED = "X (32, 32, 3, N) of uint8 and y (N, 1) of 1 to 10, where 10 is the digit 0"


def load(settings: DataSettings, tell: Progress) -> ImageSet:
    """The data set from ROOT, or a download to it. Raises InputError with the ways out."""
    root = Path(settings.root)
    files = {name: root / name for name in SHA256}
    if not all(file.is_file() for file in files.values()):
        sources = [(f"{URL}{name}", file, SHA256[name]) for name, file in files.items()]
        obtain("SVHN", URL, sources, settings, tell, hint=f"put train_32x32.mat and test_32x32.mat ({URL})")
    tell(f"reading {root}")
    train, test = (_split(file) for file in files.values())
    return assemble(tuple("0123456789"), train, test, settings)


def _split(path: Path) -> Split:
    from scipy.io import loadmat  # type: ignore[import-untyped]

    try:
        with open_regular(path) as file:
            content: dict[str, Any] = loadmat(file, variable_names=("X", "y"))
    except Exception as error:  # scipy's reader raises nearly anything for a damaged file
        raise refuse(
            f"it cannot be read: {error}", allowed=ALLOWED, hint="fetch the file again", file=str(path)
        ) from error
    images, labels = content.get("X"), content.get("y")
    if (
        not isinstance(images, np.ndarray)
        or not isinstance(labels, np.ndarray)
        or images.dtype != np.uint8
        or images.shape[:3] != (32, 32, 3)
        or images.ndim != 4
        or labels.shape != (images.shape[3], 1)
        or not np.isin(labels, range(1, 11)).all()
    ):
        shapes = f"X {getattr(images, 'shape', None)}, y {getattr(labels, 'shape', None)}"
        raise refuse(f"other arrays: {shapes}", allowed=ALLOWED, hint="fetch the file again", file=str(path))
    pixels = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    return Split(images=pixels, labels=labels[:, 0].astype(np.int64) % 10)

"""Real images as files: scikit-learn's digits as JPEGs and PNGs, which are no squares; and a search on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from archsearch.experiment import ExperimentFolder
from archsearch.search.session import create
from archsearch.space.loading import load_space
from tests.search.local import drive_locally, end

SPACE = """
archsearch: 1
name: shapes
data: {name: folder, root: images, size: 16}
space:
  stem: {width: 8}
  stages: 2
  depth: 1
  width: {choice: [8, 16], each: stage, order: increasing}
  block: basic
  link: residual
  activation: post
search: {trials: 1, seed: 3}
training: {epochs: 15, batch_size: 32, precision: float32}
"""


def write_digits(folder: Path, classes: int = 4, each: int = 40, first: int = 0) -> list[Path]:
    """Digits below `classes` as FOLDER/zero/000.jpg, ...; every third a PNG."""
    names = ("zero", "one", "two", "three", "four")
    images, labels = load_digits(return_X_y=True)
    paths = []
    for label in range(classes):
        (folder / names[label]).mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(images[labels == label][first : first + each]):
            picture = Image.fromarray(np.uint8(pixels.reshape(8, 8) * 255 / 16)).resize((37, 29))
            path = folder / names[label] / f"{number:03}.{'png' if number % 3 == 0 else 'jpg'}"
            picture.convert("RGB").save(path)
            paths.append(path)
    return paths


def searched(folder: Path, space: str = SPACE) -> ExperimentFolder:
    """A finished search on FOLDER/images, where write_digits has put some."""
    (folder / "space.yaml").write_text(space.replace("root: images", f"root: {folder / 'images'}"))
    experiment, read = ExperimentFolder(folder / "experiment"), load_space(folder / "space.yaml")
    create(read, experiment, name="shapes")
    drive_locally(read, experiment)
    end(experiment)
    return experiment

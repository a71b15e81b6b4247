"""A folder of images looked at before anything is decoded: classes, sizes, colours, files that cannot be read, copies.

Of each file its header is read, and of files of equal length the bytes: a second for some thousands of images.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.data.advice import advice, grey_share, median_lost, wide_share
from archsearch.data.decoding import form_of, header, problems_of
from archsearch.data.folder import parts_in
from archsearch.data.images import Progress
from archsearch.data.sourced import Part
from archsearch.reading.errors import Problem
from archsearch.space.settings import DataSettings

HEADERS = 20_000  # files whose headers are read, at most; of more, so many spread evenly


@dataclass(frozen=True, kw_only=True)
class FolderSurvey:
    """What a folder holds. `images` maps a split to the number of images of each class; `sides` are quantiles 0, 0.5
    and 1 of the shorter side, in pixels, and `ratio` the median of longer over shorter side; `channels` are
    those that the images need, 1 where all are grey; `grey` is the share of
    images without colours by their header, `wide` of those with more than 8 bits, `lost` the median share of an image
    that the center crop removes, and `advice` what could be set otherwise. `broken` cannot be opened; `copies` are
    files that repeat another's bytes, and `across` those whose original lies in another split. `headers` says how many
    files were looked at."""

    root: Path
    classes: tuple[str, ...]
    images: dict[str, tuple[int, ...]]
    headers: int
    sides: tuple[int, int, int]
    ratio: float
    channels: int
    grey: float
    wide: float
    lost: float
    advice: tuple[str, ...]
    broken: tuple[Problem, ...]
    copies: int
    across: int

    @property
    def total(self) -> int:
        """Images of all splits."""
        return sum(map(sum, self.images.values()))

    @property
    def train(self) -> int:
        """Images of the training split."""
        return sum(self.images["train"])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "root": str(self.root),
            "classes": list(self.classes),
            "images": {split: list(counts) for split, counts in self.images.items()},
            "headers": self.headers,
            "sides": list(self.sides),
            "ratio": self.ratio,
            "channels": self.channels,
            "grey": self.grey,
            "wide": self.wide,
            "lost": self.lost,
            "advice": list(self.advice),
            "broken": [problem.file for problem in self.broken],
            "copies": self.copies,
            "copies_across_splits": self.across,
        }


def survey_folder(settings: DataSettings, tell: Progress) -> FolderSurvey:
    """Looks at the folder that the settings name. Raises InputError where it holds no classes of images."""
    root = Path(settings.root)
    classes, splits = parts_in(settings, tell)
    images = {name: tuple(np.bincount(part.labels, minlength=len(classes)).tolist()) for name, part in splits.items()}
    paths = [path for part in splits.values() for path in _paths(part)]
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(len(paths), HEADERS)).round().astype(int)]
    tell(f"reading the headers of {len(chosen):,} images in {root}")
    headers: dict[int, tuple[tuple[int, int], str]] = {}
    broken = problems_of(
        lambda index: headers.__setitem__(index, header(chosen[index], str(chosen[index]))), len(chosen)
    )
    read = list(headers.values())
    shorter = sorted(min(size) for size, _ in read) or [0]
    ratios = sorted(max(size) / min(size) for size, _ in read) or [1.0]
    copies, across = _copies(splits)
    grey = grey_share(read)
    return FolderSurvey(
        root=root,
        classes=classes,
        images=images,
        headers=len(chosen),
        sides=(shorter[0], shorter[len(shorter) // 2], shorter[-1]),
        ratio=ratios[len(ratios) // 2],
        channels=1 if settings.channels == "auto" and grey == 1 else form_of(settings).channels,
        grey=grey,
        wide=wide_share(read),
        lost=median_lost(read, settings),
        advice=advice(read, settings),
        broken=tuple(broken.values()),
        copies=copies,
        across=across,
    )


def _paths(part: Part) -> list[Path]:
    return [part.source.file(number) for number in part.numbers.tolist()]


def _copies(splits: dict[str, Part]) -> tuple[int, int]:
    """(files that repeat another's bytes, those of them whose original is in another split); of HEADERS files or fewer,
    for all must be read whose lengths are equal."""
    if sum(map(len, splits.values())) > HEADERS:
        return 0, 0
    lengths: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for name, part in splits.items():
        for path in _paths(part):
            lengths[path.stat().st_size].append((name, path))
    return tuple(np.sum([_repeated(group) for group in lengths.values() if len(group) > 1] or [(0, 0)], 0).tolist())


def _repeated(files: Sequence[tuple[str, Path]]) -> tuple[int, int]:
    prints: dict[bytes, Counter[str]] = defaultdict(Counter)
    for split, path in files:
        prints[hashlib.sha256(path.read_bytes()).digest()][split] += 1
    copies = sum(splits.total() - 1 for splits in prints.values())
    across = sum(splits.total() - max(splits.values()) for splits in prints.values())
    return copies, across

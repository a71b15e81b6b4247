"""A source of images looked at before anything is decoded: classes, sizes, colours, what cannot be read, copies.

Of each image its header is read, and of images of equal length the bytes: a second for some thousands of images.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.data.advice import Header, advice, as_seen, grey_share, header_of, median_lost, wide_share
from archsearch.data.decoding import form_of, problems_of
from archsearch.data.folder import parts_in
from archsearch.data.images import Progress
from archsearch.data.sourced import Part, opened
from archsearch.reading.errors import Problem
from archsearch.sources.source import Content, Source
from archsearch.space.settings import DataSettings
from archsearch.space.tasks import TaskName

HEADERS = 20_000  # files whose headers are read, at most; of more, so many spread evenly


@dataclass(frozen=True, kw_only=True)
class FolderSurvey:
    """What a folder, a table or another source holds. `sizes` maps a split to the number of its images, `images` to
    those of each class or label (empty where the labels are numbers); `shape` is that of arrays of one shape. `sides`
    are quantiles 0, 0.5 and 1 of the shorter side, in pixels, `ratio` the median of longer over shorter side, and
    `aspect` the width over the height, where nearly all images agree in it; `channels` are those that the images need,
    1 where all are grey; `grey` is the share of images without colours by their header, `wide` of those with more than
    8 bits, `lost` the median share of an image that the center crop removes, and `advice` what could be set otherwise.
    `broken` cannot be opened; `copies` are images that repeat another's bytes, and `across` those whose original lies
    in another split. `headers` says how many were looked at."""

    root: Path
    task: TaskName
    classes: tuple[str, ...]
    sizes: dict[str, int]
    shape: tuple[int, int, int] | None
    images: dict[str, tuple[int, ...]]
    headers: int
    sides: tuple[int, int, int]
    aspect: float | None = None
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
        return sum(self.sizes.values())

    @property
    def train(self) -> int:
        """Images of the training split."""
        return self.sizes["train"]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "root": str(self.root),
            "task": self.task,
            "splits": self.sizes,
            "classes": list(self.classes),
            "images": {split: list(counts) for split, counts in self.images.items()},
            "headers": self.headers,
            "sides": list(self.sides),
            "aspect": self.aspect,
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
    """Looks at the images that the settings name. Raises InputError where there are no labelled images."""
    task, classes, splits = _opened(settings, tell)
    source = splits["train"].source
    images = {name: _counts(part.labels, len(classes)) for name, part in splits.items()}
    numbers = np.concatenate([part.numbers for part in splits.values()])
    chosen = numbers[np.linspace(0, len(numbers) - 1, min(len(numbers), HEADERS)).round().astype(int)].tolist()
    tell(f"reading the headers of {len(chosen):,} images in {settings.location}")
    headers: dict[int, Header] = {}

    def note(index: int) -> None:
        headers[index] = header_of(source, chosen[index], source.read(chosen[index]))

    broken = problems_of(note, len(chosen))
    read = list(headers.values())
    shorter = sorted(min(size) for size, _ in read) or [0]
    ratios = sorted(max(size) / min(size) for size, _ in read) or [1.0]
    copies, across = _copies(splits)
    grey = grey_share(read)
    seen = as_seen(source, settings)
    return FolderSurvey(
        root=Path(settings.location),
        task=task,
        classes=classes,
        sizes={name: len(part) for name, part in splits.items()},
        shape=source.shape,
        images=images,
        headers=len(chosen),
        sides=(shorter[0], shorter[len(shorter) // 2], shorter[-1]),
        ratio=ratios[len(ratios) // 2],
        aspect=common_aspect([size for size, _ in read]),
        channels=1 if settings.channels == "auto" and grey == 1 else form_of(settings).channels,
        grey=grey,
        wide=wide_share(read),
        lost=median_lost(read, seen),
        advice=advice(read, seen),
        broken=tuple(broken.values()),
        copies=copies,
        across=across,
    )


def common_aspect(sizes: Sequence[tuple[int, int]]) -> float | None:
    """The width over the height in which nine in ten images (width, height) agree to 5 %; None where they do not."""
    aspects = [width / height for width, height in sizes]
    if not aspects:
        return None
    middle = float(median(aspects))
    near = sum(abs(aspect / middle - 1) <= 0.05 for aspect in aspects)
    return middle if near >= 0.9 * len(aspects) else None


def _opened(settings: DataSettings, tell: Progress) -> tuple[TaskName, tuple[str, ...], dict[str, Part]]:
    if settings.name == "folder":
        return "single_label", *parts_in(settings, tell)
    targets, parts = opened(settings, tell)
    return targets.task, targets.classes, parts


def _counts(labels: npt.NDArray[Any], classes: int) -> tuple[int, ...]:
    """The images of each class, or with each label; none where the labels are numbers."""
    if labels.dtype.kind == "f":
        return ()
    counts = np.bincount(labels, minlength=classes) if labels.ndim == 1 else labels.sum(0, dtype=np.int64)
    return tuple(counts.tolist())


def _copies(splits: dict[str, Part]) -> tuple[int, int]:
    """(images that repeat another's bytes, those of them whose original is in another split); of HEADERS images or
    fewer, for all must be read whose lengths are equal."""
    if sum(map(len, splits.values())) > HEADERS:
        return 0, 0
    lengths: dict[int, list[tuple[str, Source, int]]] = defaultdict(list)
    for name, part in splits.items():
        for number in part.numbers.tolist():
            content = part.source.read(number)
            length = content.stat().st_size if isinstance(content, Path) else len(_bytes(content))
            lengths[length].append((name, part.source, number))
    return tuple(np.sum([_repeated(group) for group in lengths.values() if len(group) > 1] or [(0, 0)], 0).tolist())


def _repeated(images: Sequence[tuple[str, Source, int]]) -> tuple[int, int]:
    prints: dict[bytes, Counter[str]] = defaultdict(Counter)
    for split, source, number in images:
        prints[hashlib.sha256(_bytes(source.read(number))).digest()][split] += 1
    copies = sum(splits.total() - 1 for splits in prints.values())
    across = sum(splits.total() - max(splits.values()) for splits in prints.values())
    return copies, across


def _bytes(content: Content) -> bytes:
    return (
        content
        if isinstance(content, bytes)
        else content.tobytes()
        if isinstance(content, np.ndarray)
        else (content.read_bytes())
    )

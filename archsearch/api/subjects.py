"""The images that a search-space file is written for: their settings, their shape, what its first lines say of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.data.surveying import FolderSurvey
from archsearch.reading.document import Document
from archsearch.reading.errors import refuse
from archsearch.reading.validation import validate
from archsearch.sources.kinds import settings_of
from archsearch.sources.tables import SUFFIXES
from archsearch.space.overrides import apply
from archsearch.space.settings import DataSettings

ON_CPU, ON_GPU = 64, 128  # pixels a side, at most
ANOTHER = "choose another folder of images"
RECTANGLE = 1.25  # longer over shorter side, from which the images of one shape are no squares
LARGER = 1.5  # shorter side of the median image over the side that networks see, from which the file says so
ABOUT_DATA = ("data.columns", "data.task")  # keys that are needed to read a table


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The images that a space is for: their (channels, height, width), how many classes they have and how many train,
    the YAML of the file's `data:`, a name for the file, and what its first lines say. `sizes` are sides that they could
    be searched at, where they are larger than networks see (else none)."""

    shape: tuple[int, int, int]
    classes: int
    train: int
    data: str
    name: str
    comments: tuple[str, ...]
    sizes: tuple[int, ...] = ()

    def at_sizes(self) -> Subject:
        """The images with their resolution as a choice of `sizes`: their shape is that of the largest."""
        before, size, after = self.data.rpartition(f"size: {self.shape[1]}")
        choice = f"size: {{choice: {list(self.sizes)}}}" if size else ""
        comment = "# They are larger than that, and there is time: the resolution is searched too (one size: faster)."
        return replace(
            self,
            shape=(self.shape[0], max(self.sizes), max(self.sizes)),
            data=before + choice + after,
            comments=(*self.comments, comment),
        )


def data_of(path: Path, overrides: Sequence[str]) -> DataSettings:
    """The settings of the images at `path`: by what a folder's files are called, or by the file's ending."""
    try:
        settings = settings_of(path)
    except OSError as error:
        raise refuse(f"it cannot be read: {error.strerror or error}", hint=ANOTHER, file=str(path)) from None
    if settings is None:
        allowed = f"a folder of images, or a table of them: {', '.join(SUFFIXES)}, .npz"
        raise refuse("no images" if path.exists() else "no such file", allowed=allowed, hint=ANOTHER, file=str(path))
    told = [override for override in overrides if override.strip().startswith(ABOUT_DATA)]
    document = apply(Document(data={"data": settings}, file=str(path)), told)
    return validate(DataSettings, Document(data=document.data["data"], file=str(path)))


def image_side(survey: FolderSurvey, *, on_gpu: bool) -> int:
    """The pixels a side that networks see: the images' own where they are small, else as many as a device can bear."""
    middle = survey.sides[1]
    most = ON_GPU if on_gpu else ON_CPU
    if middle <= most:
        return max(8, middle // 2 * 2 if middle < 32 else middle // 4 * 4)
    return most


def frame(survey: FolderSurvey, side: int) -> tuple[int, int]:
    """(height, width) that networks see, for a shorter side of `side` pixels: a square, but where all images have one
    other shape. Of images larger than that it has a square's area."""
    aspect = survey.aspect
    if aspect is None or max(aspect, 1 / aspect) < RECTANGLE:
        return side, side
    long = max(aspect, 1 / aspect)
    is_own = survey.sides[1] - side < 4  # the images' own size
    short = side if is_own else max(8, round(side / math.sqrt(long) / 4) * 4)
    sides = short, max(short, round(short * long / 2) * 2)
    return sides if aspect > 1 else sides[::-1]


def subject_of(survey: FolderSurvey, data: DataSettings, side: int) -> Subject:
    """What a space is written for, from what was seen of the images; `side` is what image files are resized to."""
    counts = [sum(split) for split in zip(*survey.images.values(), strict=True)]
    small, middle, large = survey.sides
    kind, each = ("labels", "with each") if survey.task == "multi_label" else ("classes", "per class")
    of = (
        f"{len(survey.classes)} {kind}, {min(counts):,} to {max(counts):,} {each}"
        if counts
        else (f"numbers to predict: {', '.join(survey.classes)}")
    )
    comments = [
        f"# Made by archsearch init for {survey.total:,} images of {of}.",
        f"# Shorter sides {small} to {large} pixels, median {middle}" + (", grey." if survey.grey > 0.99 else "."),
    ]
    height, width = frame(survey, side)
    if height != width and not survey.shape:
        comments.append(f"# All are about {survey.aspect:.2g} times as wide as high: networks see {height}x{width}.")
    elif survey.ratio >= 1.5:
        comments.append(
            f"# The longer side is {survey.ratio:.2g} times the shorter: images are center-cropped to a square; "
            "fit: pad or squash keeps all of them."
        )
    sizes: tuple[int, ...] = ()
    if not survey.shape and height == width and middle >= LARGER * side:
        sizes = tuple(sorted({max(8, round(side * factor / 8) * 8) for factor in (0.75, 1, 1.5)}))
    if survey.copies:
        comments.append(f"# {survey.copies:,} duplicate files, {survey.across:,} of them across splits.")
    if survey.broken:
        comments.append(f"# {len(survey.broken):,} files cannot be read and are skipped (broken: skip).")
    shape = survey.shape or (survey.channels, height, width)
    keys: dict[str, Any] = {"name": data.name, "root" if data.file is None else "file": str(survey.root)}
    keys |= {key: value for key, value in data.to_dict().items() if key in ("columns", "task")}
    if not survey.shape:
        keys |= {"size": side if height == width else [height, width]}
        keys |= {"channels": 1} if survey.channels == 1 else {}
    keys |= {"broken": "skip"} if survey.broken else {}
    plain_keys = ("name", "broken", "task")
    values = {key: value if key in plain_keys else json.dumps(value, ensure_ascii=False) for key, value in keys.items()}
    name = survey.root.absolute()
    return Subject(
        shape=shape,
        classes=len(survey.classes),
        train=survey.train,
        data=f"{{{', '.join(f'{key}: {value}' for key, value in values.items())}}}",
        name=re.sub(r"[^A-Za-z0-9_-]+", "-", name.stem if data.file else name.name).strip("-")[:60] or "images",
        comments=tuple(comments),
        sizes=sizes,
    )

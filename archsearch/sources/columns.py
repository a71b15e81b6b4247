"""Which columns of a table hold what: a group of settings under `data.columns`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel

Names = Annotated[
    tuple[str, ...], Field(strict=False, min_length=1, max_length=10_000), Allowed("a list of columns' names")
]


class Columns(StrictModel):
    """The columns of a table, by their names; those that are not given are found by their usual names."""

    image: str | None = Field(None, description="Paths of image files, or their bytes. Default: image, path, file, ...")
    label: str | Names | None = Field(
        None,
        description="Class of an image, a number, or a list of labels; several columns: a number in each. "
        "Default: label, class, target, ...",
    )
    split: str | None = Field(
        None, description="train, validation or test; empty cells are drawn from. Default: split, subset, partition."
    )
    weight: str | None = Field(None, description="How much an image counts. Default: weight, sample_weight.")
    group: str | None = Field(
        None,
        description="Images of one group, such as those of one patient, are in one split. Default: group, group_id.",
    )
    separator: str | None = Field(
        None, min_length=1, description="What stands between several labels in one cell, such as '|'."
    )

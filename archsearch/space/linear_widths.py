"""RegNet's linear widths: four numbers of a space that give a network its stages, their depths and their widths.

What they give is worked out in many/linear.py, for one candidate and for many.
"""

from __future__ import annotations

from pydantic import Field

from archsearch.reading.model import StrictModel

GROUP = "linear_widths"


class LinearWidths(StrictModel):
    """RegNet's parametrisation (Radosavovic 2020, arXiv:2003.13678), which gives `depth` and `width` of every stage.
    Block j of the network (from 0) gets the width initial * multiplier^k, with the k that brings it nearest, in the
    logarithm, to initial + slope * j, rounded to a multiple of 8; blocks of one width are a stage. `stages` are the
    numbers of stages that the space allows. A bottleneck's width is then rounded so that its groups fit."""

    depth: int = Field(ge=1, le=256, description="Number of blocks of all stages together (RegNet's d).")
    initial: int = Field(ge=8, le=4096, description="Width of the first block (RegNet's w_0).")
    slope: float = Field(
        ge=0,
        le=1024,
        description="Channels by which the width grows from block to block (RegNet's w_a): block j, from 0, would have "
        "initial + slope * j.",
    )
    multiplier: float = Field(
        ge=1.01,
        le=16,
        description="Ratio of the widths of one stage and the next (RegNet's w_m: 1.5 to 3). A block has the width "
        "initial * multiplier^k, with the whole k that is nearest in the logarithm, rounded to a multiple of 8.",
    )


NAMES = tuple(f"{GROUP}.{name}" for name in LinearWidths.model_fields)

"""The settings of `start:`: trained networks whose weights candidates begin with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from archsearch.reading.allowed import Allowed
from archsearch.reading.model import StrictModel
from archsearch.space.domains import as_tuple

Cut = Literal["drop_blocks", "slice_width"]
Sources = Annotated[tuple[str, ...], BeforeValidator(as_tuple), Allowed("a list of 1 to 16 texts")]
Cuts = Annotated[tuple[Cut, ...], BeforeValidator(as_tuple), Allowed("a list of drop_blocks, slice_width")]


class StartSettings(StrictModel):
    """Trained networks (parents) whose weights candidates begin with, instead of initial values."""

    weights: Sources = Field(
        min_length=1,
        max_length=16,
        description="Trained networks, as `archsearch train` takes them with --weights: a folder of it, an experiment, "
        "a bundle, a file of weights (ARCH=FILE), torchvision:WEIGHTS or timm:NAME.TAG. They are copied into the "
        "experiment's folder.",
    )
    may: Cuts = Field(
        (),
        max_length=2,
        description="What a candidate may lack of the trained network and still begin with its weights: drop_blocks: "
        "blocks of a stage; slice_width: channels of stages and of bottlenecks, and growth. Without `space`, the "
        "candidates are all such networks. Default: nothing; the trained network alone begins with its weights.",
    )

"""Whether fine-tuning a pretrained network is likely to beat a search that begins from nothing: one rule, and why.

| evidence | from nothing | pretrained |
|---|---|---|
| STL-10: 5,000 photos of 10 classes at 96 pixels, ResNet-50 | 58.0 % | 91.2 % |
| CIFAR-10: 50,000 photos of 10 classes at 32 pixels | 96.0 % (airbench, half a minute of a GPU) | not needed |
| networks of ImageNet on grey images, spectrograms, or 8 to 32 pixels | the search's field | not what they saw |

So four things decide: a pretrained network must be within the budget; the images must be like those that it learned
from, in colour; they must not be much smaller than those, for its first layers reduce an image of 64 pixels to 2x2
positions at the end; and they must be few, for with thousands of each class a network learns as much from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINED_AT = 224  # pixels a side of ImageNet's images
SMALLEST = 64 / 224  # side of the images over that of those which a network was pretrained on
MANY = 5_000  # training images of a class, from which pretraining is not needed


@dataclass(frozen=True, kw_only=True)
class Case:
    """A set of images and a budget: how many pretrained networks `fit` the budget; the `channels` of the images, 1
    where all are grey; their shorter `side` in pixels; the training images `per_class` (None: not known); and the side
    of the images that the networks were trained on, with how many channels."""

    fit: int
    channels: int
    side: int
    per_class: float | None
    trained_at: int = TRAINED_AT
    trained_channels: int = 3


def objection(case: Case) -> str | None:
    """Why fine-tuning is not likely to beat a search, as the end of a sentence; None where it is likely to."""
    if not case.fit:
        return "no pretrained network fits the budget"
    if case.channels < case.trained_channels:
        return "they were trained on photos in colour, and these images are grey"
    if case.channels > case.trained_channels:
        return f"they were trained on photos in colour, and these images have {case.channels} channels"
    if case.side < SMALLEST * case.trained_at:
        return f"they were trained at {case.trained_at} pixels, and these images have {case.side}"
    if case.per_class is not None and case.per_class >= MANY:
        return f"with {case.per_class:,.0f} training images of each class a network learns as much from nothing"
    return None

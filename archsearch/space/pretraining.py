"""Whether fine-tuning a pretrained network is likely to beat a search that begins from nothing: one rule, and why.

| evidence | from nothing | pretrained |
|---|---|---|
| STL-10: 5,000 photos of 10 classes at 96 pixels, ResNet-50 | 58.0 % | 91.2 % |
| CIFAR-10: 50,000 photos of 10 classes at 32 pixels | 96.0 % (airbench, half a minute of a GPU) | not needed |
| results/pretrained.md: 25 to 250 images a class, also grey, other sizes | | mostly 0.9 to 10 points more |
| the same: 600 and 1,000 images a class, photos at the parent's size apart | | 2 to 6 points less |

So three things decide: a pretrained network must be within the budget; images must not be so small that its first
layers leave nothing of them; and they must be few. How few depends on how like the images are to those that it learned
from, and on how much of it is left: photos in colour of about that size, 5,000 of a class; others, and slices of it,
500.
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINED_AT = 224  # pixels a side of ImageNet's images
LEAST_SIDE = 1 / 8  # side of the images over that of those which a network was pretrained on
LIKE_SIDE = 64 / 224  # the same, from which they count as like those
MANY, MANY_OTHERS = 5_000, 500  # training images of a class, from which pretraining is not needed


@dataclass(frozen=True, kw_only=True)
class Case:
    """A set of images and a budget: how many pretrained networks `fit` the budget; the `channels` of the images, 1
    where all are grey; their shorter `side` in pixels; the training images `per_class` (None: not known); the side of
    the images that the networks were trained on, with how many channels; and which share of their FLOPs is `kept`,
    where slices of them are meant."""

    fit: int
    channels: int
    side: int
    per_class: float | None
    trained_at: int = TRAINED_AT
    trained_channels: int = 3
    kept: float = 1.0


def objection(case: Case) -> str | None:
    """Why fine-tuning is not likely to beat a search, as the end of a sentence; None where it is likely to."""
    sizes = f"they were trained at {case.trained_at} pixels, and these images have {case.side}"
    if not case.fit:
        return "no pretrained network fits the budget"
    if case.side < LEAST_SIDE * case.trained_at:
        return sizes
    unlike = _unlike(case, sizes)
    many = MANY if unlike is None else MANY_OTHERS
    if case.per_class is None:
        return unlike
    if case.per_class < many:
        return None
    learns = f"with {case.per_class:,.0f} training images of each class a network learns as much from nothing"
    return learns if unlike is None else f"{unlike}; {learns}"


def _unlike(case: Case, sizes: str) -> str | None:
    """In what the images differ from those that the networks were trained on, or the networks from those; None where
    they are alike."""
    if case.channels < case.trained_channels:
        return "they were trained on photos in colour, and these images are grey"
    if case.channels > case.trained_channels:
        return f"they were trained on photos in colour, and these images have {case.channels} channels"
    if case.side < LIKE_SIDE * case.trained_at:
        return sizes
    if case.kept < 1:
        return f"they are slices of {case.kept:.0%} of the FLOPs of what was trained"
    return None

"""Mixup and CutMix of whole batches, where they lie: two images become one, and two labels its targets.

Each image is mixed with the one before it in its batch, the first with the last: a batch is in random order, so that is
a random pair. One share a batch, as the authors of both and torchvision have it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from archsearch.space.settings import TrainingSettings


class Mixer:
    """Mixes batches as `settings.mixup` and `settings.cutmix` say; with both, each batch by either, one time in two.

    mixup (Zhang 2018, arXiv:1710.09412): x = s * x_i + (1 - s) * x_j, s from Beta(a, a).
    CutMix (Yun 2019, arXiv:1905.04899, algorithm A1): x_i with a box of x_j pasted where it lies; the box has 1 - s of
    the image's area before the border cuts it; the share is then that of the pixels exactly.

    All draws follow from one number of `generator`, on the CPU: the same seed gives the same batches on every device,
    and no draw waits for one.
    """

    def __init__(self, settings: TrainingSettings, generator: torch.Generator) -> None:
        self.mixup, self.cutmix = settings.mixup, settings.cutmix
        seed = torch.randint(2**63 - 1, (), generator=generator, device="cpu")
        self._rng = np.random.default_rng(int(seed))

    @property
    def mixes(self) -> bool:
        """Whether batches are changed at all."""
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        """(images, labels, partners, share): targets are `share` of `labels` and 1 - share of `partners`, (N,) each.

        Images are (N, C, H, W), floats in either memory format, and changed in place. `share` is 0.5 or more: labels
        are those of the larger part. Without anything to mix, the share is 1.
        """
        if not self.mixes:
            return images, labels, labels, 1.0
        both = self.mixup > 0 and self.cutmix > 0
        pastes = bool(self._rng.random() < 0.5) if both else self.cutmix > 0
        alpha = self.cutmix if pastes else self.mixup
        drawn, row, column = float(self._rng.beta(alpha, alpha)), *self._rng.random(2)
        if pastes:
            height, width = images.shape[2:]
            share = _paste(images, _box(drawn, row, height), _box(drawn, column, width))
        else:
            share = drawn
            images.lerp_(_turned(images), 1 - share)
        partners = labels.roll(1, 0)
        return (images, labels, partners, share) if share >= 0.5 else (images, partners, labels, 1 - share)


def _box(share: float, centre: float, side: int) -> slice:
    """Rows or columns of a box that leaves `share` of the area, around a random pixel (`centre` from [0, 1))."""
    middle, half = int(centre * side), int(0.5 * math.sqrt(1 - share) * side)
    return slice(max(0, middle - half), min(side, middle + half))


def _paste(images: Tensor, rows: slice, columns: slice) -> float:
    """Each image's box from its neighbour; the share of the pixels that stay."""
    box = images[:, :, rows, columns]
    box.copy_(_turned(box))
    return 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (images.shape[2] * images.shape[3])


def _turned(images: Tensor) -> Tensor:
    """A copy in which each image stands one index later; in the memory's order, so that nothing need be gathered."""
    return images.permute(0, 2, 3, 1).roll(1, 0).permute(0, 3, 1, 2)

"""Mixup and CutMix of whole batches, where they lie: two images become one, and two labels its targets.

Each image is mixed with the one before it in its batch, the first with the last: a batch is in random order, so that is
a random pair. One share a batch, as the authors of both and torchvision have it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from archsearch.space.settings import TrainingSettings


class Mix(NamedTuple):
    """How one batch is mixed: numbers, or tensors without dimensions on the batch's device.

    Each image keeps 1 - amount of itself (mixup) but for the pixels of the box (CutMix), which are its neighbour's;
    `share` (0.5 or more; a tensor's is float64) is the larger part, which is the neighbour's where `turned`.
    """

    amount: float | Tensor
    top: int | Tensor
    bottom: int | Tensor
    left: int | Tensor
    right: int | Tensor
    share: float | Tensor
    turned: bool | Tensor


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

    def draw(self, height: int, width: int) -> Mix:
        """How the next batch, of images of this size, is mixed; only where batches are."""
        both = self.mixup > 0 and self.cutmix > 0
        pastes = bool(self._rng.random() < 0.5) if both else self.cutmix > 0
        alpha = self.cutmix if pastes else self.mixup
        share, row, column = float(self._rng.beta(alpha, alpha)), *self._rng.random(2)
        amount, box = 1 - share, (0, 0, 0, 0)
        if pastes:
            box = *_side(share, row, height), *_side(share, column, width)
            amount, share = 0.0, 1 - (box[1] - box[0]) * (box[3] - box[2]) / (height * width)
        turned = share < 0.5
        return Mix(amount, *box, 1 - share if turned else share, turned)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, float | Tensor]:
        """(images, labels, partners, share): targets are `share` of `labels` and 1 - share of `partners`, (N,) each.

        Images are (N, C, H, W), floats in either memory format, and changed in place. `share` is 0.5 or more: labels
        are those of the larger part. Without anything to mix, the share is 1.
        """
        if not self.mixes:
            return images, labels, labels, 1.0
        mix = self.draw(*images.shape[2:])
        if mix.amount:
            images.lerp_(_turned(images), mix.amount)
        else:
            box = images[:, :, mix.top : mix.bottom, mix.left : mix.right]
            box.copy_(_turned(box))
        partners = labels.roll(1, 0)
        return (images, partners, labels, mix.share) if mix.turned else (images, labels, partners, mix.share)


class MixRow:
    """A Mixer of one batch by tensors: the same kernels whatever they hold, and a Mixer's batches.

    `pastes`: the box may have pixels. None mixes nothing.
    """

    def __init__(self, mix: Mix | None, pastes: bool) -> None:
        self._mix, self._pastes = mix, pastes

    @property
    def mixes(self) -> bool:
        """Whether the batch is changed."""
        return self._mix is not None

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, float | Tensor]:
        """As a Mixer's."""
        mix = self._mix
        if mix is None:
            return images, labels, labels, 1.0
        weight = mix.amount
        if self._pastes:
            rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
            inside = ((rows >= mix.top) & (rows < mix.bottom))[:, None] & (columns >= mix.left) & (columns < mix.right)
            weight = torch.where(inside, 1.0, weight)[:, :, None].expand(-1, -1, images.shape[1]).contiguous()
        pixels = images.permute(0, 2, 3, 1)
        pixels.lerp_(pixels.roll(1, 0), weight)
        partners, turned = labels.roll(1, 0), torch.as_tensor(mix.turned)
        return images, torch.where(turned, partners, labels), torch.where(turned, labels, partners), mix.share


def _side(share: float, centre: float, side: int) -> tuple[int, int]:
    """Rows or columns of a box that leaves `share` of the area, around a random pixel (`centre` from [0, 1))."""
    middle, half = int(centre * side), int(0.5 * math.sqrt(1 - share) * side)
    return max(0, middle - half), min(side, middle + half)


def _turned(images: Tensor) -> Tensor:
    """A copy in which each image stands one index later; in the memory's order, so that nothing need be gathered."""
    return images.permute(0, 2, 3, 1).roll(1, 0).permute(0, 3, 1, 2)

"""A parent: a trained network of any source with its weights, and the same network for other images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from archsearch.data.images import Moments
from archsearch.guests.either import Described, build, parsed
from archsearch.network.pretrained import recoloured
from archsearch.reading.errors import refuse


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A network, for the images and classes that it was trained on, and all tensors of its module by their names.

    `source` is what a person wrote, `origin` where the weights come from, in a line; `names` are the libraries whose
    names the tensors had; `sha256` is that of their file, or of the tensors where a library loaded them.
    `normalization` is the mean and the deviation of each channel, on a scale of 0 to 1, by which the network expects
    its images, and `licence` that of the weights: None where the source states none.
    """

    source: str
    network: Described
    weights: Mapping[str, Tensor]
    sha256: str
    names: str
    origin: str
    normalization: Moments | None = None
    licence: str | None = None

    def normalization_for(self, channels: int) -> Moments | None:
        """The normalization of images with so many channels: of one channel the means over the parent's, of several
        those of the parent in turn, as `recoloured` has its filters."""
        if self.normalization is None or channels == len(self.normalization[0]):
            return self.normalization
        mean, std = self.normalization
        if channels == 1:
            return (sum(mean) / len(mean),), (sum(std) / len(std),)
        turns = [channel % len(mean) for channel in range(channels)]
        return tuple(mean[turn] for turn in turns), tuple(std[turn] for turn in turns)


class Suited(NamedTuple):
    """A parent's network for some images and classes: `weights` are all tensors of its module, of which those that are
    `replaced` have initial values; `note` says how the first convolution was changed, nothing where it was not."""

    network: Described
    weights: dict[str, Tensor]
    replaced: tuple[str, ...]
    note: str


def suited(parent: Parent, shape: tuple[int, int, int], classes: int, *, seed: int = 0) -> Suited:
    """The same network for images (channels, height, width) and so many classes, with the parent's weights.

    A classifier of another number of classes has initial values drawn from `seed`, as has what a guest learned for
    each position of an image. The filters of images with other channels are `recoloured`. Raises InputError where the
    image is too small for the network.
    """
    channels = parent.network.input[0]
    network = parsed({**parent.network.to_dict(), "input": list(shape), "classes": classes})
    module = build(network, seed=seed)
    weights, replaced, note = {}, [], ""
    for name, fresh in module.state_dict().items():
        trained = parent.weights.get(name)
        if trained is not None and trained.shape == fresh.shape:
            weights[name] = trained.to(fresh.dtype)
        elif trained is not None and not note and _are_filters(trained.shape, fresh.shape, channels, shape[0]):
            weights[name], note = recoloured(trained, shape[0]).to(fresh.dtype), recolouring(channels, shape[0])
        else:
            weights[name] = fresh
            replaced.append(name)
    if len(replaced) == len(weights):
        raise refuse("these are not the weights of this network: no tensor has its name and shape", file=parent.source)
    return Suited(network, weights, tuple(replaced), note)


def recolouring(given: int, channels: int) -> str:
    """What `recoloured` did, in a sentence for people."""
    if channels == 1:
        return f"the first convolution's filters are summed over their {given} channels, for grey images"
    return f"the first convolution's filters of {given} channels are repeated for {channels}, and scaled"


def _are_filters(trained: torch.Size, fresh: torch.Size, given: int, channels: int) -> bool:
    """Whether these are the shapes of one convolution's filters, of the parent's images and of others."""
    same = trained[:1] + trained[2:] == fresh[:1] + fresh[2:]
    return len(trained) == len(fresh) == 4 and same and (trained[1], fresh[1]) == (given, channels)

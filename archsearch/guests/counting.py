"""What a guest costs: counted by fvcore, and what training saves of it as measured on autograd."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from archsearch.architecture.quantities import Cost
from archsearch.guests.building import build_guest
from archsearch.guests.guest import Guest
from archsearch.network.oracle import Traced, traced

PRODUCTS = ("matmul", "bmm", "baddbmm", "addmm", "einsum")  # multiply-adds, beside those of convolutions and linear
IMAGES = 2  # that autograd is measured on


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestCost(Cost):
    """A Cost with what fvcore counts of further operators (`others`: its name of each, FLOPs). `saved` and `largest`
    are measured, in elements of 4 bytes an image."""

    others: tuple[tuple[str, int], ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions, linear layers and products of matrices."""
        return self.conv + self.linear + sum(count for name, count in self.others if name in PRODUCTS)

    @property
    def flops(self) -> int:
        """fvcore's total in eval mode."""
        return sum(self.by_operator().values())

    def by_operator(self) -> dict[str, int]:
        """FLOPs under fvcore's operator names, without those that are zero."""
        return {**Cost.by_operator(self), **dict(self.others)}


@lru_cache(maxsize=256)
def cost_of(guest: Guest) -> GuestCost:
    """Builds the network, traces one image in eval mode and trains a step of two. Seconds for a large one. Raises
    InputError where it cannot take the guest's image."""
    module = build_guest(guest)
    counted = _cost(traced(module.eval(), guest.input))
    saved, largest = saved_elements(module, guest)
    return GuestCost(
        **{
            name: getattr(counted, name)
            for name in Cost.__dataclass_fields__
            if name not in ("saved", "image", "largest")
        },
        others=counted.others,
        saved=saved,
        image=math.prod(guest.input),
        largest=largest,
    )


def parts(guest: Guest, *, layers: bool) -> list[tuple[str, str, GuestCost]]:
    """(dotted name, shape of its output, cost) of the modules that the network consists of, in the order in which an
    image meets them: its children, or with `layers` the innermost modules with parameters."""
    module = build_guest(guest).eval()
    chosen = {
        name: child
        for name, child in module.named_modules()
        if name and (next(child.parameters(recurse=False), None) is not None if layers else "." not in name)
    }
    shapes: dict[str, str] = {}

    def note(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        shapes.setdefault(name, "x".join(map(str, shape)))

    hooks = [child.register_forward_hook(partial(note, name)) for name, child in chosen.items()]
    with torch.inference_mode():
        module(torch.zeros(1, *guest.input))
    for hook in hooks:
        hook.remove()
    whole = traced(module, guest.input)
    return [(name, shape, _cost(whole.part(name))) for name, shape in shapes.items()]


def _cost(counted: Traced) -> GuestCost:
    own = {name: count for name, count in counted.operators.items() if name in Cost.__dataclass_fields__}
    others = tuple(sorted((name, count) for name, count in counted.operators.items() if name not in own))
    return GuestCost(params=counted.params, activations=counted.activations, others=others, **own)


def saved_elements(module: nn.Module, guest: Guest) -> tuple[int, int]:
    """Numbers an image of all tensors that autograd saves in a training step, each memory once, and of the largest of
    them. Weights and the images themselves are not among them, nor is what has no images (a norm's statistics)."""
    module.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randn(IMAGES, *guest.input)
        standing = {x.untyped_storage().data_ptr() for x in (*module.parameters(), *module.buffers(), images)}
        saved: dict[int, Tensor] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage().data_ptr()
            if storage not in standing and tensor.ndim > 1:
                saved[storage] = tensor  # held, so that its memory is not given to another
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            nn.functional.cross_entropy(module(images), torch.zeros(IMAGES, dtype=torch.int64))
    sizes = [tensor.untyped_storage().nbytes() // (4 * IMAGES) for tensor in saved.values()]
    return sum(sizes), max(sizes, default=0)

"""A guest as a row of blocks, so that lesions are made in it as in a network of the grammar.

How a guest's modules are called stands in its library's code; what is known of it is what its modules read and emit. A
block is a module that reads one tensor and emits one, the outermost that are no containers of others; a convolution
with the batch norm behind it is one. A block that emits the shape that it reads can be left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from archsearch.anatomy.steps import Row, Step, Variant
from archsearch.architecture.cost import Shape
from archsearch.guests.guest import Guest
from archsearch.network.oracle import traced

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
COMPUTES = (nn.Conv1d, nn.Conv2d, nn.Linear)
AT_ONCE = 2**30  # bytes that the outputs of all blocks may take together

Forward = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class GuestStep(Step):
    """A block of a guest: `names` are its modules', which follow one another."""

    names: tuple[str, ...]

    @property
    def has_shortcut(self) -> bool:
        """Always False: it is left out as a whole."""
        return False


@dataclass(frozen=True, eq=False)
class GuestRow(Row):
    """The blocks of a guest in the order in which an image meets them, and the `module` that calls them, of so many
    `flops`."""

    module: nn.Module
    flops: int

    @classmethod
    def of_guest(cls, module: nn.Module, guest: Guest) -> GuestRow:
        """The guest's, in eval mode; its modules are used as they are."""
        counted = traced(module, guest.input)
        steps: list[GuestStep] = []
        for names, x, y in _blocks(module, guest):
            again = bool(steps) and steps[-1].output == y
            flops = sum(sum(counted.part(name).operators.values()) for name in names)
            modules = [module.get_submodule(name) for name in names]
            steps.append(
                GuestStep(
                    path=names[0],
                    names=names,
                    module=modules[0],
                    input=x,
                    output=y,
                    flops=flops,
                    branch_flops=flops,
                    params=sum(p.numel() for part in modules for p in part.parameters()),
                    stage=(steps[-1].stage + (not again)) if steps else 1,
                    block=steps[-1].block + 1 if again else 1,
                )
            )
        return cls(tuple(steps), module, sum(counted.operators.values()))

    def outputs(self, variants: Sequence[Variant], x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """As a `Row` has it: what blocks emit before the first that a variant changes is computed once for all."""
        elements = sum(step.output.elements for step in self.steps)
        parts = [self._scores(variants, part) for part in torch.split(x, max(1, AT_ONCE // (4 * elements)))]
        yield from enumerate(torch.cat(of_variant) for of_variant in zip(*parts, strict=True))

    def _scores(self, variants: Sequence[Variant], x: Tensor) -> list[Tensor]:
        """Each variant's scores."""
        emitted: dict[str, Tensor] = {}
        names = [name for step in self._guest_steps for name in step.names]
        own: dict[str, Forward] = {name: self.module.get_submodule(name).forward for name in names}

        def remembered(name: str, *inputs: Tensor) -> Tensor:
            emitted[name] = own[name](*inputs)
            return emitted[name].clone()  # what follows may change it in place

        with self._calling({name: partial(remembered, name) for name in names}):
            whole = self.module(x)
        scores = []
        for variant in variants:
            with self._calling(self._forwards(variant, own, emitted)):
                scores.append(whole if variant == self.whole else self.module(x))
        return scores

    @property
    def _guest_steps(self) -> tuple[GuestStep, ...]:
        return self.steps  # type: ignore[return-value]

    def _forwards(
        self, variant: Variant, own: Mapping[str, Forward], emitted: Mapping[str, Tensor]
    ) -> dict[str, Forward]:
        """What each module does in a variant, where that is not its own."""
        forwards: dict[str, Forward] = {}
        first = self._first_change(variant)
        for position, (number, part) in enumerate(variant):
            step, instead = self._guest_steps[position], self._guest_steps[number]
            if position < first:
                forwards |= dict.fromkeys(step.names, _unchanged)
                forwards[step.names[-1]] = partial(_emitted, emitted[step.names[-1]])
            elif part == "shortcut":
                forwards |= dict.fromkeys(step.names, _unchanged)
            elif number != position:
                forwards |= {name: own[other] for name, other in zip(step.names, instead.names, strict=True)}
        return forwards

    def _first_change(self, variant: Variant) -> int:
        return next((n for n, (move, own) in enumerate(zip(variant, self.whole, strict=True)) if move != own), 0)

    @contextmanager
    def _calling(self, forwards: Mapping[str, Forward]) -> Iterator[None]:
        """Inside, these modules do something else."""
        modules = {name: vars(self.module.get_submodule(name)) for name in forwards}
        before = {name: module.get("forward") for name, module in modules.items()}
        try:
            for name, forward in forwards.items():
                modules[name]["forward"] = forward
            yield
        finally:
            for name, module in modules.items():
                if before[name] is None:
                    del module["forward"]
                else:
                    module["forward"] = before[name]

    def work(self, variants: Sequence[Variant]) -> tuple[int, int]:
        """(FLOPs an image of `outputs` for all these variants, FLOPs of computing each from the image on)."""
        shared, alone = self.flops, 0
        for variant in variants:
            each = self.flops - sum(self.steps[number].flops for number, part in variant if part == "shortcut")
            alone += each
            if variant != self.whole:
                shared += each - sum(step.flops for step in self.steps[: self._first_change(variant)])
        return shared, alone

    def alike(self) -> list[list[int]]:
        """Blocks of one shape and class, so that they can change places; groups of two or more."""
        groups: dict[object, list[int]] = {}
        for number, step in enumerate(self._guest_steps):
            kinds = tuple(type(self.module.get_submodule(name)) for name in step.names)
            if not step.changes_shape:
                groups.setdefault((step.stage, step.output, kinds), []).append(number)
        return [group for group in groups.values() if len(group) > 1]


def _unchanged(x: Tensor) -> Tensor:
    return x


def _emitted(y: Tensor, _: Tensor) -> Tensor:
    return y.clone()


def _blocks(module: nn.Module, guest: Guest) -> list[tuple[tuple[str, ...], Shape, Shape]]:
    """(names of its modules, what it reads, what it emits) of each block, in the order of a forward pass."""
    calls: list[tuple[str, Shape, Shape]] = []

    def note(name: str, _: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls.append((name, _shape(inputs[0]), _shape(output)))

    hooks = [module.get_submodule(name).register_forward_hook(partial(note, name)) for name in _candidates(module, "")]
    with torch.inference_mode():
        module(torch.zeros(1, *guest.input, device=next(module.parameters()).device))
    for hook in hooks:
        hook.remove()
    times = Counter(name for name, _, _ in calls)
    single = [call for call in calls if times[call[0]] == 1]
    norms = {after[0] for before, after in pairwise(single) if _is_normed(module, before[0], after[0])}
    blocks: list[tuple[tuple[str, ...], Shape, Shape]] = []
    for name, x, y in single:
        if name in norms:
            names, before, _ = blocks.pop()
            blocks.append(((*names, name), before, y))
        elif any(isinstance(part, COMPUTES) for part in module.get_submodule(name).modules()):
            blocks.append(((name,), x, y))
    return blocks


def _shape(tensor: Tensor) -> Shape:
    """Of one image; what is no map of channels has its last dimension for them."""
    sizes = [*tensor.shape[1:]]
    if len(sizes) != 3:
        sizes = [sizes[-1], *sizes[:-1], 1, 1] if sizes else [1, 1, 1]
    return Shape(*sizes[:3])


def _is_normed(module: nn.Module, convolution: str, norm: str) -> bool:
    """Whether they are a convolution and a batch norm of one container."""
    before, after = module.get_submodule(convolution), module.get_submodule(norm)
    beside = convolution.rpartition(".")[0] == norm.rpartition(".")[0]
    return beside and isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)


def _candidates(parent: nn.Module, prefix: str) -> Iterator[str]:
    """The outermost modules with parameters that contain no blocks of their own."""
    for name, child in parent.named_children():
        if _contains_blocks(child):
            yield from _candidates(child, f"{prefix}{name}.")
        elif next(child.parameters(), None) is not None:
            yield f"{prefix}{name}"


def _contains_blocks(module: nn.Module) -> bool:
    """Whether it is a container, or has several blocks of one class, of two layers or more, side by side in it."""
    return isinstance(module, CONTAINERS) or any(map(_repeats, module.modules()))


def _repeats(module: nn.Module) -> bool:
    children = [child for child in module.children() if not isinstance(child, nn.Sequential)]
    kinds = [type(child) for child in children if sum(isinstance(part, COMPUTES) for part in child.modules()) > 1]
    return len(kinds) > len(set(kinds))

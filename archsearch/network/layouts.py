"""How other libraries name the layers of a network, and which networks their classes can be.

What leaves no trace in a state dict (strides, where ReLUs stand, constant factors) is fixed by a library's class, so
equal names and shapes are not enough: a layout also says which values of the words its class has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture, Survival
from archsearch.reading.errors import InputError
from archsearch.reading.model import StrictModel

Allowed = Mapping[str, tuple[Any, ...]]
Model = TypeVar("Model", bound=StrictModel)
ANY: tuple[Any, ...] = ()  # of a word whose value the tensors' names or shapes tell
MEANS: Allowed = {"pool": ("adaptive", "mean")}  # with equal outputs


@dataclass(frozen=True, kw_only=True)
class LayerAddress:
    """Where a layer stands. `number` counts the convolutions, or the norms, of its slot in order, from 1.

    `slot`: stem, head, entry and exit of a stage, and in a block main (shared and branch, which are one row of
    layers in the libraries), shortcut, or attention.
    """

    slot: str
    kind: str
    number: int
    stage: int = 0
    block: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A family as libraries name its layers.

    `mark`: a tensor that tells its state dicts from those of other layouts. `name`: the library's name of the layer at
    an address of such a network. `stem`, `stage`, `block`, `head`: the values
    that its class has for words; a word that is not listed has its default there. `strides`: of the stages.
    """

    title: str
    libraries: tuple[str, ...] = ("timm",)
    mark: str = "fc.weight"
    name: Callable[[LayerAddress, Architecture], str]
    stem: Allowed
    block: Allowed
    stage: Allowed = field(default_factory=dict)
    head: Allowed = field(default_factory=lambda: MEANS)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    norm_eps: float = 1e-5
    pads_on_both_sides: bool = False  # with zero channels (option A), which then stand in another order

    def differs(self, architecture: Architecture) -> str | None:
        """Why the class cannot be this network, by the first word; None where it can."""
        if len(architecture.stages) != len(self.strides):
            return f"{len(architecture.stages)} stages; allowed: {len(self.strides)}"
        sections = list(self._sections(architecture))
        problems = [problem for title, model, allowed in sections for problem in _problems(title, model, allowed)]
        if architecture.norm_eps != self.norm_eps:
            problems.append(f"norm_eps: {architecture.norm_eps:g}; allowed: {self.norm_eps:g}")
        return problems[0] if problems and not self._computes(architecture) else None

    def _sections(self, architecture: Architecture) -> Iterator[tuple[str, StrictModel, Allowed]]:
        yield "stem", architecture.stem, self.stem
        for number, (stage, stride) in enumerate(zip(architecture.stages, self.strides, strict=True), start=1):
            yield f"stage {number}", stage, self._stage(stride)
            yield f"stage {number}", stage.block, self.block
        yield "head", architecture.head, self.head
        yield "survival", architecture.survival, {}

    def _stage(self, stride: int) -> Allowed:
        return {"depth": ANY, "width": ANY, "block": ANY, **self.stage, "stride": (stride,)}

    def _computes(self, architecture: Architecture) -> bool:
        """Whether the words that differ have no effect: the class's network is the same."""
        stages = tuple(
            _fitted(stage, self._stage(stride)).model_copy(update={"block": _fitted(stage.block, self.block)})
            for stage, stride in zip(architecture.stages, self.strides, strict=True)
        )
        theirs = architecture.model_copy(
            update={
                "stem": _fitted(architecture.stem, self.stem),
                "stages": stages,
                "head": _fitted(architecture.head, self.head),
                "survival": Survival(),
                "norm_eps": self.norm_eps,
            }
        )
        try:
            return digest(theirs) == digest(architecture)
        except InputError:
            return False


def _allowed(model: StrictModel, allowed: Allowed) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each word whose value the class fixes, and its values there."""
    for word, info in type(model).model_fields.items():
        values = allowed.get(word, (info.default,))
        if values is not ANY:
            yield word, values


def _problems(title: str, model: StrictModel, allowed: Allowed) -> Iterator[str]:
    for word, values in _allowed(model, allowed):
        if (value := getattr(model, word)) not in values:
            yield f"{title}: {word}: {value}; allowed: {' or '.join(map(str, values))}"


def _fitted(model: Model, allowed: Allowed) -> Model:
    """The same words, but those with other values than the class's have its first."""
    changed = {word: values[0] for word, values in _allowed(model, allowed) if getattr(model, word) not in values}
    return model.model_copy(update=changed)

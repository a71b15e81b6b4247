"""What a drawing shows of a plan: its parts in columns, equal blocks in a row as one column, and labels for ops."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archsearch.architecture.composites import Draw, Reweight, Sequence, Unit
from archsearch.architecture.cost import Cost, Shape, total
from archsearch.architecture.mixing import Paths, SplitPool
from archsearch.architecture.ops import (
    Activation,
    ChannelConv,
    ChannelMlp,
    ChannelStatistics,
    Conv,
    Dropout,
    Flatten,
    Gain,
    LayerScale,
    Linear,
    Norm,
    Op,
    PadShortcut,
    Relu,
    Sigmoid,
)
from archsearch.architecture.plan import plan
from archsearch.architecture.pools import Blur, GlobalPool, GridPool, OverlapPool, Pool, StemPool
from archsearch.architecture.spec import Architecture

# Of ops without a number to show.
LABELS: dict[type[Op], str] = {
    Norm: "norm", Relu: "ReLU", Sigmoid: "sigmoid", GlobalPool: "global mean",
    Flatten: "flatten", Gain: "learned gain", LayerScale: "layer scale",
}  # fmt: skip

FUNCTIONS = {"silu": "SiLU", "gelu": "GELU", "hard_swish": "hard-swish", "relu6": "ReLU6"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A unit that stands `repeats` times, or a section; what enters the first and what leaves the last."""

    title: str
    op: Unit | Sequence
    input: Shape
    output: Shape
    repeats: int = 1
    survival: tuple[float, float] = (1.0, 1.0)
    draw: Draw | None = None  # the first one's

    def training(self, digits: str) -> str:
        """How stochastic depth keeps its branches; empty where it drops none."""
        if self.draw is not None:
            return f"{self.draw.size} of {self.draw.blocks} kept"
        ends = (format(probability, digits) for probability in self.survival)
        return f"kept with p = {' to '.join(dict.fromkeys(ends))}" if min(self.survival) < 1 else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The stem, a stage or the head."""

    title: str
    columns: tuple[Column, ...]
    output: Shape
    cost: Cost


def outline(architecture: Architecture) -> tuple[Part, ...]:
    """A network's parts, from its plan. Raises InputError where its image runs out."""
    planned = plan(architecture)
    parts = []
    for name, op, into in planned.parts(Shape(*architecture.input)):
        assert isinstance(op, Sequence)
        stage = name.startswith("stage")
        output = op.shape(into)
        columns = _columns(op, into) if stage else (Column(title="", op=op, input=into, output=output),)
        title = f"stage {name.removeprefix('stage')}" if stage else name
        parts.append(Part(title=title, columns=columns, output=output, cost=total(op, into)))
    return tuple(parts)


def _columns(stage: Sequence, x: Shape) -> tuple[Column, ...]:
    columns: list[Column] = []
    number = 0
    for name, op, into in stage.parts(x):
        out = op.shape(into)
        if not isinstance(op, Unit):
            assert isinstance(op, Sequence)
            columns.append(Column(title=name, op=op, input=into, output=out))
            continue
        number += 1
        last = columns[-1] if columns else None
        plain = replace(op, survival=1.0, survival_per="batch", survival_rescale="test", survival_draw=None)
        if last is not None and last.op == plain:
            first = number - last.repeats
            columns[-1] = replace(
                last,
                title=f"blocks {first}-{number}",
                output=out,
                repeats=last.repeats + 1,
                survival=(last.survival[0], op.survival),
            )
        else:
            survival = (op.survival, op.survival)
            columns.append(
                Column(
                    title=f"block {number}", op=plain, input=into, output=out, survival=survival, draw=op.survival_draw
                )
            )
    return tuple(columns)


def label(op: Op) -> str:
    """What a small box says of an op: "3x3, 64", "3x3, 128, g32, /2", "pad 32, /2"."""
    match op:
        case Conv():
            groups = f", g{op.groups}" if op.groups > 1 else ""
            groups += f", d{op.dilation}" if op.dilation > 1 else ""
            return f"{op.kernel}x{op.kernel}, {op.out}{groups}{_by(op.stride)}{'' if op.padded else ', unpadded'}"
        case Activation():
            return FUNCTIONS[op.function]
        case Dropout():
            return f"dropout {op.p:g}"
        case StemPool():
            edges = {"ignored": "", "zeros": ", zero-padded", "cut": ", unpadded"}[op.edges]
            return f"max pool 3x3{_by(op.stride)}{edges}"
        case Blur():
            return f"blur 3x3{_by(op.stride)}"
        case Pool():
            return f"{op.kind} pool{_by(op.stride)}"
        case OverlapPool():
            return f"average pool 3x3{_by(op.stride)}"
        case Norm(groups=groups) if groups:
            return "group norm"
        case GridPool():
            return f"mean, {op.size}x{op.size}"
        case Linear():
            return f"linear, {op.out}"
        case PadShortcut():
            return f"{'mean, ' if op.pooled else ''}pad {op.out}{_by(op.stride)}"
        case Reweight():
            return _attention(op)
        case Paths():
            inside = [label(inner) for path in op.each for _, inner in path.steps if type(inner) not in LABELS]
            paths = "; ".join(dict.fromkeys(inside))
            return f"{len(op.paths.steps)} {'scales' if op.cascade else 'paths'}: {paths}"
    return LABELS.get(type(op), type(op).__name__)


def _by(stride: int) -> str:
    return f", /{stride}" if stride > 1 else ""


def _attention(op: Reweight) -> str:
    ops = [inner for _, inner in op.weights.steps]
    for inner in ops:
        match inner:
            case ChannelMlp():
                return f"CBAM channels, {inner.hidden}"
            case ChannelStatistics():
                return "CBAM positions, 7x7"
            case ChannelConv():
                return f"ECA, {inner.kernel}"
    kind = "split" if isinstance(ops[0], SplitPool) else "SE"
    return next((f"{kind}, {inner.out}" for inner in ops if isinstance(inner, Conv)), "attention")


def linked(unit: Unit) -> str:
    """How a unit joins its two sides, in one word."""
    match unit.join:
        case "replace":
            return "plain"
        case "add":
            return "residual" if unit.gated == "none" else "gated"
        case "concat":
            return "dual path" if unit.residual else "dense"


def short(count: float) -> str:
    """Three digits and a letter: 25.6M, 4.11G, 812k."""
    for power, letter in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        scaled = count / 10**power
        if round(scaled, 2) >= 1:
            return f"{scaled:.{max(0, 2 - (scaled >= 9.995) - (scaled >= 99.95))}f}{letter}"
    return f"{count:g}"

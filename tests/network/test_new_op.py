"""An op that is new, in the places that CONTRIBUTING.md lists, and everything that follows from it."""

import types
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from archsearch import Architecture, build, cost
from archsearch.analysis.drawing import draw
from archsearch.architecture import cost as counting
from archsearch.architecture import plan as grammar
from archsearch.architecture.canonical import canonical, digest
from archsearch.architecture.cost import Cost, Shape, layers, total
from archsearch.architecture.ops import Op
from archsearch.architecture.quantities import Saved
from archsearch.architecture.spec import Stage
from archsearch.export.source import STATEMENTS, source
from archsearch.network.calls import Call, call
from archsearch.network.initialise import fill, initialise
from archsearch.network.oracle import counted_by_fvcore
from tests.training.test_memory import BATCH, saved_for_backward

PLAIN = Architecture(input=(3, 16, 16), stages=(Stage(depth=2, stride=1), Stage(depth=2, width=24)))
BLOCKS = ((16, 16), (16, 16), (24, 8), (24, 8))  # of PLAIN: channels and resolution


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelScale(Op):
    """x times a learned number a channel, from `start` (LayerScale, Touvron et al. 2021, arXiv:2103.17239)."""

    start: float = 0.1

    def cost(self, x: Shape) -> Cost:
        """A number a channel; fvcore counts no products."""
        return Cost(params=x.channels)

    def saved(self, x: Shape) -> Saved:
        """The input, a factor of the product."""
        return Saved(input=True)


class Scale(nn.Module):
    """Its layer."""

    def __init__(self, channels: int, start: float) -> None:
        super().__init__()
        self.factors, self.start = nn.Parameter(torch.empty(channels)), start

    def forward(self, x: Tensor) -> Tensor:
        """The shape of x."""
        return x * self.factors[:, None, None]


call.register(ChannelScale, lambda op, x, **_: Call(Scale, (x.channels, op.start)))


@fill.register
def _scale(layer: Scale, generator: torch.Generator) -> None:
    layer.factors.fill_(layer.start)


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Architecture]:
    """PLAIN, while each of its branches ends in the new op."""
    monkeypatch.setattr(counting, "_parts", {})  # what was counted without the op
    monkeypatch.setattr(grammar, "attention", lambda *_: (ChannelScale(),))
    return PLAIN


def test_it_stands_in_the_plan_with_its_shape(scaled: Architecture) -> None:
    found = [layer for layer in layers(grammar.plan(scaled), Shape(*scaled.input)) if layer.op == ChannelScale()]
    assert [layer.path for layer in found] == [
        f"stage{stage}.block{block}.branch.channelscale1" for stage in (1, 2) for block in (1, 2)
    ]
    assert [layer.output for layer in found] == [Shape(width, size, size) for width, size in BLOCKS]


def test_it_costs_what_fvcore_counts(scaled: Architecture) -> None:
    assert cost(scaled) == counted_by_fvcore(scaled)
    assert cost(scaled).params == sum(parameter.numel() for parameter in build(scaled).parameters())


def test_training_saves_what_autograd_saves(monkeypatch: pytest.MonkeyPatch, scaled: Architecture) -> None:
    with_op, by_torch = cost(scaled).saved, saved_for_backward(scaled)
    monkeypatch.undo()
    assert with_op - cost(PLAIN).saved == sum(width * size**2 for width, size in BLOCKS)
    assert by_torch - saved_for_backward(PLAIN) == with_op - cost(PLAIN).saved


def test_its_module_has_the_plans_name_its_shape_and_a_gradient(scaled: Architecture) -> None:
    network = build(scaled).train()
    shapes = []
    for layer in network.modules():
        if isinstance(layer, Scale):
            layer.register_forward_hook(lambda layer, x, y: shapes.append(y.shape))
    network(torch.randn(BATCH, *scaled.input)).square().sum().backward()
    assert shapes == [(BATCH, width, size, size) for width, size in BLOCKS]
    for layer in layers(grammar.plan(scaled), Shape(*scaled.input)):
        if layer.op == ChannelScale():
            gradient = network.get_parameter(f"{layer.path}.factors").grad
            assert gradient is not None and gradient.abs().max() > 0


def test_it_starts_as_its_filler_says_and_draws_nothing(scaled: Architecture) -> None:
    before = torch.get_rng_state()
    network = build(scaled)
    assert torch.equal(before, torch.get_rng_state())
    scales = [layer for layer in network.modules() if isinstance(layer, Scale)]
    assert len(scales) == len(BLOCKS)
    assert all(torch.equal(layer.factors, torch.full_like(layer.factors, 0.1)) for layer in scales)


def test_the_digest_knows_it_and_its_fields(monkeypatch: pytest.MonkeyPatch, scaled: Architecture) -> None:
    with_op = digest(scaled)
    monkeypatch.setattr(grammar, "attention", lambda *_: (ChannelScale(start=0.5),))
    assert len({with_op, digest(scaled)}) == 2
    monkeypatch.undo()
    assert digest(PLAIN) != with_op
    assert canonical(ChannelScale()) == ["ChannelScale"]
    assert canonical(ChannelScale(start=0.5)) == ["ChannelScale", ["start", 0.5]]


def test_the_drawing_names_it(scaled: Architecture) -> None:
    assert "ChannelScale" in draw(scaled)


def test_an_exported_file_repeats_its_layer_and_computes_the_same(
    monkeypatch: pytest.MonkeyPatch, scaled: Architecture
) -> None:
    monkeypatch.setitem(STATEMENTS, Scale, "nn.init.constant_(module.factors, module.start)")
    text, ours = source(scaled), build(scaled).eval()
    assert "class Scale(nn.Module):" in text and "channelscale1=Scale(" in text
    file = types.ModuleType("model")
    exec(compile(text, "model.py", "exec"), file.__dict__)
    new = {name: value for name, value in file.build().state_dict().items() if name.endswith("factors")}
    assert len(new) == len(BLOCKS) and all((value == 0.1).all() for value in new.values())
    theirs = file.Network().eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(BATCH, *scaled.input)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images))


def test_a_layer_that_an_exported_file_does_not_fill_is_refused(scaled: Architecture) -> None:
    with pytest.raises(NotImplementedError, match=r"channelscale1: .* fills no factors of a Scale; .*STATEMENTS"):
        source(scaled)


def test_an_op_that_does_not_state_what_training_saves_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Half(Op):
        """x / 2."""

    with pytest.raises(NotImplementedError, match="Half does not state what training saves"):
        total(Half(), Shape(4, 6, 6))


def test_an_op_without_a_module_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True, slots=True)
    class Third(Op):
        """x / 3."""

    with pytest.raises(NotImplementedError, match="no module for Third"):
        call(Third(), Shape(4, 6, 6))


class Forgotten(nn.Module):
    """A layer with a parameter, whose children are known."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.factor = nn.Linear(2, 2), nn.Parameter(torch.empty(2))


class Counted(nn.Module):
    """A layer with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.empty(1))


class Extended(nn.Conv2d):
    """A layer that is known, with a parameter more."""

    def __init__(self) -> None:
        super().__init__(2, 2, 1)
        self.gain = nn.Parameter(torch.empty(()))


@pytest.mark.parametrize(("kind", "tensor"), [(Forgotten, "factor"), (Counted, "count"), (Extended, "gain")])
def test_a_layer_that_nobody_fills_is_refused(kind: type[nn.Module], tensor: str) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), kind())
    with pytest.raises(NotImplementedError, match=f"2: nothing fills {tensor} of a {kind.__name__}"):
        initialise(network, torch.Generator())

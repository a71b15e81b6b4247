"""Steps with stochastic depth per batch as pieces, on a CPU: the eager ones bit for bit, each piece fit for a graph."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.network import build
from archsearch.training.epoch import graph
from archsearch.training.epoch.pieces import PieceStep, rows_of
from archsearch.training.loop import Training
from tests.training.capturing import Tape
from tests.training.pooling import Pool, pooled
from tests.training.test_static_step import IMAGES, RECIPES, check_equal, outcome, training

DROPPING = {"schedule": "uniform", "last": 0.5}
# Blocks whose dropped form differs: every link, and what stands beside a branch.
BLOCKS: dict[str, dict[str, Any]] = {
    "basic": {"kind": "basic"},
    "pre": {"kind": "bottleneck", "activation": "pre"},
    "norm_last": {"activation": "norm_after_addition", "shortcut": "A"},
    "linear": {"activation": "linear", "shortcut": "C"},
    "dense": {"kind": "bottleneck", "link": "dense", "growth_rate": 4, "activation": "pre"},
    "dual_path": {"kind": "bottleneck", "link": "dual_path", "growth_rate": 4},
    "highway": {"kind": "single", "link": "highway", "norm": "none"},
    "gated": {"gate": "exclusive", "activation": "pre"},
    "scaled": {"gate": "shortcut", "shortcut_scale": 0.5, "shortcut_dropout": 0.3, "shortcut": "B_pool"},
    "group": {"norm": "group", "norm_groups": 2},
}


class Captured:
    """Stands for CUDA graphs: the tapes of the pieces, by their names, and which of them a step replays."""

    def __init__(self) -> None:
        self.tapes: dict[str, list[Tape]] = {}
        self.replayed: list[tuple[str, int]] = []

    def __call__(self, piece: Callable[[], None], device: torch.device) -> Callable[[], None]:
        with Tape() as tape:
            piece()
        name = piece.__name__
        tapes = self.tapes.setdefault(name, [])
        tapes.append(tape)
        number = len(tapes)

        def replay() -> None:
            self.replayed.append((name, number))
            tape.replay()

        return replay

    def steps(self) -> list[list[tuple[str, int]]]:
        """What each step replayed."""
        starts = [index for index, (name, _) in enumerate(self.replayed) if name == "_open"]
        ends = [*starts[1:], len(self.replayed)]
        return [self.replayed[start:end] for start, end in zip(starts, ends, strict=True)]


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Captured:
    """Trainings on the CPU are replayed from tapes, whatever their length."""
    tapes = Captured()
    monkeypatch.setattr(graph, "captured", tapes)
    monkeypatch.setattr(graph, "FEWEST", 0)
    monkeypatch.setattr(graph, "replayable", lambda step: step.settings.graph == "auto")
    return tapes


def network(block: dict[str, Any] | None = None, **survival: Any) -> torch.nn.Module:
    """Four blocks; the third changes the shape."""
    stages = tuple(Stage(depth=2, width=8 * stride, stride=stride, block=Block(**(block or {}))) for stride in (1, 2))
    return build(Architecture(input=IMAGES.shape, stages=stages, survival=Survival(**{**DROPPING, **survival})))


def compared(model: Callable[[], torch.nn.Module], **recipe: Any) -> Training:
    """A training by pieces, which is equal to the eager one in every metric and every tensor of its state."""
    replayed, eager = (training(model=model(), **{"epochs": 2, **recipe, "graph": way}) for way in ("auto", "off"))
    check_equal(replayed, eager)
    assert isinstance(replayed.graph.static, PieceStep)
    return replayed


def check_pieces(captured: Captured, *, between: int = 0, settles: bool = False) -> None:
    """Each piece was captured once and reads nothing of the host; each step takes one of each block's, each way, and
    those of what stands `between` blocks."""
    assert all(tape.recorded.reads == [] for tapes in captured.tapes.values() for tape in tapes)
    blocks, steps = 4, captured.steps()
    ways = 2 * blocks + between
    counts = {"_open": 1, "forth": ways, "_end": 1, "back": ways, "_close": 1, "_settle": int(settles)}
    assert {name: len(captured.tapes.get(name, [])) for name in counts} == counts
    assert len(steps) == 3 + 2 * 4, "three to compare, then four an epoch"
    assert {len(step) for step in steps} == {2 * (blocks + between) + 3 + settles}
    forths, backs = (
        [[number for name, number in step if name == kind] for step in steps] for kind in ("forth", "back")
    )
    assert len({tuple(forth) for forth in forths}) > 4
    if not between:
        assert forths[:2] == [[1, 3, 5, 7], [2, 4, 6, 8]], "one step keeps all, one drops all"
        assert backs == [[10 - number - 2 * (number % 2) for number in reversed(forth)] for forth in forths]


@pytest.mark.parametrize("block", BLOCKS)
def test_replayed_pieces_are_the_eager_steps_bit_for_bit(
    block: str, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The zeros of a dropped dense block are not channels_last, nor then is what follows, which rounds otherwise; pieces
    # have the layout of a kept block each time. Laid out alike, both are equal.
    zeros, layout = torch.Tensor.new_zeros, torch.channels_last
    monkeypatch.setattr(torch.Tensor, "new_zeros", lambda *size: zeros(*size).contiguous(memory_format=layout))
    survival = {"schedule": "count", "rescale": "train"} if block in ("pre", "dense", "gated") else {}
    compared(lambda: network(BLOCKS[block], **survival))
    check_pieces(captured, between=block == "dense")


@pytest.mark.parametrize("recipe", ["policy", "sgd", "adamw", "lamb", "ema", "cutmix"])
def test_so_are_those_of_a_recipe(recipe: str, captured: Captured) -> None:
    gain, average = recipe == "lamb", "ema" in RECIPES[recipe]
    compared(lambda: network({"dropout": 0.2, "learned_gain": gain}, schedule="linear"), **RECIPES[recipe])
    check_pieces(captured, settles=gain or average)


@pytest.mark.parametrize("block", ["dual_path", "scaled"])
def test_what_one_piece_frees_another_may_overwrite(
    block: str, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pieces share one pool of memory, and each step takes others of them. What is free when a piece is captured is
    perhaps its memory."""
    pool = Pool()
    monkeypatch.setattr(graph, "captured", pooled(pool))
    zeros, layout = torch.Tensor.new_zeros, torch.channels_last
    monkeypatch.setattr(torch.Tensor, "new_zeros", lambda *size: zeros(*size).contiguous(memory_format=layout))
    compared(lambda: network({**BLOCKS[block], "dropout": 0.2}), optimizer="adamw", learning_rate=0.003, ema=0.9)
    assert len(pool.freed) > len(pool.held) / 2


def test_a_pool_overwrites_what_was_freed_when_it_was_captured() -> None:
    """The pool above is one."""
    held: list[torch.Tensor] = []
    x, capture, cpu = torch.ones(3), pooled(Pool()), torch.device("cpu")
    first = capture(lambda: held.append(x * 2), cpu)
    second = capture(lambda: held.append(held[0] + 1), cpu)
    del held[0]
    third = capture(lambda: held.append(held[0] + 1), cpu)
    for replay in (first, second):
        replay()
    assert held[0].tolist() == [3, 3, 3]
    third()
    second()
    assert held[0].isnan().all(), "it read what the third, captured when it was free, had overwritten"


def test_a_step_launches_no_more_kernels_than_its_blocks_and_few_beside(captured: Captured) -> None:
    """Where all blocks are kept: those of the static step, and what copies what. Fewer? Then lower the figure."""
    compared(network, crop_padding=1, flip=True)
    sums = Counter()
    for name, number in captured.steps()[0]:
        sums[name] += captured.tapes[name][number - 1].recorded.kernels
    assert dict(sums) == pytest.approx({"_open": 33, "forth": 36, "_end": 19, "back": 39, "_close": 4}, rel=0.05)
    dropped = sum(captured.tapes[name][number - 1].recorded.kernels for name, number in captured.steps()[1])
    assert dropped == pytest.approx(81, rel=0.05)


def test_a_training_by_pieces_goes_on_from_a_state_and_is_freed(captured: Captured) -> None:
    recipe = {"optimizer": "adamw", "learning_rate": 0.003, "ema": 0.9}
    whole = training(model=network(), **recipe)
    next(whole)
    tensors, extra = whole.state()
    state = {name: tensor.clone() for name, tensor in tensors.items()}
    again = training(model=network(), graph="off", **recipe).restore(state, extra)
    (metrics, ends), (expected, eager_ends) = outcome(whole), outcome(again)
    assert metrics == expected and all(torch.equal(ends[name], eager_ends[name]) for name in ends)
    reference = weakref.ref(whole)
    gc.disable()
    try:
        del whole
        assert reference() is None
    finally:
        gc.enable()


def test_where_pieces_are_impossible_steps_are_eager_with_a_word(captured: Captured) -> None:
    refused, eager = (training(model=network(), graph=way, micro_batch=4, epochs=1) for way in ("auto", "off"))
    (metrics, state), (expected, eager_state) = outcome(refused), outcome(eager)
    problem = "steps with stochastic depth per batch and training.micro_batch are not replayed"
    assert refused.graph is not None and refused.graph.note() == problem
    assert metrics == expected and all(torch.equal(state[name], eager_state[name]) for name in state)


def test_a_dropped_block_gives_the_type_of_a_kept_one(captured: Captured) -> None:
    """In bfloat16 a layer scale makes float32: what follows a dropped block then rounds less than in the eager loop."""
    model = lambda: network({"activation": "pre", "layer_scale": 0.1})  # noqa: E731
    replayed, eager = (training(model=model(), precision="bfloat16", epochs=1, graph=way) for way in ("auto", "off"))
    assert next(replayed).train_loss == pytest.approx(next(eager).train_loss, rel=1e-3)
    assert replayed.graph is not None and replayed.graph.problem is None and captured.tapes
    assert {part.after.values.dtype for kinds in replayed.graph.static._parts[1:-1] for part in kinds.values()} == {
        torch.float32
    }


def test_a_capture_that_breaks_off_leaves_no_gradient(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(piece: Callable[[], None], device: torch.device) -> Callable[[], None]:
        if piece.__name__ == "_close":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return captured(piece, device)

    monkeypatch.setattr(graph, "captured", failing)
    refused, eager = (training(model=network(), graph=way, epochs=1) for way in ("auto", "off"))
    (metrics, state), (expected, eager_state) = outcome(refused), outcome(eager)
    assert refused.graph is not None and refused.graph.problem == "CUDA out of memory"
    assert metrics == expected and all(torch.equal(state[name], eager_state[name]) for name in state)


def test_few_steps_are_by_pieces_too_where_kernels_are_deterministic(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "FEWEST", 100)
    few = compared(network, deterministic=True)
    assert few.graph.static.row.item() == 4 and captured.tapes == {}


def test_the_rows_of_a_network_are_all_its_layers_in_order() -> None:
    model = network(BLOCKS["dense"], schedule="linear")
    rows = rows_of(model)
    assert [len(row) for row in rows[1:-1]] == [1, 1, 1, 1, 1], "four blocks, and a transition between them"
    x = torch.randn(2, *IMAGES.shape)
    y = model.eval()(x)
    for layer in (layer for row in rows for layer in row):
        x = layer(x)
    assert torch.equal(x, y)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("block", BLOCKS)
def test_on_a_gpu_pieces_are_the_static_step_bit_for_bit(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check before they are used is this comparison; the trainings then agree to rounding with the eager loop."""
    monkeypatch.setattr(graph, "FEWEST", 0)
    settings = {"precision": "float32", "device": "cuda", "deterministic": True, "ema": 0.9}
    replayed, eager = (training(model=network(BLOCKS[block]), graph=way, **settings) for way in ("auto", "off"))
    first, second = next(replayed), next(eager)
    assert replayed.graph is not None and replayed.graph.problem is None and eager.graph is None
    assert first.train_loss == pytest.approx(second.train_loss, rel=1e-3)

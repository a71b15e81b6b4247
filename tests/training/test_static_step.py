"""The step that a CUDA graph holds, on a CPU: the eager one bit for bit, and nothing in it that a graph cannot hold."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from archsearch import zoo
from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage, Survival
from archsearch.data.images import ImageSet
from archsearch.network import build
from archsearch.space.settings import TrainingSettings
from archsearch.training.epoch import graph
from archsearch.training.feeds.feed import HostFeed
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import synthetic
from tests.training.capturing import Recorded
from tests.training.nets import tiny
from tests.training.recipes import MIXED, RECIPES
from tests.training.task_images import task_images

IMAGES = synthetic((3, 8, 8), 10, train=35, validation=2)
SURVIVAL = {"schedule": "linear", "last": 0.5}


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """Trainings are replayed: what stands for a graph is the step itself, each time it is taken recorded."""
    steps: list[Recorded] = []

    def replay(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
        def recorded() -> None:
            with Recorded() as mode:
                step()
            steps.append(mode)

        return recorded

    monkeypatch.setattr(graph, "captured", replay)
    monkeypatch.setattr(graph, "FEWEST", 0)
    monkeypatch.setattr(graph, "replayable", lambda step: step.settings.graph == "auto")
    return steps


def network(images: ImageSet, **survival: Any) -> torch.nn.Module:
    stage = Stage(depth=1, width=8, stride=1, block=Block(kind="bottleneck"))
    architecture = Architecture(
        input=images.shape, classes=len(images.classes), stages=(stage, stage), survival=Survival(**survival)
    )
    return build(architecture)


def training(images: ImageSet = IMAGES, model: torch.nn.Module | None = None, **settings: Any) -> Training:
    recipe = TrainingSettings(**{"recipe": "none", "batch_size": 8, "epochs": 3, "device": "cpu", **settings})
    return Training(model or network(images), images, recipe, seed=0, threads=1)


def outcome(trained: Training) -> tuple[list[tuple[Any, ...]], dict[str, torch.Tensor]]:
    """Each epoch's metrics but for the clock's, and the training's state in the end."""
    metrics = [(m.train_loss, m.train_accuracy, m.validation_loss, m.learning_rate) for m in trained]
    return metrics, trained.state()[0]


def check_equal(replayed: Training, eager: Training) -> None:
    assert eager.graph is None and replayed.graph is not None
    (metrics, state), (expected, eager_state) = outcome(replayed), outcome(eager)
    assert replayed.graph.problem is None
    assert metrics == expected
    assert state.keys() == eager_state.keys()
    assert [name for name in state if not torch.equal(state[name], eager_state[name])] == []


def check_capturable(steps: list[Recorded]) -> None:
    assert len(steps) == 3 + 3 * 4, "three to compare, then four an epoch"
    assert [step.reads for step in steps] == [[]] * len(steps)
    assert len({tuple(step.trace) for step in steps}) == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_replayed_steps_are_the_eager_ones_bit_for_bit(recipe: str, captured: list[Recorded]) -> None:
    check_equal(training(**RECIPES[recipe]), training(graph="off", **RECIPES[recipe]))
    check_capturable(captured)


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_so_are_those_of_other_tasks(task: str, captured: list[Recorded]) -> None:
    images, recipe = task_images(task, 60), {"learning_rate": 0.01, **MIXED}
    recipe["batch_size"] = len(images.train) // 4
    check_equal(training(images, **recipe), training(images, graph="off", **recipe))
    check_capturable(captured)


def test_so_are_those_with_stochastic_depth_per_image(captured: list[Recorded]) -> None:
    survival = {**SURVIVAL, "per": "sample", "rescale": "train"}
    replayed, eager = (
        training(model=network(IMAGES, **survival), graph=graph, micro_batch=3) for graph in ("auto", "off")
    )
    check_equal(replayed, eager)
    check_capturable(captured)


def test_so_are_those_of_a_network_with_dropout(captured: list[Recorded]) -> None:
    check_equal(training(model=tiny(0, 3, dropout=0.5)), training(model=tiny(0, 3, dropout=0.5), graph="off"))
    check_capturable(captured)


def test_so_are_those_whose_images_are_not_on_the_device(captured: list[Recorded]) -> None:
    recipe = TrainingSettings(recipe="none", batch_size=8, crop_padding=2, flip=True, device="cpu", **MIXED)
    feed = HostFeed(IMAGES, recipe, torch.device("cpu"))
    replayed = Training(network(IMAGES), IMAGES, recipe.model_copy(update={"epochs": 3}), seed=0, feed=feed, threads=1)
    check_equal(replayed, training(graph="off", crop_padding=2, flip=True, **MIXED))
    check_capturable(captured)


def test_no_tensor_of_a_training_moves(captured: list[Recorded]) -> None:
    trained = training(ema=0.9, optimizer="adamw", learning_rate=0.003, **MIXED)
    assert trained.graph is not None

    def addresses() -> list[int]:
        static, step = trained.graph.static, trained.step
        tensors = [*trained.model.state_dict().values(), *static.tensors(), *static.tables.values()]
        tensors += [tensor for name, tensor in step.state().items() if name != "average.updates"]
        return [tensor.data_ptr() for tensor in tensors]

    next(trained)
    before = addresses()
    tensors, extra = trained.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    next(trained)
    trained.restore(kept, extra)
    next(trained)
    assert addresses() == before


def test_a_training_that_goes_on_from_a_state_is_replayed_from_there(captured: list[Recorded]) -> None:
    recipe = {"ema": 0.9, "crop_padding": 1, **MIXED}
    whole = training(**recipe)
    next(whole)
    tensors, extra = whole.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    again = training(graph="off", **recipe).restore(kept, extra)
    (metrics, state), (expected, eager_state) = outcome(whole), outcome(again)
    assert metrics == expected and all(torch.equal(state[name], eager_state[name]) for name in state)


def test_a_training_that_is_replayed_is_freed_with_its_last_reference(captured: list[Recorded]) -> None:
    trained = training(ema=0.9, **MIXED)
    next(trained)
    reference = weakref.ref(trained)
    gc.disable()
    try:
        del trained
        assert reference() is None
    finally:
        gc.enable()


def differing(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """What replays the step with another rate, as where a graph has a number frozen in it."""

    def replay() -> None:
        step.tables["rate"] *= 1.5
        step()

    return replay


def failing(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")


@pytest.mark.parametrize(
    ("capture", "problem"),
    [(differing, "the steps of a CUDA graph differ: the losses"), (failing, "CUDA error: operation not permitted")],
)
def test_a_graph_that_is_wrong_is_not_used(capture: Any, problem: str, captured: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(graph, "captured", capture)
    model = {"model": tiny(0, 3, dropout=0.5), **MIXED}
    refused, eager = training(**model), training(model=tiny(0, 3, dropout=0.5), graph="off", **MIXED)
    (metrics, state), (expected, eager_state) = outcome(refused), outcome(eager)
    assert refused.graph is not None and refused.graph.problem is not None
    assert refused.graph.problem.startswith(problem) and "\n" not in refused.graph.problem
    assert metrics == expected and all(torch.equal(state[name], eager_state[name]) for name in state)
    assert [refused.graph.note() for _ in range(2)] == [refused.graph.problem, None]


def test_few_steps_are_not_worth_a_graph(captured: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "FEWEST", 8)
    settings = TrainingSettings(recipe="none", batch_size=8, epochs=6, device="cpu")
    trained = Training(network(IMAGES), IMAGES, settings, seed=0, threads=1, rungs=(2, 5))
    taken = []
    for _ in trained:
        taken.append(len(captured))
    assert taken == [0, 0, 7, 11, 15, 19], "8 steps to the first rung, 12 to the next, and a graph once there is one"
    few = training(epochs=2), training(epochs=2, deterministic=True)
    assert outcome(few[0])[0] == outcome(few[1])[0] and len(captured) == 19
    rows = [trained.graph.static.row.item() for trained in few if trained.graph is not None]
    assert rows == [0, 4], "with deterministic kernels the same steps, without a graph"


def test_the_average_moves_by_a_tensor_as_by_a_number() -> None:
    from archsearch.training.averaging import Average

    model, other = tiny(0), tiny(1)
    averages = [Average(model, 0.9) for _ in range(2)]
    model.load_state_dict(other.state_dict())
    averages[0].update()
    averages[1]._move(torch.tensor(averages[1].weight(0)))
    for one, two in zip(averages[0].weights().values(), averages[1].weights().values(), strict=True):
        torch.testing.assert_close(one, two)


def test_on_a_cpu_nothing_is_replayed() -> None:
    trained = training()
    assert trained.graph is None
    trained.step.device = torch.device("cuda")
    assert graph.replayable(trained.step)


@pytest.mark.parametrize(
    ("name", "recipe", "kernels"),
    [
        ("resnet20_cifar", {}, 189),
        ("resnet20_cifar", {"optimizer": "adamw", "ema": 0.99, "clip_norm": 1.0, "label_smoothing": 0.1, **MIXED}, 272),
        ("densenet_bc100_12_cifar", {}, 781),
    ],
)
def test_a_step_launches_no_more_kernels(
    name: str, recipe: dict[str, Any], kernels: int, captured: list[Recorded]
) -> None:
    """A step of a small network takes as long as its launches. Fewer? Then lower the figure."""
    architecture = zoo.get(name)
    images = synthetic(architecture.input, architecture.classes, train=2, validation=2)
    trained = training(images, build(architecture), batch_size=2, epochs=1, crop_padding=4, flip=True, **recipe)
    trained.train_epoch()
    assert captured[-1].kernels == pytest.approx(kernels, rel=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("recipe", RECIPES)
def test_on_a_gpu_a_graph_is_the_static_step_bit_for_bit(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check before a graph is used is this comparison; the trainings then agree to rounding with the eager loop."""
    monkeypatch.setattr(graph, "FEWEST", 0)
    settings = {"precision": "float32", **RECIPES[recipe], "device": "cuda", "deterministic": True}
    replayed, eager = training(**settings), training(graph="off", **settings)
    first, second = next(replayed), next(eager)
    assert replayed.graph is not None and replayed.graph.problem is None and eager.graph is None
    assert first.train_loss == pytest.approx(second.train_loss, rel=1e-3)

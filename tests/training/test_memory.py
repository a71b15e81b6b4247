"""What the plan says that training keeps, against what torch keeps: tensor by tensor, and at the peak of a step."""

import statistics
from collections.abc import Iterator

import pytest
import torch

from archsearch import Architecture, build, cost, zoo
from archsearch.training import recipe
from benchmarks.memory import KNOWN, NAMES, compared, peak_of_a_step, within_budget, without_drops
from tests.sampling import sampled

BATCH = 2


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def saved_for_backward(architecture: Architecture) -> float:
    """Elements an image of all tensors that autograd keeps, each memory once; weights and the images are not among
    them, nor is what has no images (a norm's statistics, standardised weights)."""
    network = build(architecture).train().to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, *architecture.input).contiguous(memory_format=torch.channels_last)
    standing = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers(), images)}
    found: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in standing and tensor.ndim > 1 and len(tensor) == BATCH:
            found[place] = tensor  # held, so that its memory is not given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        recipe.loss(network(images), torch.zeros(BATCH, dtype=torch.int64))
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values()) / 4 / BATCH


@pytest.mark.parametrize(
    "name",
    ["resnet20_cifar", "resnet20_option_b_cifar", "wrn16_4_cifar", "densenet40_12_cifar", "highway10_16_mnist"],
)
def test_the_literatures_networks_keep_what_torch_keeps(name: str) -> None:
    architecture = zoo.get(name)
    assert 0.99 < cost(architecture).saved / saved_for_backward(architecture) < 1.03


@pytest.mark.parametrize("space", NAMES)
def test_a_shipped_spaces_networks_keep_what_torch_keeps(space: str) -> None:
    """A little more at most: where a network ends in a sum or a concatenation, nobody reads that for a gradient."""
    for architecture in map(without_drops, within_budget(space, 4, seed=3)):
        assert 0.99 < cost(architecture).saved / saved_for_backward(architecture) < 1.05


def test_over_the_whole_vocabulary_few_tensors_are_missed() -> None:
    """Small networks, where a tensor at a boundary between parts that no op can see counts for much."""
    normed = [a for a in sampled(60, seed=2) if all(stage.block.norm == "batch" for stage in a.stages)]
    errors = [cost(a).saved / saved_for_backward(without_drops(a)) - 1 for a in normed]
    assert len(errors) > 20
    assert statistics.median(map(abs, errors)) < 0.01
    assert min(errors) > -0.2
    assert max(errors) < 0.3


@pytest.mark.slow
def test_the_peak_of_a_step_counts_what_stands_before_it_and_what_comes_on_top() -> None:
    small = zoo.get("resnet20_cifar").model_copy(update={"input": (3, 8, 8)})
    counted = cost(small)
    one, four = (peak_of_a_step(small, batch) for batch in (32, 128))
    # Activations grow with the batch and nothing else does: 96 more images.
    assert four - one == pytest.approx(96 * 4 * counted.saved, rel=0.1)
    assert one > 4 * (2 * counted.params + 32 * counted.saved)
    assert compared(small, 128)["error"] == pytest.approx(0, abs=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("space", NAMES)
def test_predicted_bytes_are_near_torchs_peak_in_the_shipped_spaces(space: str) -> None:
    errors = [compared(without_drops(a), 32)["error"] for a in within_budget(space, 10, seed=11)]
    assert statistics.median(map(abs, errors)) < 0.10
    assert max(map(abs, errors)) < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_predicted_bytes_are_near_torchs_peak_in_the_literature(name: str, precision: str) -> None:
    assert compared(without_drops(zoo.get(name)), 16, precision)["error"] == pytest.approx(0, abs=0.2)

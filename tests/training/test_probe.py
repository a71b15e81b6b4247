"""A probe times real steps and foretells others from them."""

import numpy as np
import pytest
import torch

from archsearch import zoo
from archsearch.architecture.canonical import digest
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.network import build
from archsearch.reading.errors import InputError
from archsearch.space.settings import TrainingSettings
from archsearch.training import loop
from archsearch.training.feeds.batches import evaluated_at_once
from archsearch.training.loop import Training
from archsearch.training.measuring.line import LatencyModel
from archsearch.training.measuring.probe import Timings, depth, probe, spread, synthetic


def network(blocks: int, width: int) -> Architecture:
    return Architecture.from_dict(
        {"archsearch": 1, "input": [1, 8, 8], "classes": 10, "stages": [{"depth": blocks, "width": width}]}
    )


def test_a_probe_times_each_network_and_leaves_torch_as_it_was() -> None:
    before, seeds = torch.get_num_threads(), torch.random.get_rng_state()
    networks = [network(1, 4), network(2, 8), network(3, 32)]
    found = probe(networks, TrainingSettings(batch_size=16, learning_rate=5.0), device="cpu", threads=1, seconds=0.3)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.random.get_rng_state(), seeds)
    assert [timing.digest for timing in found.networks] == [digest(networks[place]) for place in (0, 2, 1)]
    assert [timing.macs for timing in found.networks] == [cost(networks[place]).macs for place in (0, 2, 1)]
    assert all(timing.step > 0 and timing.evaluation > 0 and timing.rounds >= 1 for timing in found.networks)
    assert {(timing.images, timing.evaluated) for timing in found.networks} == {(16, 64)}
    assert (found.device, found.clock, found.precision) == ("cpu", "thread", "float32")
    # The lines give what was measured its mean, however ill they fit.
    foretold = sum(found.epoch_seconds(one, train=16, validation=64, batch=16) for one in networks)
    assert foretold == pytest.approx(sum(timing.step + timing.evaluation for timing in found.networks))
    assert set(found.to_dict()) >= {"seconds", "error", "networks", "device_name", "threads"}


def test_an_epoch_is_its_whole_batches_and_all_validation_images() -> None:
    one, other = (LatencyModel(names=("macs", "activations", "layers"), slopes=slopes, start=start, errors=(0.0,))
                  for slopes, start in (((1e-9, 2e-9, 1e-4), 1e-3), ((0.0, 0.0, 0.0), 0.5)))  # fmt: skip
    timings = Timings(networks=(), train=one, evaluate=other, device="cpu", device_name="a", precision="float32",
                      threads=1, clock="thread", busy=False, seconds=0.0)  # fmt: skip
    tried = network(2, 8)
    found = cost(tried)
    assert depth(tried) == 7, "the stem, two blocks of two, a projected shortcut, the classifier"
    image = 1e-3 + 1e-9 * found.macs + 2e-9 * found.activations + 1e-4 * 7
    assert timings.epoch_seconds(tried, train=100, validation=130, batch=16) == pytest.approx(96 * image + 130 * 0.5)
    assert timings.epoch_seconds(tried, train=5, validation=5, batch=16) == pytest.approx(5 * image + 5 * 0.5)


def test_probed_networks_are_spread_over_the_cost() -> None:
    networks = [network(1, width) for width in np.random.default_rng(0).permutation(np.arange(4, 45)).tolist()]
    macs = sorted(cost(one).macs for one in networks)
    assert [cost(one).macs for one in spread(networks, 3)] == [macs[2], macs[20], macs[38]]
    assert spread(networks[:2], 3) == sorted(networks[:2], key=lambda one: cost(one).macs)


def test_synthetic_images_have_the_shape_and_every_batch_is_as_training_takes_it() -> None:
    images = synthetic((3, 8, 6), 5, train=20, validation=4)
    assert (images.shape, len(images.classes), len(images.train), len(images.validation)) == ((3, 8, 6), 5, 20, 4)
    assert images.train.images.std() > 60, "pixels of all values"
    assert evaluated_at_once((1, 8, 8), 64) == 256
    assert evaluated_at_once((3, 1024, 1024), 64) == 1


@pytest.mark.parametrize(
    ("name", "batch", "usual", "images"),
    [("resnet20_cifar", 128, 512, 512), ("resnet110_cifar", 128, 512, 2048), ("resnet50", 64, 20, 276),
     ("resnet50", 1, 4, 4)],
)  # fmt: skip
def test_on_a_gpu_as_many_images_are_evaluated_as_half_a_steps_memory_holds(
    name: str, batch: int, usual: int, images: int
) -> None:
    network = zoo.get(name)
    assert evaluated_at_once(network.input, batch) == usual
    assert evaluated_at_once(network.input, batch, network) == images
    counted = cost(network)
    step = batch * (counted.saved + counted.largest)
    assert images <= usual or images * (3 * counted.largest + counted.image) <= step / 2


def test_metrics_do_not_depend_on_how_many_images_are_evaluated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the last digits: of a sum of means, and of kernels that round otherwise."""
    images = synthetic((1, 8, 8), 10, train=16, validation=50)
    training = Training(build(network(1, 8), seed=0), images, TrainingSettings(batch_size=4), seed=0, device="cpu")
    outputs: dict[int, list[torch.Tensor]] = {}
    results = []
    for at_once in (16, 50):
        monkeypatch.setattr(loop, "evaluation_batch", lambda *_, at_once=at_once: at_once)
        results.append(training.evaluate("validation", outputs.setdefault(at_once, [])))
    assert [len(batches) for batches in outputs.values()] == [4, 1]
    assert results[0].accuracy == results[1].accuracy and results[0].loss == pytest.approx(results[1].loss, rel=1e-6)
    torch.testing.assert_close(*(torch.cat(batches) for batches in outputs.values()))


def test_a_line_needs_two_networks_and_a_device_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="needs two"):
        probe([network(1, 4)], TrainingSettings())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError):
        probe([network(1, 4), network(1, 8)], TrainingSettings(), device="cuda")


def test_a_probe_that_takes_too_long_leaves_networks_out() -> None:
    found = probe([network(1, 4 * n) for n in range(1, 9)], TrainingSettings(batch_size=16), device="cpu", seconds=1e-3)
    assert [timing.macs for timing in found.networks] == [cost(network(1, 4 * n)).macs for n in (1, 8, 5, 2)]
    assert {timing.rounds for timing in found.networks} == {1}

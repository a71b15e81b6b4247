from __future__ import annotations

import copy

import pytest
import torch

from archsearch.training.averaging import Average
from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes
from tests.training.nets import tiny


def steps(model: torch.nn.Module, count: int, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Training steps with large changes, batch norms included; yields the state after each."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        model.train()
        model(torch.randn(8, 1, 8, 8, generator=generator) * 2 + 1).sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
                parameter.grad = None
        yield {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.999])
def test_it_is_the_formula_for_weights_and_running_statistics_and_counts_are_copied(decay):
    model = tiny().to(memory_format=torch.channels_last)
    average = Average(model, decay)
    expected = {name: value.double() for name, value in model.state_dict().items()}
    for n, state in enumerate(steps(model, 30)):
        average.update()
        keep = min(decay, (1 + n) / (10 + n))
        expected = {name: keep * value + (1 - keep) * state[name].double() for name, value in expected.items()}
    found = average.weights()
    assert found.keys() == model.state_dict().keys()
    for name, value in found.items():
        if name.endswith("num_batches_tracked"):
            assert value.dtype == torch.int64 and value.item() == 30
        else:
            assert torch.allclose(value.double(), expected[name], atol=1e-5), name
            assert not torch.allclose(value, state[name], atol=1e-3), name


def test_a_short_training_is_averaged_over_its_own_end():
    """One weight that counts 1, 2, .., 100: a decay that remembers a thousand steps would make 5 of it."""
    model = torch.nn.ParameterList([torch.zeros(1)])
    average = Average(model, 0.999)
    for number in range(1, 101):
        model[0].data.fill_(float(number))
        average.update()
    assert 85 < average.weights()["0"].item() < 95


def test_the_average_of_what_does_not_move_is_that_bit_for_bit():
    model = tiny()
    average = Average(model, 0.99)
    for _ in range(50):
        average.update()
    assert all(torch.equal(value, average.weights()[name]) for name, value in model.state_dict().items())


def test_applied_evaluates_the_average_and_puts_the_weights_back():
    model = tiny()
    average = Average(model, 0.9)
    for _ in steps(model, 5):
        average.update()
    other = copy.deepcopy(model)
    other.load_state_dict(average.weights())
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    places = {name: value.data_ptr() for name, value in model.state_dict().items()}
    own = model.eval()(images)
    with torch.inference_mode(), average.applied():
        inside = model(images)
        assert {name: value.data_ptr() for name, value in model.state_dict().items()} == places
    assert torch.equal(inside, other.eval()(images)) and not torch.allclose(inside, own)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.train()(images).sum().backward()  # gradients still flow into the weights
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_weights_come_back_after_an_error():
    model = tiny()
    average = Average(model, 0.9)
    for _ in steps(model, 3):
        average.update()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="in between"), average.applied():
        assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
        raise RuntimeError("in between")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_state_from_disk_goes_on_as_it_would_have():
    model = tiny()
    average = Average(model, 0.95)
    for number, _ in enumerate(steps(model, 12)):
        average.update()
        if number == 5:
            kept = weights_to_bytes(average.state())
    other, again = tiny(7), None
    for number, _ in enumerate(steps(model_like(other), 12)):
        if number == 5:
            again = Average(other, 0.95)
            again.restore(weights_from_bytes(kept))
        elif again is not None:
            again.update()
    assert again is not None
    ours, theirs = average.state(), again.state()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def model_like(other: torch.nn.Module) -> torch.nn.Module:
    """The other network with the start of the first, in place."""
    other.load_state_dict(tiny().state_dict())
    return other


def test_a_state_of_another_network_is_refused():
    with pytest.raises(ValueError, match="another network"):
        Average(tiny(), 0.9).restore(Average(tiny(channels=3), 0.9).state())
    with pytest.raises(ValueError, match="another network"):
        Average(tiny(), 0.9).restore({})


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="decay"):
        Average(tiny(), decay)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_neither_an_update_nor_an_evaluation_waits():
    model = tiny().cuda()
    average = Average(model, 0.9)
    torch.cuda.set_sync_debug_mode("error")
    try:
        average.update()
        with average.applied():
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")

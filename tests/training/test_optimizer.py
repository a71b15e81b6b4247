from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from archsearch.space.settings import TrainingSettings
from archsearch.training.optimizer import Optimizer
from tests.training.nets import tiny

KINDS = [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "sgd", "momentum": 0.0}, {"optimizer": "adamw"}]


def torchs(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The oracle: torch.optim, unfused."""
    norms = {id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    free = [p for name, p in model.named_parameters() if id(p) in norms or name.endswith("bias")]
    known = {id(p) for p in free}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in known], "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=(settings.momentum, 0.999), foreach=False)
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0, foreach=False)


@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_steps_are_torchs_own_and_norms_and_biases_do_not_decay(words, layout):
    settings = TrainingSettings(weight_decay=0.05, **words)
    model = tiny().to(memory_format=layout)
    other = copy.deepcopy(model)
    ours, theirs = Optimizer(model, settings), torchs(other, settings)
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        rate = 0.1 / (step + 1)
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator).contiguous(
                memory_format=layout if one.ndim == 4 else torch.contiguous_format
            )
            two.grad = one.grad.clone()
        for group in theirs.param_groups:
            group["lr"] = rate
        ours.step(rate)
        theirs.step()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6) and one.grad is None


@pytest.mark.parametrize("words", KINDS)
def test_a_parameter_without_a_gradient_waits_for_its_first(words):
    """As when stochastic depth drops a block in the first steps; torch.optim.SGD(fused=True) raises there."""
    model = nn.ParameterDict({"early": nn.Parameter(torch.ones(2, 2)), "late": nn.Parameter(torch.ones(2, 2))})
    early, late = model["early"], model["late"]
    optimizer = Optimizer(model, TrainingSettings(**words))
    for step in range(3):
        early.grad = torch.ones(2, 2)
        late.grad = torch.ones(2, 2) if step == 2 else None
        optimizer.step(0.1)
        assert torch.equal(late, torch.ones(2, 2)) == (step < 2)
        if step == 0:
            first = early.detach().clone()
    assert torch.equal(late, first)


def test_frozen_parameters_stay():
    model = tiny()
    model[0].weight.requires_grad_(False)
    assert "0.weight" not in Optimizer(model, TrainingSettings()).parameters


def test_a_state_of_another_optimiser_is_refused():
    state = Optimizer(tiny(), TrainingSettings(optimizer="sgd")).state()
    with pytest.raises(ValueError, match="another network or optimiser"):
        Optimizer(tiny(), TrainingSettings(optimizer="adamw")).restore(state)
    with pytest.raises(ValueError, match="another network or optimiser"):
        Optimizer(tiny(channels=3), TrainingSettings(optimizer="sgd")).restore(state)

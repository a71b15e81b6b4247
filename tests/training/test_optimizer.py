from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from archsearch.space.settings import TrainingSettings
from archsearch.training.optimizer import Optimizer
from tests.training.nets import tiny

KINDS = [
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": False},
    {"optimizer": "sgd", "momentum": 0.0},
    {"optimizer": "adamw"},
]


def torchs(model: nn.Module, settings: TrainingSettings, *, fused: bool) -> torch.optim.Optimizer:
    """The oracle: torch.optim."""
    norms = {id(p) for m in model.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    free = [p for name, p in model.named_parameters() if id(p) in norms or name.endswith("bias")]
    known = {id(p) for p in free}
    theirs = settings.weight_decay if settings.decay_norms_and_biases else 0.0
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in known], "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": theirs},
    ]
    how = {"fused": True} if fused else {"foreach": False}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, betas=(settings.momentum, 0.999), **how)
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=settings.nesterov and momentum > 0, **how)


def stepped_beside(settings: TrainingSettings, layout: torch.memory_format, *, fused: bool) -> tuple[nn.Module, ...]:
    """Two equal networks after five steps on the same gradients, whose norms lie around 15: ours, torch's."""
    model = tiny().to(memory_format=layout)
    other = copy.deepcopy(model)
    ours, theirs = Optimizer(model, settings), torchs(other, settings, fused=fused)
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        rate = 0.1 / (step + 1)
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            one.grad = (torch.randn(one.shape, generator=generator) / 4).contiguous(
                memory_format=layout if one.ndim == 4 else torch.contiguous_format
            )
            two.grad = one.grad.clone()
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(other.parameters(), settings.clip_norm)
        for group in theirs.param_groups:
            group["lr"] = rate
        ours.step(rate)
        theirs.step()
    assert all(parameter.grad is None for parameter in model.parameters())
    return model, other


@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("papers", [{}, {"decay_norms_and_biases": True}, {"clip_norm": 3.0}, {"clip_norm": 1e5}])
def test_steps_are_torchs_fused_ones_bit_for_bit_and_decay_what_they_should(words, layout, papers):
    settings = TrainingSettings(weight_decay=0.05, **words, **papers)
    model, other = stepped_beside(settings, layout, fused=True)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("words", KINDS)
def test_steps_are_those_of_torchs_plain_loop(words):
    settings = TrainingSettings(weight_decay=0.05, **words)
    model, other = stepped_beside(settings, torch.contiguous_format, fused=False)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"nesterov": False}, {}),
        ({"decay_norms_and_biases": True}, {}),
        ({"clip_norm": 3.0}, {}),
        ({"optimizer": "adamw", "clip_norm": 3.0}, {"optimizer": "adamw"}),
    ],
)
def test_each_word_changes_the_steps(one, two):
    ends = [
        stepped_beside(TrainingSettings(weight_decay=0.05, **words), torch.contiguous_format, fused=True)[0]
        for words in (one, two)
    ]
    assert any(not torch.equal(a, b) for a, b in zip(*(end.parameters() for end in ends), strict=True))


def test_the_norm_that_is_clipped_is_that_of_all_gradients_together_and_those_that_are_missing_count_nothing():
    model = nn.ParameterDict({name: nn.Parameter(torch.zeros(2)) for name in ("one", "two", "three")})
    optimizer = Optimizer(model, TrainingSettings(momentum=0.0, clip_norm=1.0))
    model["one"].grad, model["two"].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    optimizer.step(1.0)
    found = torch.stack([model[name].detach() for name in ("one", "two", "three")])
    assert torch.allclose(found, -torch.tensor([[0.6, 0.0], [0.0, 0.8], [0.0, 0.0]]), atol=1e-6)


@pytest.mark.parametrize("words", [*KINDS, {"optimizer": "lamb"}])
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


def in_the_papers_words(model: nn.Module, settings: TrainingSettings, gradients: list[list[torch.Tensor]]) -> None:
    """You 2019, algorithm 2, a tensor at a time in float64; norms and biases as they are in timm's code."""
    for parameter, own in zip(model.parameters(), zip(*gradients, strict=True), strict=True):
        w, m, v = parameter.detach().double(), 0.0, 0.0
        decays = parameter.ndim > 1 or settings.decay_norms_and_biases
        for t, g in enumerate(own, 1):
            m = settings.momentum * m + (1 - settings.momentum) * g.double()
            v = 0.999 * v + (1 - 0.999) * g.double() ** 2
            r = (m / (1 - settings.momentum**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-6)
            u = r + settings.weight_decay * w if decays else r
            ratio = w.norm() / u.norm() if decays and w.norm() > 0 and u.norm() > 0 else 1.0
            w = w - 0.1 / t * ratio * u
        parameter.data.copy_(w)


@pytest.mark.parametrize("words", [{}, {"momentum": 0.5}, {"decay_norms_and_biases": True}, {"weight_decay": 0.0}])
def test_lamb_is_the_papers_algorithm_and_timms(words):
    settings = TrainingSettings(**{"optimizer": "lamb", "weight_decay": 0.05, **words})
    ours = tiny().to(memory_format=torch.channels_last)
    paper, theirs = copy.deepcopy(ours), copy.deepcopy(ours)
    generator = torch.Generator().manual_seed(0)
    gradients = [[torch.randn(p.shape, generator=generator) / 4 for p in ours.parameters()] for _ in range(5)]
    optimizer = Optimizer(ours, settings)
    for number, step in enumerate(gradients, 1):
        for parameter, gradient in zip(ours.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step(0.1 / number)
    in_the_papers_words(paper, settings, gradients)
    for one, two in zip(ours.parameters(), paper.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5)
    assert all(float(buffers["steps"]) == 5 for buffers in optimizer.buffers.values())
    if settings.weight_decay == 0:
        return  # where nothing decays timm adapts nothing
    lamb = pytest.importorskip("timm.optim.lamb").Lamb
    groups = [
        {"params": [p for p in theirs.parameters() if decays == (p.ndim > 1 or settings.decay_norms_and_biases)],
         "weight_decay": settings.weight_decay if decays else 0.0}
        for decays in (True, False)
    ]  # fmt: skip
    timms = lamb(groups, betas=(settings.momentum, 0.999), max_grad_norm=None)
    for number, step in enumerate(gradients, 1):
        for group in timms.param_groups:
            group["lr"] = 0.1 / number
        for parameter, gradient in zip(theirs.parameters(), step, strict=True):
            parameter.grad = gradient.clone()
        timms.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def test_frozen_parameters_stay():
    model = tiny()
    model[0].weight.requires_grad_(False)
    assert "0.weight" not in Optimizer(model, TrainingSettings()).parameters


def test_a_state_of_another_optimiser_is_refused():
    state = Optimizer(tiny(), TrainingSettings(optimizer="sgd")).state()
    with pytest.raises(ValueError, match="another network or optimiser"):
        Optimizer(tiny(), TrainingSettings(optimizer="lamb")).restore(state)
    with pytest.raises(ValueError, match="another network or optimiser"):
        Optimizer(tiny(channels=3), TrainingSettings(optimizer="sgd")).restore(state)

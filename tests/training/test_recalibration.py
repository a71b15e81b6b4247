"""Running statistics of norms, measured anew on images."""

import torch
from torch import nn

from archsearch.training.recalibration import recalibrate


def test_statistics_are_the_averages_over_the_batches() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5), nn.BatchNorm2d(4), nn.ReLU())
    norm, images = model[2], torch.randn(4, 8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if "running" not in name}
    model[1].eval()
    recalibrate(model, iter(images))
    with torch.no_grad():
        maps = [model[0](batch) for batch in images]
    torch.testing.assert_close(norm.running_mean, torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0))
    assert norm.momentum == 0.1
    assert [module.training for module in model] == [True, False, True, True]
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if "num_batches" not in name)


def test_a_model_without_batch_norms_reads_nothing() -> None:
    recalibrate(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(1, 4)), iter([torch.tensor(b"no image"[0])]))

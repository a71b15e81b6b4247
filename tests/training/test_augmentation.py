from __future__ import annotations

import numpy as np
import pytest
import torch

from archsearch.space.settings import TrainingSettings
from archsearch.training.augmentation import Draws, Normaliser, Windows, as_pixels

CPU = torch.device("cpu")
MEAN, STD = (0.4, 0.5, 0.1), (0.2, 0.3, 0.25)


def images(count: int = 50, channels: int = 3, height: int = 9, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def normaliser(channels: int = 3) -> Normaliser:
    return Normaliser(MEAN[:channels], STD[:channels], CPU)


def draw(count: int, settings: TrainingSettings, seed: int = 0, size: tuple[int, int] = (9, 7)) -> Draws:
    return Draws.draw(count, size, settings, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("padding", "flip"), [(0, False), (0, True), (2, False), (4, True)])
def test_every_window_is_a_direct_crop(channels, padding, flip):
    data, settings = images(channels=channels), TrainingSettings(crop_padding=padding, flip=flip)
    windows, normalise = Windows(data, normaliser(channels), settings, CPU), normaliser(channels)
    index, draws = torch.randperm(50, generator=torch.Generator().manual_seed(1))[:32], draw(32, settings)
    batch = windows.batch(index, draws)
    fill = np.rint(np.array(MEAN[:channels]) * 255).astype(np.uint8)
    for place, number in enumerate(index.tolist()):
        padded = np.empty((channels, 9 + 2 * padding, 7 + 2 * padding), np.uint8)
        padded[:] = fill[:, None, None]
        padded[:, padding : padding + 9, padding : padding + 7] = data[number]
        top, left = int(draws.rows[place]), int(draws.columns[place])
        direct = padded[:, top : top + 9, left : left + 7]
        direct = direct[:, :, ::-1] if draws.flipped[place] else direct
        wanted = normalise(torch.from_numpy(direct.transpose(1, 2, 0).copy())[None])[0]
        assert torch.equal(batch[place], wanted)


def test_a_batch_is_normalised_float_and_channels_last():
    data = images()
    batch = Windows(data, normaliser(), TrainingSettings(), CPU).batch(torch.arange(50), draw(50, TrainingSettings()))
    wanted = (data / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    assert np.allclose(batch.numpy(), wanted, atol=1e-5)
    assert batch.is_contiguous(memory_format=torch.channels_last) and batch.dtype == torch.float32
    assert torch.equal(normaliser()(as_pixels(data, CPU)), batch)


def chi_square(values: torch.Tensor, bins: int) -> float:
    counts, expected = torch.bincount(values, minlength=bins).double(), len(values) / bins
    assert len(counts) == bins
    return float(((counts - expected) ** 2 / expected).sum())


def test_offsets_are_uniform_independent_and_flips_fair():
    """Joint offsets have 81 - 1 degrees of freedom: mean 80, deviation 12.6; the bound is five deviations."""
    draws = draw(200_000, TrainingSettings(crop_padding=4, flip=True))
    assert chi_square(draws.rows * 9 + draws.columns, 81) < 80 + 5 * 12.7
    assert chi_square(draws.flipped.long() * 9 + draws.rows, 18) < 17 + 5 * 5.9
    assert chi_square(draws.cut_rows * 7 + draws.cut_columns, 63) < 62 + 5 * 11.2


def test_no_flip_where_none_is_wanted():
    assert not draw(1000, TrainingSettings(flip=False)).flipped.any()


@pytest.mark.parametrize("side", [1, 3, 4, 20])
def test_cutout_sets_a_clipped_square_to_the_mean(side):
    data, settings = images(), TrainingSettings(cutout=side)
    draws = draw(50, settings)
    whole = Windows(data, normaliser(), TrainingSettings(), CPU).batch(torch.arange(50), draws)
    cut = Windows(data, normaliser(), settings, CPU).batch(torch.arange(50), draws)
    for place in range(50):
        top = int(draws.cut_rows[place]) - side // 2
        left = int(draws.cut_columns[place]) - side // 2
        wanted = whole[place].clone()
        wanted[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
        assert torch.equal(cut[place], wanted)


def test_the_same_generator_state_gives_the_same_batch():
    settings = TrainingSettings(crop_padding=2, flip=True, cutout=3)
    windows = Windows(images(), normaliser(), settings, CPU)
    one, same, other = (windows.batch(torch.arange(50), draw(50, settings, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)

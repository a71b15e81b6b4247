from __future__ import annotations

import numpy as np
import pytest
import torch

from archsearch.data.images import Split
from archsearch.data.laid_out import rows_of
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.augmentation import Draws, Normaliser, Store, Windows
from archsearch.training.feeds.colour import draw_jitter, jittered
from archsearch.training.feeds.pixels import as_pixels
from archsearch.training.feeds.resizing import draw_boxes, middle, resized

CPU = torch.device("cpu")
MEAN, STD = (0.4, 0.5, 0.1), (0.2, 0.3, 0.25)


def images(count: int = 50, channels: int = 3, height: int = 9, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def normaliser(channels: int = 3) -> Normaliser:
    return Normaliser(MEAN[:channels], STD[:channels], CPU)


def draw(count: int, settings: TrainingSettings, seed: int = 0, size: tuple[int, int] = (9, 7)) -> Draws:
    return Draws.draw(count, size, settings, torch.Generator().manual_seed(seed))


def windows_of(data: np.ndarray, normalise: Normaliser, settings: TrainingSettings) -> Windows:
    split = Split(images=data, labels=np.zeros(len(data), np.int64))
    rows = rows_of(split, settings.crop_padding, normalise.fill.numpy())
    return Windows(Store.of(rows, CPU), normalise, settings)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("padding", "flip"), [(0, False), (0, True), (2, False), (4, True)])
def test_every_window_is_a_direct_crop(channels, padding, flip):
    data, settings = images(channels=channels), TrainingSettings(crop_padding=padding, flip=flip)
    windows, normalise = windows_of(data, normaliser(channels), settings), normaliser(channels)
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
    batch = windows_of(data, normaliser(), TrainingSettings()).batch(torch.arange(50), draw(50, TrainingSettings()))
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
    whole = windows_of(data, normaliser(), TrainingSettings()).batch(torch.arange(50), draws)
    cut = windows_of(data, normaliser(), settings).batch(torch.arange(50), draws)
    for place in range(50):
        top = int(draws.cut_rows[place]) - side // 2
        left = int(draws.cut_columns[place]) - side // 2
        wanted = whole[place].clone()
        wanted[:, max(top, 0) : top + side, max(left, 0) : left + side] = 0
        assert torch.equal(cut[place], wanted)


def test_the_same_generator_state_gives_the_same_batch():
    settings = TrainingSettings(crop_padding=2, flip=True, cutout=3)
    windows = windows_of(images(), normaliser(), settings)
    one, same, other = (windows.batch(torch.arange(50), draw(50, settings, seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_what_came_later_is_drawn_last():
    """So the metrics of recipes without it stay what they were."""
    plain = draw(100, TrainingSettings(flip=True, cutout=3))
    more = draw(100, TrainingSettings(flip=True, cutout=3, resized_crop=0.3, colour_jitter=0.4))
    for name in ("rows", "columns", "flipped", "cut_rows", "cut_columns"):
        assert torch.equal(getattr(plain, name), getattr(more, name))
    assert plain.boxes is None and plain.factors is None
    assert more.boxes.shape == (100, 4) and more.factors.shape == more.order.shape == (100, 3)


def test_draws_are_cut_and_moved_whole():
    draws = draw(20, TrainingSettings(resized_crop=0.3, colour_jitter=0.4))
    part = draws[5:9].to(CPU)
    drawn = {name: value for name, value in vars(draws).items() if value is not None}
    assert drawn.keys() >= {"boxes", "factors"} and all(
        torch.equal(vars(part)[name], drawn[name][5:9]) for name in drawn
    )


def test_one_crop_beside_the_other_is_refused():
    with pytest.raises(ValueError, match="resized_crop together with crop_padding"):
        TrainingSettings(resized_crop=0.5, crop_padding=4)


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Two samples of codes against a common distribution: chi-square in deviations from what is expected of it."""
    codes, where = np.unique(np.concatenate([one, other]), return_inverse=True)
    table = np.stack([np.bincount(where[: len(one)], minlength=len(codes)),
                      np.bincount(where[len(one) :], minlength=len(codes))]).astype(float)  # fmt: skip
    rare = table.sum(0) * min(len(one), len(other)) / table.sum() < 5
    table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], 1)
    table = table[:, table.sum(0) > 0]
    assert table.shape[1] > 3
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    freedom = table.shape[1] - 1
    return float((((table - expected) ** 2 / expected).sum() - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize(
    ("size", "smallest"), [((12, 12), 0.08), ((12, 12), 0.6), ((9, 30), 0.2), ((30, 9), 0.2), ((8, 8), 1.0)]
)
def test_boxes_are_distributed_as_torchvisions(size, smallest):
    """Rejections and, where the image is no square or the share large, what is taken after ten of them."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    height, width = size
    theirs = v2.RandomResizedCrop(size, scale=(smallest, 1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = [theirs.make_params([torch.empty(3, height, width)]) for _ in range(2000)]
    wanted = np.array([[box[side] for side in ("top", "left", "height", "width")] for box in drawn])
    ours = draw_boxes(40_000, size, smallest, torch.Generator().manual_seed(1)).numpy()
    assert (ours[:, :2] >= 0).all() and (ours[:, 2:] > 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()
    whole = [(boxes == middle(size)).all(1).mean() for boxes in (wanted, ours)]
    assert abs(whole[0] - whole[1]) < 5 * np.sqrt(0.25 / 2000)
    if smallest < 1:
        for one, other in ((2, 3), (0, 2), (1, 3)):  # sides jointly; each corner with its side
            assert differ(wanted[:, one] * 100 + wanted[:, other], ours[:, one] * 100 + ours[:, other]) < 5


@pytest.mark.parametrize("size", [(16, 48), (48, 16)])
def test_boxes_of_rectangles_have_their_aspect_ratio(size):
    """A box that is resized to the image is stretched by a third at most; torchvision's draws with that ratio."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    aspect = size[1] / size[0]
    ours = draw(20_000, TrainingSettings(resized_crop=0.3), seed=1, size=size).boxes.numpy()
    stretched = ours[:, 3] / ours[:, 2] / aspect
    assert 0.65 < stretched.min() < 0.8 and 1.25 < stretched.max() < 1.55
    crop = v2.RandomResizedCrop(size, scale=(0.3, 1), ratio=(0.75 * aspect, 4 / 3 * aspect))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = [crop.make_params([torch.zeros(1, *size)]) for _ in range(3000)]
    wanted = np.array([[one[name] for name in ("top", "left", "height", "width")] for one in drawn])
    assert differ(wanted[:, 2] * 100 + wanted[:, 3], ours[:, 2] * 100 + ours[:, 3]) < 5


@pytest.mark.parametrize("channels", [1, 3])
def test_a_resized_crop_is_torchvisions_of_the_same_box(channels):
    """With and without antialiasing: a box is only ever enlarged."""
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    data, generator = images(channels=channels), torch.Generator().manual_seed(3)
    boxes, flipped = draw_boxes(50, (9, 7), 0.1, generator), torch.rand(50, generator=generator) < 0.5
    index = torch.randperm(50, generator=generator)
    ours = resized(as_pixels(data, CPU), index, boxes, flipped)
    assert ours.shape == (50, 9, 7, channels) and 0 < flipped.sum() < 50
    for place, number in enumerate(index.tolist()):
        image = torch.from_numpy(data[number]).float()
        for antialias in (True, False):
            crop = functional.resized_crop(image, *boxes[place].tolist(), size=[9, 7], antialias=antialias)
            crop = crop.flip(2) if flipped[place] else crop
            assert torch.allclose(ours[place].permute(2, 0, 1), crop, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_is_torchvisions_with_the_same_factors_in_the_same_order(channels):
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    changes = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    pixels = as_pixels(images(channels=channels), CPU)
    factors, order = draw_jitter(50, 0.9, torch.Generator().manual_seed(4))
    ours = jittered(pixels, factors, order)
    for place in range(50):
        image = pixels[place].permute(2, 0, 1).float() / 255
        for kind in order[place].tolist():
            image = changes[kind](image, factors[place, kind].item())
        assert torch.allclose(ours[place].permute(2, 0, 1), image * 255, atol=2e-3)


def test_orders_are_as_likely_as_each_other_and_factors_uniform():
    factors, order = draw_jitter(60_000, 0.4, torch.Generator().manual_seed(5))
    code = order[:, 0] * 3 + order[:, 1]
    assert chi_square(torch.unique(code, return_inverse=True)[1], 6) < 5 + 5 * 3.2
    assert factors.min() >= 0.6 and factors.max() <= 1.4
    for kind in range(3):
        assert chi_square(((factors[:, kind] - 0.6) / 0.8 * 20).long().clamp(max=19), 20) < 19 + 5 * 6.2


def test_many_batches_have_the_moments_of_torchvisions_transforms():
    """The same image again and again: mean and variance of each of 192 values, within 5.5 standard errors."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    data, few, many = images(1, 3, 8, 8), 1500, 30_000
    theirs = v2.Compose([v2.RandomResizedCrop((8, 8), scale=(0.3, 1.0)), v2.RandomHorizontalFlip(),
                         v2.ColorJitter(0.4, 0.4, 0.4)])  # fmt: skip
    image = torch.from_numpy(data[0]).float() / 255
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        wanted = torch.stack([theirs(image) for _ in range(few)]).double()
    settings = TrainingSettings(resized_crop=0.3, flip=True, colour_jitter=0.4)
    windows = windows_of(data, Normaliser((0.0,) * 3, (1.0,) * 3, CPU), settings)
    ours = windows.batch(torch.zeros(many, dtype=torch.int64), draw(many, settings, 7, (8, 8))).double()
    mean, spread = [x.mean(0) for x in (wanted, ours)], [x.var(0) for x in (wanted, ours)]
    error = (spread[0] / few + spread[1] / many).sqrt()
    assert ((mean[0] - mean[1]).abs() / error).max() < 5.5
    fourth = [((x - x.mean(0)) ** 4).mean(0) for x in (wanted, ours)]
    error = ((fourth[0] - spread[0] ** 2) / few + (fourth[1] - spread[1] ** 2) / many).sqrt()
    assert ((spread[0] - spread[1]).abs() / error).max() < 5.5


def test_a_batch_with_everything_is_finite_and_channels_last():
    settings = TrainingSettings(flip=True, cutout=3, resized_crop=0.3, colour_jitter=0.4)
    windows = windows_of(images(), normaliser(), settings)
    batch = windows.batch(torch.arange(50), draw(50, settings))
    assert batch.isfinite().all() and batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.float32 and batch.shape == (50, 3, 9, 7)

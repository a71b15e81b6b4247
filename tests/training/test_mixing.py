from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from archsearch.space.settings import TrainingSettings
from archsearch.training.mixing import Mixer

LABELS = torch.arange(6)


def mixer(seed: int = 0, **words: float) -> Mixer:
    return Mixer(TrainingSettings(**words), torch.Generator().manual_seed(seed))


def batch(height: int = 9, width: int = 7) -> Tensor:
    images = torch.randn(6, 3, height, width, generator=torch.Generator().manual_seed(5))
    return images.contiguous(memory_format=torch.channels_last)


def by_label(images: Tensor, labels: Tensor) -> Tensor:
    """LABELS count the images, so a label says which image it belongs to."""
    return images[labels]


def test_without_words_nothing_happens():
    images = batch()
    found, labels, others, share = mixer()(images, LABELS)
    assert torch.equal(found, batch()) and found is images and share == 1.0
    assert labels is LABELS and others is LABELS and not mixer().mixes


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_mixup_blends_each_image_with_another_by_one_share(layout):
    mix = mixer(mixup=1.0)
    for _ in range(20):
        images = batch().contiguous(memory_format=layout)
        found, labels, others, share = mix(images, LABELS)
        assert 0.5 <= share <= 1 and not (labels == others).any()
        assert found.data_ptr() == images.data_ptr() and found.is_contiguous(memory_format=layout)
        expected = share * by_label(batch(), labels) + (1 - share) * by_label(batch(), others)
        assert torch.allclose(found, expected, atol=1e-6)
        assert {frozenset(pair) for pair in zip(labels.tolist(), others.tolist(), strict=True)} == {
            frozenset((i, (i + 1) % 6)) for i in range(6)
        }


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(9, 7), (1, 1), (8, 8)])
def test_cutmix_pastes_one_box_and_its_share_is_that_of_the_pixels(layout, size):
    mix, shares = mixer(cutmix=1.0), set()
    for _ in range(50):
        images = batch(*size).contiguous(memory_format=layout)
        found, labels, others, share = mix(images, LABELS)
        own, other = by_label(batch(*size), labels), by_label(batch(*size), others)
        kept = (found == own).all(1)
        assert torch.equal(kept | (found == other).all(1), torch.ones_like(kept))
        assert torch.equal(kept, kept[:1].expand_as(kept)), "the same place in every image"
        assert share == pytest.approx(kept[0].float().mean().item(), abs=1e-6) and share >= 0.5
        smaller = [(~kept[0]).nonzero(), kept[0].nonzero()]
        assert any(len(box) == 0 or _is_box(box) for box in smaller)
        assert found.is_contiguous(memory_format=layout)
        shares.add(share)
    assert size == (1, 1) or len(shares) > 10


def _is_box(places: Tensor) -> bool:
    spans = places.max(0).values - places.min(0).values + 1
    return int(spans.prod()) == len(places)


def test_the_same_seed_gives_the_same_batches_and_another_others():
    def shares(seed: int) -> list[float]:
        mix = mixer(seed, mixup=0.3, cutmix=1.0)
        return [mix(batch(), LABELS)[3] for _ in range(10)]

    assert shares(1) == shares(1) != shares(2)


def test_torchs_and_numpys_global_draws_are_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    mixer(mixup=1.0)(batch(), LABELS)
    assert torch.equal(before, torch.get_rng_state())


def test_with_both_words_each_batch_is_changed_by_one_of_the_two_half_the_time():
    mix, pasted = mixer(mixup=1.0, cutmix=1.0), 0
    for _ in range(400):
        images = batch(8, 8)
        found, labels, others, _ = mix(images, LABELS)
        own, other = by_label(batch(8, 8), labels), by_label(batch(8, 8), others)
        pasted += bool(((found == own) | (found == other)).all())
    assert 160 < pasted < 240  # 4 standard deviations


def larger(shares: list[float]) -> np.ndarray:
    return np.maximum(shares, 1 - np.array(shares))


@pytest.mark.parametrize(("word", "name"), [("mixup", "MixUp"), ("cutmix", "CutMix")])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_distributed_as_torchvisions(word, name, alpha):
    """Two samples of 500 by the test of Kolmogorov and Smirnov, at a level of one in a thousand."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    theirs, labels = getattr(v2, name)(alpha=alpha, num_classes=2), torch.tensor([0, 1])
    mix, count = mixer(**{word: alpha}), 500
    ours = [mix(torch.zeros(2, 1, 32, 28), labels)[3] for _ in range(count)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = [theirs(torch.zeros(2, 1, 32, 28), labels)[1][0, 0].item() for _ in range(count)]
    one, two = (np.sort(np.round(sample, 5)) for sample in (ours, larger(given)))
    every = np.concatenate([one, two])
    gap = np.abs(np.searchsorted(one, every, side="right") - np.searchsorted(two, every, side="right")).max() / count
    assert gap < 1.95 * (2 / count) ** 0.5


def test_a_box_lies_as_torchvisions_does():
    """How often each pixel is pasted over, 1,500 boxes each."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    theirs, count, labels = v2.CutMix(alpha=1.0, num_classes=2), 1500, torch.tensor([0, 1])
    marked = torch.stack([torch.zeros(1, 8, 6), torch.ones(1, 8, 6)])
    mix, ours, given = mixer(cutmix=1.0), torch.zeros(8, 6), torch.zeros(8, 6)
    for _ in range(count):
        ours += mix(marked.clone(), labels)[0][0, 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(count):
            given += theirs(marked.clone(), labels)[0][0, 0]
    assert (ours - given).abs().max() / count < 0.07 and ours.max() / count > 0.2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("word", ["mixup", "cutmix"])
def test_on_a_gpu_nothing_waits_and_the_batches_are_those_of_a_cpu(word):
    here, there = mixer(**{word: 1.0}), mixer(**{word: 1.0})
    images, labels = batch().cuda(), LABELS.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = there(images, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = here(batch(), LABELS)
    assert torch.allclose(found[0].cpu(), expected[0], atol=1e-6) and found[3] == expected[3]

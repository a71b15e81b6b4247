"""The first screen: the proxy's best, the same each time, and no torch where nothing is screened."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from archsearch.architecture.spec import Architecture, Block, Stage
from archsearch.search.screen import Screen
from archsearch.space.settings import DataSettings
from archsearch.training.datasets import load_images
from archsearch.training.images import ImageSet
from archsearch.training.proxies import Name, mini_batch, score


@dataclass(frozen=True)
class Words:
    proxy: Name = "naswot"
    of: int = 4


@cache
def digits() -> ImageSet:
    return load_images(DataSettings(limit=200))


def candidates() -> list[Architecture]:
    blocks = (Block(), Block(activation="pre"), Block(link="dense"), Block(link="plain", kind="single"))
    stages = [Stage(depth=depth, width=8, block=block) for depth, block in enumerate(blocks, start=1)]
    return [Architecture(input=(1, 8, 8), stages=(stage,)) for stage in stages]


@pytest.mark.parametrize("proxy", ["naswot", "synflow"])
def test_the_one_with_the_highest_score_is_taken(proxy: Name) -> None:
    images, labels = mini_batch(digits(), 64, seed=3)
    scores = [score(proxy, architecture, images, labels, seed=3) for architecture in candidates()]
    assert len(set(scores)) == 4
    screen = Screen(Words(proxy), digits(), seed=3)
    assert screen.best(candidates()) == scores.index(max(scores))
    assert screen.best(candidates()[::-1]) == 3 - scores.index(max(scores))


def test_equal_ones_are_taken_in_the_samplers_order() -> None:
    named = [candidates()[0].model_copy(update={"name": name}) for name in ("first", "second")]
    assert Screen(Words(), digits(), seed=0).best(named) == 0


def test_the_choice_does_not_depend_on_what_was_asked_before() -> None:
    used, fresh = (Screen(Words(), digits(), seed=1) for _ in range(2))
    for start in range(3):
        used.best(candidates()[start:])
    assert used.best(candidates()) == fresh.best(candidates())


def test_the_processs_threads_and_draws_stay_as_they_are() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    drawn = torch.get_rng_state()
    try:
        Screen(Words(), digits(), seed=1).best(candidates())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError):
        Screen(Words(), digits(), seed=0).best([])


def test_torch_is_imported_by_the_first_choice_and_not_before() -> None:
    code = """
import sys
from types import SimpleNamespace
from archsearch.architecture.spec import Architecture, Stage
from archsearch.search.screen import Screen
from archsearch.space.settings import DataSettings
from archsearch.training.datasets import load_images

networks = [Architecture(input=(1, 8, 8), stages=(Stage(depth=depth, width=4),)) for depth in (1, 2)]
screen = Screen(SimpleNamespace(proxy="naswot", of=2), load_images(DataSettings(limit=100)), seed=0)
assert screen.best(networks[:1]) == 0
print("torch" in sys.modules)
screen.best(networks)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr

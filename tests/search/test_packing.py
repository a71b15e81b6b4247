"""How many trials share a GPU: arithmetic, and the words of the file. No GPU is needed, and none was used."""

from pathlib import Path

import pytest

from archsearch.reading.errors import InputError
from archsearch.space.loading import load_space
from archsearch.space.many.packing import (
    CONTEXT,
    GRAPHED,
    Gpus,
    largest_training,
    memory_fraction,
    pack,
    packed,
    share_of,
)
from archsearch.space.settings import ResourceSettings
from tests.search.local import SPACE

GIB = 2**30


def gpus(gib: float, *, count: float = 1, cpus: float = 64) -> Gpus:
    return Gpus(count=count, bytes=int(gib * GIB), cpus=cpus)


def test_memory_cores_and_the_cap_each_bound_the_trials() -> None:
    network = 3 * GIB
    assert pack(network=network, images=0, nodes=[gpus(16)], threads=1) == 4  # 14.4 / 3.59
    assert pack(network=network, images=0, nodes=[gpus(16, cpus=3)], threads=1) == 3
    assert pack(network=network, images=0, nodes=[gpus(16, count=2, cpus=8)], threads=2) == 2
    assert pack(network=network, images=0, nodes=[gpus(80), gpus(8)], threads=1) == 2, "the smallest GPU decides"
    assert pack(network=1, images=0, nodes=[gpus(80)], threads=1) == 8
    assert pack(network=80 * GIB, images=0, nodes=[gpus(80)], threads=1) == 0


def test_images_count_where_they_go_to_the_gpu() -> None:
    assert pack(network=GIB, images=3 * GIB, nodes=[gpus(16)], threads=1) == 3
    assert pack(network=GIB, images=5 * GIB, nodes=[gpus(16)], threads=1) == 8, "too large: they stay with the host"


@pytest.mark.parametrize("trials", range(1, 9))
def test_so_many_shares_fit_into_one_gpu_and_not_one_more(trials: int) -> None:
    assert 1 - 1e-3 < trials * share_of(trials) <= 1


def space(place: Path, *overrides: str):
    file = place / "space.yaml"
    file.write_text(SPACE)
    return load_space(file, ("resources.gpus_per_trial=auto", *overrides))


def test_auto_is_settled_by_the_largest_network_of_the_budget(tmp_path: Path) -> None:
    small, wide = space(tmp_path), space(tmp_path, "training.batch_size=4096")
    assert small.resources.gpus_per_trial == "auto" and small.resources.gpu_share == 1.0
    assert load_space(_kept(small, tmp_path)).resources.gpus_per_trial == "auto"
    assert largest_training(small) == largest_training(small)
    assert largest_training(wide) > 10 * largest_training(small)
    tight = space(tmp_path, "budget.memory.max=1M", "training.batch_size=4")
    assert largest_training(tight) <= 1_000_000
    share, words = packed(small, 0, [gpus(1, cpus=2)])
    assert share == 1.0 and words.startswith("1 per GPU: ")
    assert packed(small, 0, [gpus(80)])[0] == share_of(8)
    with pytest.raises(InputError, match="training the largest network takes"):
        packed(small, 0, [Gpus(count=1, bytes=CONTEXT, cpus=8)])


def test_the_pools_of_graphs_count_where_steps_are_graphs(tmp_path: Path) -> None:
    with_graphs, without = space(tmp_path, "training.graph=auto"), space(tmp_path, "training.graph=off")
    network = largest_training(without)
    total = int(4.4 * (network + CONTEXT))  # a GPU for three as they are, with a tenth to spare
    assert packed(without, 0, [Gpus(count=1, bytes=total, cpus=8)])[0] == share_of(3)
    tight = [Gpus(count=1, bytes=int((CONTEXT + network * (1 + GRAPHED) / 2) / 0.9), cpus=8)]
    assert packed(without, 0, tight)[0] == 1.0
    with pytest.raises(InputError, match="training the largest network takes"):
        packed(with_graphs, 0, tight)


@pytest.mark.parametrize("gib", [2, 8, 24, 80, 141])
@pytest.mark.parametrize("network", [0.05, 0.4, 3.0])
def test_what_is_predicted_fits_into_the_memory_that_a_lane_may_take(gib: float, network: float) -> None:
    given = gpus(gib)
    trials = pack(network=int(network * GIB), images=0, nodes=[given], threads=1)
    if trials:
        allowed = memory_fraction(share_of(trials), given.bytes) * given.bytes
        assert allowed >= network * GIB and trials * (allowed + CONTEXT) <= given.bytes * 1.0001
    assert memory_fraction(0.125, GIB) == 0.0125, "a context takes more than the share"


def _kept(loaded, place: Path) -> Path:
    (place / "kept.yaml").write_text(loaded.to_yaml())
    return place / "kept.yaml"


@pytest.mark.parametrize("word", ["most", "-1", "65", "true", "nan", "2", "1.5", "0.4", "0.15", "0.6"])
def test_other_words_and_numbers_are_refused_with_what_is_allowed(tmp_path: Path, word: str) -> None:
    with pytest.raises(InputError, match=r"gpus_per_trial.*allowed: auto, 0, 1, or a share 1/n of a GPU"):
        space(tmp_path, f"resources.gpus_per_trial={word}")


@pytest.mark.parametrize(("share", "trials"), [(1, 1), (0.5, 2), (0.33, 3), (0.3333, 3), (0.16, 6), (0.14, 7)])
def test_a_share_is_one_nth_of_a_gpu_and_may_be_rounded_down(share: float, trials: int) -> None:
    settings = ResourceSettings(gpus_per_trial=share)
    assert settings.trials_a_gpu == trials and settings.held(cpus=None, gpus=8) == 8 * trials

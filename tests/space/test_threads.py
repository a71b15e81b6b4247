"""How the cores of nodes are shared among trainings: arithmetic."""

import pytest

from archsearch.space.settings import ResourceSettings
from archsearch.space.threads import Threads, most_threads, readers


@pytest.mark.parametrize(
    ("cores", "trainings", "threads"),
    [
        ([2], 30, 1),
        ([2], 1, 2),
        ([64], 8, 8),
        ([8, 4], 2, 4),
        ([4, 4], 3, 2),
        ([5, 5], 3, 2),
        ([3, 3], 4, 1),
        ([], 4, 1),
    ],
)
def test_no_fewer_trainings_run_at_once_than_with_one_thread_each(cores, trainings, threads) -> None:
    assert most_threads(cores, trainings) == threads


def test_a_training_on_a_gpu_reads_with_its_share_of_the_node_s_cores() -> None:
    assert readers([(16, 1)], 8) == 2 and readers([(224, 8), (32, 8)], 1) == 4
    assert readers([(1024, 1)], 1) == 16 and readers([(2, 4)], 1) == 1


def test_auto_counts_as_one_core_until_it_is_settled() -> None:
    auto = ResourceSettings()
    assert auto.cpus_per_trial == "auto" and auto.threads == 1 and auto.held(cpus=8, gpus=1) == 1
    assert auto.settled(cpus=2, gpus=0).cpus_per_trial == "auto"
    assert ResourceSettings(cpus_per_trial=8).settled(cpus=2, gpus=0).threads == 2
    assert Threads.of(2, "so").to_dict() == {"threads": 2, "text": "2 threads per training: so"}

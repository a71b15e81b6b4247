"""Fault 14 in small: what ten thousand trials take is in benchmarks/results/faults.md."""

from pathlib import Path

from archsearch.experiment.summary import summarise
from tests.faults.invariants import check_whole
from tests.faults.many import HALVING, many


def test_a_hundred_and_fifty_trials_end_and_their_memory_is_bounded(tmp_path: Path) -> None:
    found = many(tmp_path, 150, *HALVING)
    assert found.trials >= 149
    check_whole(found.folder, planned=150)
    assert found.late_mb - found.early_mb < 100
    assert summarise(found.folder)["trials"]["total"] == 150

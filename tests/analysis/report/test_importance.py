"""Importance, by simulation: a choice without influence seldom seems to have some, and one that explains half of the
variance is found from as many trials as a chart needs."""

from collections.abc import Iterator

import numpy as np
import pytest

from archsearch.analysis.report import importance as module
from archsearch.analysis.report.choices import Column
from tests.analysis.test_coverage import within

LEVELS = (2, 2, 3, 3, 4, 4, 6, 2)  # values of each choice
REPEATS = 25


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shares have more noise than in a report, and what is chance is as it is there."""
    monkeypatch.setattr(module, "REPEATS", 6)


def influential(*, share: float, trials: int) -> Iterator[set[str]]:
    """Which choices are beyond chance in searches of random trials, where c0 explains `share` of the variance."""
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        table = [
            Column(name=f"c{i}", levels=tuple(range(count)), ordered=True, codes=rng.integers(0, count, trials))
            for i, count in enumerate(LEVELS)
        ]
        effect = np.sign(table[0].codes - 0.5)
        scores = np.sqrt(share) * effect + np.sqrt(1 - share) * rng.normal(size=trials)
        rows = module.importance(table, scores, seed=seed)["words"]
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        yield {row["word"] for row in rows if row["share"] > row["chance"]}


def test_where_no_choice_has_influence_one_seems_to_in_at_most_one_case_of_twenty() -> None:
    within(sum(bool(names) for names in influential(share=0.0, trials=module.FEWEST)), REPEATS, 0.0, 0.05)


def test_from_as_many_trials_as_a_chart_needs_the_choice_that_matters_is_found_and_no_other() -> None:
    names = list(influential(share=0.5, trials=module.FEWEST))
    within(sum("c0" in each for each in names), REPEATS, 0.8, 1.0)
    within(sum(bool(each - {"c0"}) for each in names), REPEATS, 0.0, 0.05)

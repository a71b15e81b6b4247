"""Which values a narrower space keeps."""

import numpy as np
import pytest

from archsearch.analysis.report.choices import Column
from archsearch.analysis.report.narrower import RARE, _values


@pytest.mark.parametrize(("seen", "kept"), [(1, True), (0, False)])
def test_a_value_that_as_many_of_the_best_have_as_are_asked_for_is_kept(seen: int, kept: bool) -> None:
    of = round(1 / RARE)
    codes = np.array([1] * seen + [0] * (of - seen))
    column = Column(name="block", levels=("basic", "bottleneck"), ordered=False, codes=codes)
    assert _values(column, codes) == (["basic", "bottleneck"] if kept else ["basic"])
    assert _values(column, np.append(codes, 0)) == ["basic"]  # one in 41: rarer

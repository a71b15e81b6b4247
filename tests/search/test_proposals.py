"""Proposals: within the budget, new, and the same again from the same ledger."""

from pathlib import Path

import pytest

from archsearch.search.proposals import Proposal, Proposals
from tests.search.local import tiny

TIGHT = "budget={flops: {max: 30k}}"  # about one random network in three fits


def proposed(space: object, count: int) -> list[Proposal]:
    proposals = Proposals(space)
    found = [proposals.propose(number) for number in range(1, count + 1)]
    return [proposal for proposal in found if proposal is not None]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_tight_budget_is_kept_and_nothing_is_proposed_twice(tmp_path: Path, sampler: str) -> None:
    space, _ = tiny(tmp_path, TIGHT, f"search.sampler={sampler}")
    found = proposed(space, 15)
    assert len(found) == 15
    assert all(space.budget.admits(proposal.candidate.cost) for proposal in found)
    assert len({proposal.candidate.digest for proposal in found}) == 15


def test_what_the_budget_refuses_is_told_and_is_really_out_of_it(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path, TIGHT)
    refused = [candidate for proposal in proposed(space, 15) for candidate in proposal.refused]
    assert len(refused) > 5
    assert not any(space.budget.admits(candidate.cost) for candidate in refused)


def test_the_same_seed_proposes_the_same_and_another_something_else(tmp_path: Path) -> None:
    space, _ = tiny(tmp_path, TIGHT)
    digests = [proposal.candidate.digest for proposal in proposed(space, 6)]
    assert [proposal.candidate.digest for proposal in proposed(space, 6)] == digests
    (tmp_path / "other").mkdir()
    other, _ = tiny(tmp_path / "other", TIGHT, "search.seed=9")
    assert [proposal.candidate.digest for proposal in proposed(other, 6)] != digests

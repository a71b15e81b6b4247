"""What the lanes' reports and deaths mean for the search, whoever schedules them: no Ray here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archsearch.experiment import Failure
from archsearch.search.deciding.failures import LEFT_OUT
from archsearch.search.deciding.messages import EpochTrained, Instruction, Ready, Report, Rest, RungReached, Wait
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.sites import DEADLY, Site, Sites

if TYPE_CHECKING:
    from archsearch.search.deciding.search import Search

LOSSES = 10  # workers in a row that died before they reported


@dataclass(kw_only=True)
class Conductor:
    """Passes Tune's events, which all come in the driver's one thread, to the search, and its instructions back.

    `instructions` and `since` (by the monotonic clock) say what each lane was told last, and when.
    """

    search: Search
    workers_are_up: Callable[[], None]
    up: bool = False
    failure: Exception | None = None
    rested: bool = False
    instructions: dict[str, Instruction] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)  # by the monotonic clock
    losses: int = 0
    sites: Sites = field(default_factory=Sites)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles whatever it is given, and nothing is ever restored from that."""
        return {}

    def follow(
        self,
        lane: str,
        reports: Sequence[Report],
        site: Site | None = None,
        problem: str | None = None,
        *,
        bfloat16: bool = True,
    ) -> Instruction:
        """The lane's next instruction, after these reports of its step. `site` is where it runs, `problem` why nothing
        can be trained there, `bfloat16` whether the device has it. An idle lane of a site that is left out waits, and
        holds its share of a GPU."""
        if site is not None:
            self.sites.runs(lane, site)
            if problem is None and not bfloat16 and not self.search.precision.suits(str(site), bfloat16=False):
                problem = "it has no bfloat16, in which trials of this search train (training.precision)"
        if problem is not None and (news := self.sites.leave_out(lane, problem)) is not None:
            self._leave_out(news, problem)
        if any(isinstance(report, EpochTrained | RungReached) for report in reports):
            self.sites.trained(lane)
        if self.sites.idles(lane) and all(isinstance(report, Ready) for report in reports):
            self.instructions[lane], self.since[lane] = Wait(), time.monotonic()
            return Wait()
        self.losses = 0
        if not self.up:
            self.up = True
            self.workers_are_up()
        self.search.lanes = len(self.instructions.keys() | {lane})
        instruction = hear(self.search, reports)
        self.instructions[lane], self.since[lane] = instruction, time.monotonic()
        self.rested = self.rested or isinstance(instruction, Rest)
        return instruction

    def over(self) -> bool:
        """Whether nothing is left to do, and nobody does anything: lanes that never came up are not waited for."""
        return self.rested and all(isinstance(instruction, Wait | Rest) for instruction in self.instructions.values())

    def lost(self, lane: str, *, preempted: bool, cause: str = "", site: Site | None = None) -> None:
        """The lane's process is gone, or its whole node, the node of `site`; another takes its place. Raises RayFailed,
        with the `cause` of the last loss, where none lives long enough to report, on nodes that live."""
        self.losses += not preempted
        if self.losses > LOSSES:
            reason = f": {cause}" if cause else ""
            raise RayFailed(f"{LOSSES} workers in a row died before they reported anything{reason}")
        limit, instruction = self.search.space.search.epoch_limit, self.instructions.pop(lane, None)
        # What it was at, the test of the winner among it, is left for another lane, though the others rest already.
        self.rested = self.rested and isinstance(instruction, Wait | Rest | None)
        if preempted:
            failure = Failure("preempted", "its worker's node is gone")
        elif instruction is not None and time.monotonic() - self.since[lane] >= limit:
            failure = Failure("hung", f"no epoch finished within search.epoch_limit, {limit:.0f} s")
        else:
            failure = Failure("crashed", "its worker died")
        if site is not None and not preempted:
            trial = getattr(instruction, "number", None)
            if (deadly := self.sites.lost(lane, trial, site)) is not None:
                left_out, trials = deadly
                self._leave_out(left_out, DEADLY, trials)
                failure = Failure("preempted", f"{left_out} is left out")
        self.search.lost(instruction, failure)

    def _leave_out(self, site: Site, reason: str, trials: Sequence[int] = ()) -> None:
        """The site gets no more trials. What these were lost for there costs them no attempt."""
        self.search.ledger.note(LEFT_OUT, {"site": str(site), "reason": reason, "trials": list(trials)})
        self.search.observer.phase(f"{site} gets no more trials: {reason}")


def hear(search: Search, reports: Sequence[Report]) -> Instruction:
    """The search hears of each epoch of a step. Only its answer to the last is an instruction: from the others the lane
    went on by itself, as the search would have said. All is durable at once, when this returns."""
    instruction: Instruction = Rest()
    with search.ledger.transaction():
        for report in reports:
            instruction = search.respond(report)
    return instruction

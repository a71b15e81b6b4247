"""The desk: where instructions wait for their worker. Ray runs it as a small actor of its own.

It imports neither Ray nor torch: an actor's process imports the file that its class stands in.
"""

from __future__ import annotations

import asyncio

from archsearch.search.messages import Instruction


class Desk:
    """Where instructions wait for their lane, and weights and states for the driver."""

    def __init__(self) -> None:
        self._instructions: dict[str, asyncio.Queue[Instruction]] = {}
        self._parcels: dict[int, bytes] = {}

    async def give(self, lane: str, instruction: Instruction, *, anew: bool = False) -> None:
        """The lane's next instruction; `anew` forgets what a dead lane has not read."""
        if anew or lane not in self._instructions:
            self._instructions[lane] = asyncio.Queue()
        self._instructions[lane].put_nowait(instruction)

    async def take(self, lane: str) -> Instruction:
        """Waits for the lane's next instruction."""
        return await self._instructions.setdefault(lane, asyncio.Queue()).get()

    async def deliver(self, number: int, parcel: bytes) -> None:
        """A trial's weights or state, from its lane."""
        self._parcels[number] = parcel

    async def collect(self, number: int) -> bytes:
        """What was delivered, which the desk then forgets."""
        return self._parcels.pop(number)

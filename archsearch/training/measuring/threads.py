"""How many torch threads and which precision train a network fastest on this CPU: measured once and kept in a file.

Twice the threads are seldom twice as fast, they slow other programs down, and those slow them down. So they are doubled
as long as a step is then at least `WORTH_IT` times as fast as before, by the clock on the wall.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from archsearch.experiment import machine
from archsearch.guests.either import Described
from archsearch.reading.files import read_json
from archsearch.space.settings import Precision, TrainingSettings
from archsearch.space.threads import ENOUGH_TRAININGS, Threads
from archsearch.training.devices import resolve_device
from archsearch.training.loop import Diverged
from archsearch.training.measuring.precision import (
    PRECISIONS,
    Way,
    cache_file,
    choose_precision,
    key_of,
    measured_in_turns,
    shortened,
    store,
)
from archsearch.training.measuring.timing import torch_threads
from archsearch.training.run import TrainingRun

WORTH_IT = 1.25  # times as fast, for twice the threads
SECONDS = 1.0  # for each doubling; after them no further round begins
SET_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The threads and the precision of a training; `text` says why."""

    threads: int
    precision: Precision
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@torch_threads(None)  # afterwards torch has as many as before
def choose_execution(
    network: Described, settings: TrainingSettings, *, most: int, cache: Path | None = None
) -> Execution:
    """The threads, at most so many, and the precision with which a CPU trains this network, at any depth, fastest.

    As kept in the file `cache` (None: one in the user's cache folder), or measured now, in about two seconds; torch's
    threads are put back after. A precision that the settings fix is kept. With one thread alone nothing but the
    precision is measured; one thread, too, where the measurement fails.
    """
    file, fixed = cache or cache_file(), None if settings.precision == "auto" else settings.precision
    chosen = None if fixed else choose_precision(network, settings, device="cpu", threads=1, cache=file)
    first = Way(threads=1, precision=fixed or (chosen.precision if chosen else "float32"))
    reason = "" if chosen is None else f"; {chosen}"
    if most == 1:
        threads = Threads.of(1, ENOUGH_TRAININGS)
        return Execution(threads=1, precision=first.precision, text=threads.text + reason)
    short, batch = shortened(network, settings, torch.device("cpu"))
    key = key_of(short, torch.device("cpu"), batch, f"1 to {most}, {settings.precision}")
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Execution(**read_json(file)[key])
    try:
        result = _doubled(short, settings, batch, first, most)
    except (RuntimeError, MemoryError, Diverged) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        threads = Threads.of(1, f"others could not be measured: {lines[0][:200]}")
        return Execution(threads=1, precision=first.precision, text=threads.text + reason)
    with suppress(OSError):
        store(file, key, result.to_dict())
    return result


def _doubled(network: Described, settings: TrainingSettings, batch: int, first: Way, most: int) -> Execution:
    """Doubles the threads as long as it pays, in the faster precision of those that the settings leave open."""
    best, parts = first, list[str]()
    precisions: Sequence[Precision] = PRECISIONS if settings.precision == "auto" else (first.precision,)
    while best.threads < most:
        more = [Way(threads=min(2 * best.threads, most), precision=precision) for precision in precisions]
        seconds = measured_in_turns(network, settings, batch, [best, *more], wall=True, seconds=SECONDS)
        fastest = min(more, key=lambda way: seconds[way])
        gain = seconds[best] / seconds[fastest]
        parts.append(f"{fastest.threads} are {gain:.2f} times as fast as {best.threads}")
        if gain < WORTH_IT:
            break
        best = fastest
    threads = Threads.of(best.threads, f"{', '.join(parts)}, where {WORTH_IT} is worth their cores")
    return Execution(threads=best.threads, precision=best.precision, text=f"{threads.text}; {best.precision}")


def completed(network: Described, run: TrainingRun, *, most: int | None = None) -> tuple[TrainingRun, str]:
    """The run with the threads and the precision that neither it nor its settings fix, and a text where a measurement
    did not succeed. At most `most` threads; None: torch's own number, which is kept as it is where the user has set it
    in the environment. On a GPU the threads stay open."""
    device = resolve_device(run.device or run.settings.device)
    settings, by_user = run.settings, any(os.environ.get(name) for name in SET_BY_USER)
    if run.precision is not None:
        settings = settings.model_copy(update={"precision": run.precision})
    if device.type == "cpu" and run.threads is None and not (most is None and by_user):
        limit = min(torch.get_num_threads(), machine.cores()) if most is None else most
        execution = choose_execution(network, settings, most=limit)
        return replace(run, threads=execution.threads, precision=execution.precision), ""
    if settings.precision != "auto":
        return run, ""
    chosen = choose_precision(network, run.settings, device=run.device, threads=run.threads)
    return replace(run, precision=chosen.precision), str(chosen) if chosen.reason else ""

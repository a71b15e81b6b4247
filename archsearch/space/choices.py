"""The one face that every sampler shows to a search space: choice, integer, real."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from archsearch.reading.errors import InputError, refuse

Scalar = str | int | float | bool | None
T = TypeVar("T")


class Choices(Protocol):
    """Who decides. Every question has a name, a dotted path such as `stage1.depth`, asked once a sample."""

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of the options."""
        ...

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """One of low, low + step, ..., high; by the logarithm where `log` is set."""
        ...

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """A number from low to high; of low, low + step, ... where there is a step."""
        ...


class RandomChoices:
    """Uniform draws from a generator of one's own, or from a seed."""

    def __init__(self, source: random.Random | int) -> None:
        self._random = source if isinstance(source, random.Random) else random.Random(source)

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """One of the options, each as likely as the others."""
        return options[self._random.randrange(len(options))]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Uniform, or uniform in the logarithm: then every integer owns the half unit on both its sides."""
        if not log:
            return self._random.randrange(low, high + 1, step)
        drawn = math.exp(self._random.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return min(max(round(drawn), low), high)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """Uniform on the interval, on its grid, or in its logarithm."""
        if step is not None:
            return low + step * self._random.randrange(round((high - low) / step) + 1)
        if log:
            drawn = math.exp(self._random.uniform(math.log(low), math.log(high)))
        else:
            drawn = self._random.uniform(low, high)
        return min(max(drawn, low), high)


class RecordedChoices:
    """Replays what was taken before. Raises InputError for a question that has no fitting answer."""

    def __init__(self, recorded: Mapping[str, Scalar]) -> None:
        self._recorded = recorded

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """The recorded option, as the space writes it."""
        value = self._find(name)
        for option in options:
            if same(option, value):
                return option
        raise _outside(name, value, ", ".join(map(str, options)))

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The recorded integer."""
        value = self._find(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise _outside(name, value, "an integer")
        if not low <= value <= high or (value - low) % step:
            raise _outside(name, value, f"{low} to {high} in steps of {step}")
        return int(value)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """The recorded number."""
        value = self._find(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _outside(name, value, "a number")
        slack = 1e-9 * max(abs(low), abs(high))
        off_grid = step is not None and abs((value - low) / step - round((value - low) / step)) > 1e-6
        if not low - slack <= value <= high + slack or off_grid:
            raise _outside(name, value, f"{low} to {high}" + (f" in steps of {step}" if step else ""))
        return float(value)

    def _find(self, name: str) -> Scalar:
        if name not in self._recorded:
            raise refuse(f"no recorded choice for {name}", file="recorded choices")
        return self._recorded[name]


class Odometer:
    """Answers by the indices given, one a question in the order of asking, and the first option or the lowest number to
    every later question. `next` counts through all combinations of finite domains."""

    def __init__(self, indices: Sequence[int] = ()) -> None:
        self._indices = list(indices)
        self._counts: list[int] = []

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """The option of the index."""
        return options[self._index(len(options))]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The integer of the index."""
        return low + step * self._index((high - low) // step + 1)

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """The point of the index on a grid; otherwise the lowest number."""
        return low + step * self._index(round((high - low) / step) + 1) if step else low

    def next(self) -> Odometer | None:
        """That of the next combination, once all questions were asked; None after the last."""
        indices = [*self._indices, *[0] * len(self._counts)][: len(self._counts)]
        while indices and indices[-1] + 1 == self._counts[len(indices) - 1]:
            indices.pop()
        return Odometer([*indices[:-1], indices[-1] + 1]) if indices else None

    def _index(self, count: int) -> int:
        question = len(self._counts)
        self._counts.append(count)
        return self._indices[question] if question < len(self._indices) else 0


def every(sample: Callable[[Choices], T]) -> Iterator[T]:
    """What `sample` makes of every combination of answers, that of the last question changing fastest."""
    odometer: Odometer | None = Odometer()
    while odometer is not None:
        yield sample(odometer)
        odometer = odometer.next()


class Recorder:
    """Passes every question on to `inner` and keeps the answers in `taken`, in the order of asking."""

    def __init__(self, inner: Choices) -> None:
        self._inner = inner
        self.taken: dict[str, Scalar] = {}

    def choice(self, name: str, options: Sequence[Scalar]) -> Scalar:
        """What `inner` answers."""
        self.taken[name] = answer = self._inner.choice(name, options)
        return answer

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """What `inner` answers."""
        self.taken[name] = answer = self._inner.integer(name, low, high, step=step, log=log)
        return answer

    def real(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        """What `inner` answers."""
        self.taken[name] = answer = self._inner.real(name, low, high, step=step, log=log)
        return answer


def same(first: Scalar, second: Scalar) -> bool:
    """Whether two scalars are the same value: 1 and 1.0 are, 1 and true are not."""
    return isinstance(first, bool) == isinstance(second, bool) and first == second


def _outside(name: str, value: Scalar, allowed: str) -> InputError:
    return refuse(f"the recorded choice {name} = {value!r:.60}", allowed=allowed, file="recorded choices")

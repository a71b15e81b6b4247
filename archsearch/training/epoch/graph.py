"""An epoch's steps as replays of CUDA graphs: a launch a step, where a GPU would wait for that of each kernel.

Where a training's steps are alike it is one graph (static.py), with stochastic depth per batch one a piece (pieces.py).
How a `Training` that is on a GPU is made to step, whatever its length, before its first epoch:

    graph, pieces   training.graph.fewest = 0; which of the two follows from the network's survival
    eager           training.graph = None, or the setting training.graph: off
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from archsearch.training.epoch.capture import aside, captured, random_state, set_random_state
from archsearch.training.epoch.depth import Depth
from archsearch.training.epoch.pieces import PieceStep
from archsearch.training.epoch.plan import Plan
from archsearch.training.epoch.static import StaticStep
from archsearch.training.feeds.feed import Feed
from archsearch.training.step import Step

FEWEST = 100  # steps ahead: the checks and a capture take as long as some forty
COMPARED = 3  # steps, taken both ways
CLOSE = 1e-3  # of the loss, where the same kernels need not give the same bits twice


class Refused(Exception):
    """Why a graph is not used."""


@dataclass
class Graph:
    """Replays the steps of `model`, captured when they are first needed and more than `fewest` are ahead.

    Before that, some steps are taken eagerly and replayed from the same state, which is then put back. Where the two
    differ (in float32 with deterministic kernels in a single bit, else in the losses), or where the capture fails,
    `problem` says so, and no steps are replayed from then on.
    """

    static: StaticStep
    model: nn.Module
    problem: str | None = None
    fewest: int = field(default_factory=lambda: FEWEST)
    _replay: Callable[[], None] | None = None
    _checked: bool = False
    _noted: bool = False

    def note(self) -> str | None:
        """The `problem`, once."""
        noted, self._noted = self._noted, self.problem is not None
        return None if noted else self.problem

    def begins(self, plan: Callable[[], Plan], ahead: int) -> bool:
        """Whether `stepped` takes the steps of an epoch. `plan` makes the epoch's plan, anew each time; `ahead` is the
        number of steps before the training may pause. With deterministic kernels it takes few steps too, without a
        graph: a GPU rounds them as it does replayed ones, wherever a training goes on."""
        many = ahead > self.fewest
        if self._replay is not None or self.problem is not None or not (many or self._deterministic):
            return self._replay is not None
        if many or not self._checked:
            try:
                self._replay = self._prepared(plan(), many)
            except (Refused, RuntimeError) as error:
                self.problem = str(error).splitlines()[0][:500]
                self.static.clear()
            for weight in self.static.step.optimizer.parameters.values():
                weight.grad = None  # where a step broke off, or was captured, and not taken
        self._checked = True
        return self.problem is None

    @property
    def _deterministic(self) -> bool:
        return self.static.step.settings.deterministic

    def stepped(self, plan: Plan) -> Iterator[None]:
        """Yields after each step of an epoch."""
        step = self._replay or self.static
        self.static.begin(plan)
        for _ in plan.rates:
            self.static.receive()
            step()
            yield
        if self.static.step.average is not None:
            self.static.step.average.updates += len(plan.rates)

    def _prepared(self, plan: Plan, many: bool) -> Callable[[], None] | None:
        """The replay of a step, or None where there are not `many`. Raises Refused where it is not what the step does,
        RuntimeError where a step cannot be taken so."""
        self.static.begin(plan)
        self.static.receive()
        step, device = self.static.step, self.static.step.device
        exact = step.precision == "float32" and (self._deterministic or device.type == "cpu")
        state = [*self.model.state_dict().values(), *step.state().values(), *self.static.tensors()]
        state = [tensor for tensor in state if tensor.device == device]

        def after(take: Callable[[], None]) -> list[Tensor]:
            with put_back(state, device):
                self.static.rehearse()
                for _ in range(min(COMPARED, len(plan.rates))):
                    take()
                return [step.losses.clone()] + [tensor.clone() for tensor in state if exact]

        eager = after(aside(self.static, device))
        if not many:
            return None
        with put_back(state, device):
            replay = self.static.replayed(partial(captured, device=device))
        replayed = after(replay)
        near = 0.0 if exact else CLOSE
        pairs = zip(eager, replayed, strict=True)
        if not all(torch.allclose(one, other, rtol=near, atol=0.0, equal_nan=True) for one, other in pairs):
            losses = f"{eager[0].item():.9g} eagerly, {replayed[0].item():.9g} replayed"
            raise Refused(f"the steps of a CUDA graph differ: the losses of {COMPARED} steps are {losses}")
        return replay


@contextmanager
def put_back(state: list[Tensor], device: torch.device) -> Iterator[None]:
    """Afterwards these tensors and the device's random state are as before."""
    before, random = [tensor.clone() for tensor in state], random_state(device)
    try:
        yield
    finally:
        torch._foreach_copy_(state, before)
        set_random_state(device, random)


def replayable(step: Step) -> bool:
    """Whether steps may be replayed: on a GPU, unless the settings say otherwise."""
    return step.device.type == "cuda" and step.settings.graph == "auto"


def graph_of(
    step: Step, model: nn.Module, feed: Feed, batch_size: int, size: tuple[int, int], depth: Depth
) -> Graph | None:
    """What replays a training's steps, each on `batch_size` images of `size` (height, width); None where they are not
    to be replayed, and with a `problem` where that is impossible."""
    if not replayable(step):
        return None
    if not depth.modules or depth.per_image:
        return Graph(StaticStep(step, feed, batch_size, size, depth), model)
    try:
        return Graph(PieceStep(step, feed, batch_size, size, depth, model), model)
    except ValueError as error:
        return Graph(StaticStep(step, feed, batch_size, size, depth), model, problem=str(error))

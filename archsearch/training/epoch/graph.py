"""An epoch's steps as replays of one CUDA graph: a launch a step, where a GPU would wait for that of each kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsearch.training.epoch.depth import Depth
from archsearch.training.epoch.plan import Plan
from archsearch.training.epoch.static import StaticStep
from archsearch.training.step import Step

FEWEST = 100  # steps ahead: the checks and a capture take as long as some forty
COMPARED = 3  # steps, taken both ways
CLOSE = 1e-3  # of the loss, where the same kernels need not give the same bits twice


class Refused(Exception):
    """Why a graph is not used."""


@dataclass
class Graph:
    """Replays the steps of `model`, captured when they are first needed.

    Before that, some steps are taken eagerly and replayed from the same state, which is then put back. Where the two
    differ (in float32 with deterministic kernels in a single bit, else in the losses), or where the capture fails,
    `problem` says so, and no steps are replayed from then on.
    """

    static: StaticStep
    model: nn.Module
    problem: str | None = None
    _replay: Callable[[], None] | None = None
    _noted: bool = False

    def note(self) -> str | None:
        """The `problem`, once."""
        noted, self._noted = self._noted, self.problem is not None
        return None if noted else self.problem

    def begins(self, plan: Callable[[], Plan], ahead: int) -> bool:
        """Whether `stepped` takes the steps of an epoch. `plan` makes the epoch's plan, anew each time; `ahead` is the
        number of steps before the training may pause. With deterministic kernels it takes few steps too, without a
        graph: a GPU rounds them as it does replayed ones, wherever a training goes on."""
        if self.problem is None and self._replay is None:
            if ahead <= FEWEST:
                return self.static.step.settings.deterministic
            try:
                self._replay = self._checked(plan())
            except (Refused, RuntimeError) as error:
                self.problem = str(error).splitlines()[0][:500]
        return self._replay is not None

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

    def _checked(self, plan: Plan) -> Callable[[], None]:
        """The replay of a step. Raises Refused where it is not what the step does."""
        self.static.begin(plan)
        self.static.receive()
        step, device = self.static.step, self.static.step.device
        exact = step.precision == "float32" and (step.settings.deterministic or device.type == "cpu")
        state = [*self.model.state_dict().values(), *step.state().values(), *self.static.tensors()]
        state = [tensor for tensor in state if tensor.device == device]
        before, random = [tensor.clone() for tensor in state], random_state(device)

        def after(take: Callable[[], None]) -> list[Tensor]:
            try:
                for _ in range(min(COMPARED, len(plan.rates))):
                    take()
                return [step.losses.clone()] + [tensor.clone() for tensor in state if exact]
            finally:
                torch._foreach_copy_(state, before)
                set_random_state(device, random)

        eager = after(aside(self.static, device))
        replay = captured(self.static)
        replayed = after(replay)
        near = 0.0 if exact else CLOSE
        pairs = zip(eager, replayed, strict=True)
        if not all(torch.allclose(one, other, rtol=near, atol=0.0, equal_nan=True) for one, other in pairs):
            losses = f"{eager[0].item():.9g} eagerly, {replayed[0].item():.9g} replayed"
            raise Refused(f"the steps of a CUDA graph differ: the losses of {COMPARED} steps are {losses}")
        return replay


def replayable(step: Step, depth: Depth) -> bool:
    """Whether the steps of a training may be replayed: on a GPU, and where they are alike, which steps with stochastic
    depth per batch are not."""
    alike = depth.per_image or not depth.modules
    return step.device.type == "cuda" and step.settings.graph == "auto" and alike


def aside(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step on a stream of its own, as libraries want what comes before a capture; the device's other work waits."""
    if device.type != "cuda":
        return step
    stream, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)  # type: ignore[no-untyped-call]

    def taken() -> None:
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            step()
        current.wait_stream(stream)

    return taken


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """The replay of a step, which is captured, not taken. It has been taken before, so that what libraries set up at a
    first call is there. Raises RuntimeError for what a graph cannot hold."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may allocate
        step()
    return graph.replay


def random_state(device: torch.device) -> Tensor:
    """The state of torch's own generator for a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """The inverse of `random_state`."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)

"""The static step: a training step without arguments, which reads nothing of the host, so that a graph can hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from archsearch.training.epoch.depth import Depth
from archsearch.training.epoch.plan import Plan
from archsearch.training.feeds.batches import Batch
from archsearch.training.feeds.feed import DeviceFeed, Feed
from archsearch.training.mixing import Mix, MixRow
from archsearch.training.step import Step

Capture = Callable[[Callable[[], None]], Callable[[], None]]  # gives what repeats a function as it is captured
MIX_TYPES = {"amount": torch.float32, "share": torch.float64, "turned": torch.bool}  # else int64


class StaticStep:
    """Steps as `step` does, bit for bit on a CPU, by tables on the device whose rows are the steps of an epoch.

    A counter on the device, `row`, says which is next. The tables hold rates, the average's weights, mixing, the
    factors of stochastic depth and, where the feed has all images on the device and no policy, their order and
    augmentation; else `receive` copies each batch to where the last one was. No tensor moves from one step or epoch to
    the next.
    `size` is (height, width) of a step's images, `depth` what an epoch's plan has drawn.
    """

    def __init__(self, step: Step, feed: Feed, batch_size: int, size: tuple[int, int], depth: Depth) -> None:
        self.step, self._feed, self._batch_size, self._size, self._depth = step, feed, batch_size, size, depth
        # A policy's operations are chosen on the host.
        self._device_feed = feed if isinstance(feed, DeviceFeed) and feed.settings.policy == "none" else None
        self.row = torch.zeros(1, dtype=torch.int64, device=step.device)
        self.tables: dict[str, Tensor] = {}
        self._batches: Iterator[Batch] = iter(())
        self._batch: Batch | None = None
        self._pastes = False

    def begin(self, plan: Plan) -> None:
        """Takes in an epoch, whose first row is next."""
        step, mixer, device = self.step, plan.mixer, self.step.device
        rate_type = torch.float64 if device.type == "cpu" else torch.float32
        factors = step.optimizer.factors
        rates = plan.rates if factors == (1.0,) else [[rate * factor for factor in factors] for rate in plan.rates]
        tables = {"rate": torch.tensor(rates, dtype=rate_type)}
        if (average := step.average) is not None:
            updates = range(average.updates, average.updates + len(plan.rates))
            tables["weight"] = torch.tensor([average.weight(update) for update in updates])
        if mixer.mixes:
            columns = zip(*(mixer.draw(*self._size) for _ in plan.rates), strict=True)
            for name, column in zip(Mix._fields, columns, strict=True):
                tables[f"mix.{name}"] = torch.tensor(column, dtype=MIX_TYPES.get(name, torch.int64))
        if self._depth.factors is not None:
            tables["factors"] = self._depth.factors
        if self._device_feed is not None:
            drawn = self._device_feed.tables(plan.order, plan.augmentation, self._batch_size)
            tables |= {f"feed.{name}": table for name, table in drawn.items()}
        else:
            self._batches = self._feed.training(plan.order, plan.augmentation, self._batch_size)
        for name, table in tables.items():
            if name in self.tables:
                self.tables[name].copy_(table, non_blocking=True)
            else:
                self.tables[name] = table.to(device, non_blocking=True, copy=True)
        self._pastes = mixer.cutmix > 0
        self.row.zero_()

    def receive(self) -> None:
        """To be called before each step: the batch is copied in, where the tables do not have it."""
        if self._device_feed is not None:
            return
        batch = next(self._batches)
        if self._batch is None:
            self._batch = batch[0].clone(), batch[1].clone()
        else:
            for mine, new in zip(self._batch, batch, strict=True):
                mine.copy_(new)

    def __call__(self) -> None:
        """The next step."""
        batch, mixer, row = self.drawn()
        decide = partial(self._depth.decide, row.get("factors"))
        self.step(*batch, mixer, row["rate"], decide, row.get("weight"))
        self.row += 1

    def drawn(self) -> tuple[Batch, MixRow, dict[str, Tensor]]:
        """The next step's batch, how it is mixed, and its row of the tables."""
        row = {name: table.index_select(0, self.row)[0] for name, table in self.tables.items()}
        mix, fed = (
            {key.removeprefix(kind): row[key] for key in row if key.startswith(kind)} for kind in ("mix.", "feed.")
        )
        batch = self._batch if self._device_feed is None else self._device_feed.batch(fed)
        assert batch is not None
        return batch, MixRow(Mix(**mix) if mix else None, self._pastes), row

    def replayed(self, capture: Capture) -> Callable[[], None]:
        """The step as replays of what `capture` makes of its parts, here of the whole."""
        return capture(self)

    def rehearse(self) -> None:
        """Called before steps are taken that are to be compared, from the first row on."""

    def clear(self) -> None:
        """Frees the memory of the step, which is not taken any more."""
        self.tables, self._batch, self._batches = {}, None, iter(())

    def tensors(self) -> list[Tensor]:
        """What a step changes beside the training's own state."""
        return [self.row, self.step.losses, self.step.right, *(self._batch or ())]

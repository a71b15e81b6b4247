"""The page that `archsearch check` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from archsearch.api.showing.printing import columns, percent, short, table
from archsearch.reading.durations import spell_duration

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

BAR, WIDTH = 40, 100
INDENT = 14  # columns of the labels on the left
BEFORE_BARS = 29  # and of what stands before a histogram's bars


def page(space: SearchSpace, document: dict[str, Any]) -> str:
    """The page as text, from the document that --json prints (`foretelling/check.py` makes it)."""
    lines = [f"{document['file']}: valid"]
    lines += [_row("note", note) for note in document["notes"]]
    lines += [_row("warning", warning) for warning in document["warnings"]]
    lines += [_row("images" if not number else "", text) for number, text in enumerate(_images(document["folder"]))]
    lines += ["", _row("space", f"{document['name']}: {space.extent()} combinations")]
    if parameters := document["training_words"]:
        lines += [_row("", f"{space.networks()} networks; training settings that vary too: {', '.join(parameters)}")]
    lines += [_row("budget", _budget(space)), *_fits(document), *_out_of_reach(document)]
    lines += ["", *_costs(document), "", *_pretrained(document["pretrained"])]
    lines += [_row("start", start["sentence"])] if (start := document["start"]) else []
    lines += ["", *_foretold(space, document), *_elsewhere(document)]
    bounded = [bound["name"] for bound in document["bounds"]]
    for name in dict.fromkeys(("flops", *bounded)):
        lines += ["", f"{name} of {_looked_at(document)} (# within the budget, . outside)"]
        lines += _bars(document["histograms"][name])
    return "\n".join(lines)


def _images(folder: dict[str, Any] | None) -> Iterator[str]:
    """What was seen of the images, in lines; none for data sets that are known by name."""
    if folder is None:
        return
    counts = [sum(split) for split in zip(*folder["images"].values(), strict=True)]
    total, splits = sum(folder["splits"].values()), ", ".join(f"{n:,} {name}" for name, n in folder["splits"].items())
    kind, each = {"multi_label": ("labels", "with each label")}.get(folder["task"], ("classes", "per class"))
    if counts:
        yield f"{total:,} images, {len(counts)} {kind}, {min(counts):,} to {max(counts):,} {each}: {splits}"
    else:
        yield f"{total:,} images, numbers to predict: {', '.join(folder['classes'])}: {splits}"
    least, middle, most = folder["sides"]
    yield f"shorter sides {least} to {most} pixels, median {middle}"
    yield from folder["advice"]
    if folder["broken"]:
        shown = ", ".join(folder["broken"][:5]) + (", ..." if len(folder["broken"]) > 5 else "")
        yield (f"{len(folder['broken']):,} cannot be read (data.broken: skip leaves them out): {shown}")
    if folder["copies"]:
        yield (f"{folder['copies']:,} duplicate files, {folder['copies_across_splits']:,} of them across splits")


def _row(label: str, text: str) -> str:
    lines = textwrap.wrap(text, _width() - INDENT) or [""]
    return "\n".join(
        f"{start:<{INDENT}}{line}" for start, line in zip((label, *[""] * len(lines)), lines, strict=False)
    )


def _width() -> int:
    return min(WIDTH, columns() or WIDTH)


def _looked_at(document: dict[str, Any]) -> str:
    count = f"{document['samples']:,}"
    return f"all {count} networks" if document["every_network"] else f"{count} random networks"


def _budget(space: SearchSpace) -> str:
    parts = []
    for name, bound in space.budget.bounds():
        write = bound.text if name == "latency" else short
        low = f"{write(bound.low)} <= " if bound.low else ""
        parts.append(f"{low}{name}" + (f" <= {write(bound.high)}" if bound.high is not None else ""))
    return ", ".join(parts) or "none"


def _fits(document: dict[str, Any]) -> Iterator[str]:
    drawn = "" if document["every_network"] else ", drawn from the file's domains"
    yield _row("fits", f"{percent(document['share_within_budget'])} of {_looked_at(document)}{drawn}")
    if document["impossible"]:
        yield _row("", f"{document['impossible']:,} cannot be built: their feature maps become smaller than a pixel")
    if document["other_stages"]:
        yield _row("", f"{document['other_stages']:,} have more or fewer stages, by their linear widths, than allowed")
    several = len(document["bounds"]) > 1
    for bound in document["bounds"]:
        hardest = " (tightest limit)" if several and bound["name"] == document["hardest"] else ""
        without = f"; without it {percent(bound['share_of_others'])} would" if several else ""
        sides = [f"{bound[side]:,} {side}" for side in ("below", "above") if bound[side]]
        sides_text = f" ({', '.join(sides)})" if sides else ""
        yield _row(f"  {bound['name']}", f"{percent(bound['share'])} within it{sides_text}{without}{hardest}")
    for name in document["unmeasured"]:
        yield _row(f"  {name}", "measured while the search runs; not counted here")


def _out_of_reach(document: dict[str, Any]) -> Iterator[str]:
    if document["unreachable"] is None:
        yield _row("warning", "none of them fits, so values that cannot occur within the budget are not known")
        return
    by_parameter: dict[str, list[dict[str, Any]]] = {}
    for entry in document["unreachable"]:
        by_parameter.setdefault(entry["word"], []).append(entry)
    for parameter, entries in by_parameter.items():
        values = ", ".join(_runs([entry["value"] for entry in entries]))
        fewest, several = min(entry["tried"] for entry in entries), len(entries) > 1
        if not fewest and not several:
            reason = "has no effect in any network"
        elif document["every_network"]:
            reason = f"no network within the budget has {'these' if several else 'it'}"
        else:
            tries = " or more with each" if several else " with it"
            reason = f"no network within the budget among {fewest:,}{tries}"
        yield _row("out of reach", f"{parameter}: {values} ({reason})")
    for parameter in document["passed_over"]:
        yield _row("", f"{parameter} has more than 64 values, which were not checked")


def _runs(values: Sequence[Any]) -> Iterator[str]:
    """The values as texts; three or more whole numbers in a row as `first to last`."""
    numbered = [(value - index if type(value) is int else f"{index}", value) for index, value in enumerate(values)]
    for _, run in groupby(numbered, key=lambda pair: pair[0]):
        members = [value for _, value in run]
        yield f"{members[0]} to {members[-1]}" if len(members) > 2 else ", ".join(map(str, members))


def _costs(document: dict[str, Any]) -> Iterator[str]:
    head = ("in budget", "min", "5 %", "median", "95 %", "max", "median (all)")
    rows = []
    for name, quantiles in document["quantiles"].items():
        within, every = quantiles["within_budget"], quantiles["all"]
        if every:
            cells = [short(within.get(q)) for q in ("0.0", "0.05", "0.5", "0.95", "1.0")]
            rows.append((f"  {name}", *cells, short(every["0.5"])))
    yield table(head, rows, width=_width())
    for label, extreme in (("smallest", "cheapest"), ("largest", "dearest")):
        counted = document[extreme]
        prefix = "" if document["extremes_exact"] else "about "
        text = f"{prefix}{short(counted['flops'])} FLOPs, {short(counted['params'])} parameters (whole space)"
        yield _row(label, text)


def _pretrained(advice: dict[str, Any]) -> Iterator[str]:
    """Which published networks fit the budget, and the command that fine-tunes some of them, in one line."""
    yield _row("pretrained", advice["sentence"])
    if advice["command"]:
        yield f"{'':<{INDENT}}{advice['command']}"


def _foretold(space: SearchSpace, document: dict[str, Any]) -> Iterator[str]:
    in_all = "" if space.search.epochs is None else f", {space.search.epochs} epochs in total"
    yield _row(
        "search", f"{document['trials']} trials of at most {document['epochs']} epochs on {space.data.name}{in_all}"
    )
    if document["search_flops_at_most"]:
        most_work = short(document["search_flops_at_most"])
        yield _row("work", f"at most {most_work} multiply-adds (median network, forward and backward)")
    forecast, probe = document["forecast"], document["probe"]
    if forecast is None:
        yield _row("estimate", f"no time estimate ({document['not_foretold']})")
        return
    hours = f"{_hours(forecast['hours'])} of training for {forecast['trials']} trials, {forecast['at_once']} at once"
    if forecast["gpu_hours"] is not None:
        hours += f"; {_hours(forecast['gpu_hours'])} of GPU time"
    yield _row("estimate", f"about {hours}")
    mean = f"{_seconds(forecast['epoch_seconds'])} (mean of {forecast['networks']} networks)"
    yield _row("", f"{forecast['trial_epochs']:,.0f} epochs of {mean}, if rungs rank the trials well")
    if forecast["wall_hours"] is not None and forecast["hours"] >= forecast["wall_hours"]:
        yield _row(
            "", "search.wall_time ends it earlier: fewer trials, then the best are trained in the remaining time"
        )
    elif forecast["trial_epochs"] < forecast["trial_epochs_at_most"]:
        most, gpus = forecast["hours_at_most"], forecast["gpu_hours_at_most"]
        at_most = "" if gpus is None else f", {_hours(gpus)} of GPU time"
        yield _row("", f"{_hours(most)}{at_most} if no trial is stopped early")
    if forecast["at_once"] > 1:
        yield _row("", "concurrent trials share memory and caches: it takes longer if they slow one another down")
    if document["placement"] is not None:
        yield _row("device", document["placement"]["text"])
    if document["execution"] is not None:
        yield _row("settled", document["execution"]["text"])
    threads = f"{probe['threads']} thread{'s' if probe['threads'] > 1 else ''}"
    yield _row(
        "measured",
        f"{len(probe['networks'])} networks in {probe['seconds']:.0f} s on "
        f"{probe['device_name']}, {threads}, {probe['precision']}",
    )
    if probe["busy"]:
        yield _row(
            "warning",
            "the machine is busy, so the estimate is too long, with several "
            "threads by far; check again when it is idle",
        )
    yield _row("", f"error of the time per step: {100 * probe['error']:.0f} % (median, leave-one-out)")


def _elsewhere(document: dict[str, Any]) -> Iterator[str]:
    forecast = document["cluster"]
    if forecast is None:
        return
    unit, paid = ("core", forecast["core_hours"]) if forecast["gpu_hours"] is None else ("GPU", forecast["gpu_hours"])
    yield _row(
        "cluster",
        f"{forecast['cluster']}, estimated: "
        f"{_between(forecast['hours'], _hours)}, {_between(paid, _figure)} {unit} "
        "hours, idle time included",
    )
    per_device = "" if forecast["lanes_per_device"] == 1 else f" ({forecast['lanes_per_device']:.3g} per {unit})"
    start = _between(forecast["start_up_seconds"], _seconds)
    yield _row(
        "",
        f"{forecast['lanes']} trials at once{per_device}, using {forecast['cores']} "
        f"cores; busy {_between(forecast['busy_share'], percent)} of the time; start-up "
        f"{start}",
    )
    yield _row(
        "",
        f"{_between(forecast['epoch_seconds'], _seconds)} per epoch (mean), "
        f"{forecast['precision']}, from {forecast['source']}",
    )
    if forecast["bound"] is not None:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in forecast["bound"].items() if share)
        yield _row("", f"limiting factor: {shares} of the networks; from data sheets, not measured here")
    if forecast["ends_by_wall_time"]:
        yield _row(
            "", "search.wall_time may end it earlier: fewer trials, then the best are trained in the remaining time"
        )


def _between(limits: dict[str, float], write: Callable[[float], str]) -> str:
    low, high = write(limits["low"]), write(limits["high"])
    return low if low == high else f"{low} to {high}"


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _hours(hours: float) -> str:
    return spell_duration(3600 * hours)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _bars(bins: list[dict[str, int]]) -> Iterator[str]:
    highest = max((row["count"] for row in bins), default=1) or 1
    bar = min(BAR, _width() - BEFORE_BARS)
    for row in bins:
        within = round(bar * row["within_budget"] / highest)
        beyond = round(bar * row["count"] / highest) - within
        label = f"{short(row['from']):>6} to {short(row['to']):>6}"
        yield f"  {label}  {row['count']:>7,}  {'#' * within}{'.' * beyond}".rstrip()

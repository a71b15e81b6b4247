"""What it takes to do a search again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsearch.analysis.report.figures import Fact
from archsearch.analysis.report.reading import Reading
from archsearch.experiment.summary import learned
from archsearch.space.placement import PLACED
from archsearch.space.threads import THREADS


def facts(reading: Reading) -> list[Fact]:
    """What it takes to do the search again: versions, seeds, digests, the machine."""
    began = [event.data for event in reading.notes if event.kind == "began"]
    last = began[-1] if began else {}
    named: dict[str, Any] = {
        "archsearch": reading.meta.get("archsearch"),
        "python": last.get("python"),
        **(last.get("versions") or {}),
        "experiment's id": reading.meta.get("id"),
        "search seed": reading.meta.get("seed"),
        "sampler": _sampler(reading),
        "experience": learned(sources) if (sources := reading.summary["learned_from"]) is not None else None,
        "digest of the images": last.get("data"),
        "sessions": len(began) or None,
        "machine": _machine(last.get("machine")),
        "precision": next((str(e.data.get("text", e.data.get("precision"))) for e in reversed(reading.notes)
                           if e.kind == "precision"), None),
        "device": next((e.data["text"] for e in reversed(reading.notes) if e.kind == PLACED), None),
        "threads": next((e.data["text"] for e in reversed(reading.notes) if e.kind == THREADS), None),
        "resources per trial": _spelled(reading.resolved.get("resources")),
        "confirmed on": _machine((reading.confirmed or {}).get("machine")),
    }  # fmt: skip
    return [{"what": name, "value": str(value)} for name, value in named.items() if value not in (None, "")]


def _sampler(reading: Reading) -> str | None:
    search = reading.resolved.get("search")
    return _spelled(search.get("sampler")) if isinstance(search, Mapping) else None


def _machine(machine: Any) -> str | None:
    if not isinstance(machine, Mapping):
        return None
    parts = [str(machine[key]) for key in ("system", "processor", "gpus") if machine.get(key)]
    return ", ".join([*parts, *([f"{machine['cores']} cores"] if machine.get("cores") else [])])


def _spelled(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {field}" for key, field in value.items() if field is not None)
    return None if value is None else str(value)

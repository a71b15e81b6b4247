"""What only a GPU can show of archsearch, in one run of nine minutes: sections with marks that they have to pass.

Each section is a process of its own, which ends by its time, crashes alone, and hands on the time that it leaves over.
The JSON file is whole after each figure, so that a run that is cut off counts as far as it came. Without a GPU the half
that means something on a CPU is run, and each section says what it left out. No data is needed but scikit-learn's
digits and noise; of archsearch's dependencies neither Ray, Optuna nor MLflow.

    python benchmarks/gpu_proof.py [--out FILE] [--json] [--quick] [--section NAME...] [--list] [--rehearse]

The exit status is 0 where all sections passed. `--rehearse` runs the GPU's half on a CPU, with stand-ins: that its
lines run, before a GPU is at hand; its figures mean nothing. `--section compiled` is not among the usual ones:
torch.compile takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:1] = [str(ROOT)]  # not this folder, some of whose modules have the names of others'

from archsearch.version import __version__  # noqa: E402
from benchmarks.gpu_sections import SECTIONS, TOTAL  # noqa: E402
from benchmarks.gpu_sections.row import Row, write  # noqa: E402

CPU_TIMES = 6  # as long as on a GPU, at most
PROBE = 40  # seconds at most for the import of torch from a cold disk; the sections share what is left
SPARED = 2.0  # seconds before its end in which a section begins nothing
LIBRARIES = ("torch", "numpy", "torchvision", "scikit-learn", "pydantic")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", nargs="+", choices=SECTIONS, help="these alone")
    parser.add_argument("--list", action="store_true", help="the sections, their seconds and marks")
    parser.add_argument("--out", type=Path, default=Path("gpu_proof.json"), help="the JSON file, written as it goes")
    parser.add_argument("--json", action="store_true", help="print the document, not lines")
    parser.add_argument("--quick", action="store_true", help="the least that shows that everything runs")
    parser.add_argument("--rehearse", action="store_true", help="the GPU's half, on a CPU with stand-ins")
    parser.add_argument("--seconds", type=float, help=f"for all sections together: {TOTAL} where there is a GPU")
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)  # run one section here, into this file
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{name:12s} {of.seconds:4d} s  {of.passes}" for name, of in SECTIONS.items()))
        return 0
    if asked.row is not None:
        return section_here(asked.section[0], asked)
    names = asked.section or [name for name, section in SECTIONS.items() if section.usual]
    document = all_sections(names, asked)
    print(json.dumps(document, indent=2) if asked.json else lines(document))
    return 0 if all(row["state"] == "passed" for row in document["figures"]["sections"].values()) else 1


def section_here(name: str, asked: argparse.Namespace) -> int:
    """Runs one section in this process, into a file."""
    run_section(Row(name, asked.until - SPARED, asked.row), quick=asked.quick, rehearse=asked.rehearse)
    return 0


def run_section(row: Row, *, quick: bool, rehearse: bool = False) -> Row:
    """The row of a section, filled; whatever it raises is in the row."""
    try:
        from benchmarks.gpu_sections.setting import Setting

        setting = Setting.here(quick=quick, rehearse=rehearse)
        row.rehearsed = rehearse
        row.device = setting.named()
        import_module(f"benchmarks.gpu_sections.{row.name}").run(row, setting)
    except Exception as error:  # any: a row with the error, not a run without rows
        row.failed("the section", error)
    row.end()
    return row


def all_sections(names: list[str], asked: argparse.Namespace) -> dict[str, Any]:
    """Runs the sections one after another; the document is written to the file as they go."""
    start, seconds = time.time(), sum(SECTIONS[name].seconds for name in names)
    total = start + (asked.seconds or seconds * (1 if has_gpu() else CPU_TIMES)) - time.time()
    ends, rows = time.time(), {}
    document: dict[str, Any] = {
        "name": "gpu_proof",
        "figures": {"device": None, "rehearsed": asked.rehearse, "quick": asked.quick, "sections": rows},
        "target": "on a GPU all sections pass",
        "met": None,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}",
        "versions": versions(),
        "n": 1,
    }

    def keep(name: str, row: dict[str, Any]) -> None:
        rows[name] = row
        document["figures"]["device"] = document["figures"]["device"] or row.get("device")
        document["seconds"] = round(time.time() - start, 1)
        write(asked.out, document)

    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write(asked.out, document)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the section's process is ended then too
    for name in names:
        ends += SECTIONS[name].seconds * total / seconds
        print(f"{time.time() - start:6.1f} s  {name}, until {ends - start:.0f} s", file=sys.stderr, flush=True)
        for row in as_it_goes(name, ends, asked):
            keep(name, row)
    device = document["figures"]["device"] or {}
    if device.get("kind") == "cuda" and not asked.rehearse:
        document["met"] = all(row["state"] == "passed" for row in rows.values())
    write(asked.out, document)
    return document


def has_gpu() -> bool:
    """Whether torch sees a GPU: asked in a process of its own, which also reads torch's files from a cold disk."""
    if not any(list(Path("/dev").glob(name)) for name in ("nvidia*", "kfd", "dxg")):  # NVIDIA's, AMD's, Windows'
        return False
    command = [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"]
    try:
        return subprocess.run(command, capture_output=True, timeout=PROBE, check=False).stdout.strip() == b"True"
    except subprocess.TimeoutExpired:  # each section says what it finds
        return True


def as_it_goes(name: str, until: float, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The row of a section that runs in a process of its own, whenever it changes; the last one is final."""
    row: dict[str, Any] = {"state": "running", "figures": {}, "marks": {}, "left_out": {}, "errors": {}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "row.json")
        command = [sys.executable, "-X", "faulthandler", __file__, "--section", name, "--row", str(file)]
        command += ["--until", str(until), *(f"--{flag}" for flag in ("quick", "rehearse") if getattr(asked, flag))]
        environment = {**os.environ, "PROOF_FOLDER": folder}
        process = subprocess.Popen(command, env=environment, process_group=0, stdout=2)
        try:
            changed, status = 0, None
            while status is None and time.time() < until:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(timeout=min(0.5, max(0.01, until - time.time())))
                if file.exists() and (now := file.stat().st_mtime_ns) != changed:
                    changed, row = now, json.loads(file.read_text())
                    yield row
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the section's own processes, its children's among them
            process.wait()
            stop_daemon(Path(folder))
    if row["state"] == "running":
        why = "it was ended at its time" if status is None else f"its process ended with status {status}"
        row = row | {"state": "failed", "errors": row["errors"] | {"the section": why}}
    yield row


def stop_daemon(folder: Path) -> None:
    """Ends the MPS daemon of a section that was killed before it could: it runs in a process group of its own."""
    if (folder / "mps").is_dir():
        from benchmarks.gpu_sections.workers import stop_mps

        stop_mps(folder / "mps")


def versions() -> dict[str, str]:
    found = {"archsearch": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def lines(document: dict[str, Any]) -> str:
    figures = document["figures"]
    where = "a rehearsal on a CPU: the figures mean nothing" if figures["rehearsed"] else str(figures["device"])
    text = [f"{where}; {document['machine']}; {document.get('seconds', 0):.0f} s"]
    for name, row in figures["sections"].items():
        text.append(f"{name}: {row['state']} ({row.get('seconds', 0):.0f} s)")
        for title, mark in row["marks"].items():
            state = "rehearsed" if figures["rehearsed"] else "passed" if mark["passed"] else "FAILED"
            text.append(f"  {state}  {title}: {mark['value']} ({mark['target']})")
        text += [f"  {title}: {value}" for title, value in row["figures"].items()]
        text += [f"  left out: {what}: {why}" for what, why in row["left_out"].items()]
        text += [f"  FAILED  {what}: {error.splitlines()[0]}" for what, error in row["errors"].items()]
    return "\n".join(text)


if __name__ == "__main__":
    raise SystemExit(main())

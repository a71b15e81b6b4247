"""One export from what was asked for to the file: refused early, compared with the network where that can be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archsearch.data.images import Progress
from archsearch.experiment import write_atomically
from archsearch.experiment.suggested import command
from archsearch.export.selection import Selection, kept_weights
from archsearch.guests.either import Described, digest
from archsearch.guests.guest import Guest
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.export.formats import Format
    from archsearch.export.origin import Origin

FORMS = ("bundle", "config", "python", "safetensors", "onnx", "torch-export")
GUEST_FORMS = ("bundle", "onnx", "torch-export")  # of a module of another library
BINARY = {"onnx": "model.onnx", "torch-export": "model.pt2", "bundle": "bundle"}  # form: an output that a hint names
MAX_LOSS = 1.0  # points of validation accuracy that 8-bit integers may lose
WRITABLE = "a file in an existing, writable folder"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One of FORMS of a network, to a file or a folder (`output`; None: a text is returned).

    `selection` is the trial that the network is of; a network of its own has the weights of a file (`weights`), else
    untrained ones of `seed`. `root` is where the data of the experiment, or of the training beside whose result.json
    the weights lie, is now (None: where it was).
    `max_loss` asks for 8-bit integers, in a bundle or in place of the form onnx, and says how many points of validation
    accuracy they may lose.
    """

    form: str
    network: Described
    output: Path | None
    selection: Selection | None = None
    weights: Path | None = None
    seed: int = 0
    root: Path | None = None
    max_loss: float | None = None


def carry_out(job: Job, tell: Progress) -> tuple[dict[str, Any], str | None]:
    """Writes the output, whole or not at all; what --json says of it, and the text where there is no output.

    All but config and safetensors are compared with the network before they are written. Raises ParityLost for a form
    that does not compute what the network does, or loses too much accuracy in 8-bit integers, and InputError.
    """
    if isinstance(job.network, Guest) and job.form not in GUEST_FORMS:
        problem = f"{job.network.name} is a module of {job.network.library}: archsearch has no {job.form} of it"
        raise refuse(problem, allowed=", ".join(GUEST_FORMS), file=f"--format {job.form}")
    document = {
        "format": job.form,
        "file": None if job.output is None else str(job.output),
        "digest": digest(job.network),
        "architecture": job.network.to_dict(),
        "trial": None if job.selection is None else job.selection.trial.id,
    }
    if job.form in ("config", "safetensors"):
        return document, _as_it_is(job, tell)
    _refuse_early(job)
    if job.form == "bundle":
        return {**document, **_bundle(job, tell)}, None
    compared, text = _compared(job, tell)
    return {**document, **compared}, text


def _weights_of(selection: Selection, tell: Progress) -> bytes:
    weights = kept_weights(selection)
    if selection.digest is None:
        tell(
            "note: the ledger, written by an earlier archsearch, has no SHA-256 of these weights, "
            "so they were not verified"
        )
    return weights


def _as_it_is(job: Job, tell: Progress) -> str | None:
    """The config, or the weights as they lie there."""
    content: str | bytes = job.network.to_yaml()
    if job.form == "safetensors":
        named = job.selection.trial.id if job.selection is not None else job.network.name
        if job.selection is not None:
            content = _weights_of(job.selection, tell)
        elif job.weights is not None:
            content = job.weights.read_bytes()
        if job.output is None:
            raise refuse("weights cannot be printed", allowed=f"-o {named}.safetensors", file="--format safetensors")
    if job.output is not None:
        _refuse_other_than_files(job.output)
        with _refused_where_it_fails(job.output):
            write_atomically(job.output, content)
        tell(f"wrote {job.output}")
    return content if isinstance(content, str) else None


def _bundle(job: Job, tell: Progress) -> dict[str, Any]:
    from archsearch.export.bundle import write_bundle

    assert job.output is not None, "a bundle needs a folder"
    origin = _origin(job, tell)
    manifest = write_bundle(origin, job.output, tell, max_loss=job.max_loss)
    tell(f"wrote {job.output}: {len(manifest['files'])} files and manifest.json")
    if origin.images is not None:
        tell(f"predict new images: {command('predict', job.output)} IMAGE|FOLDER...")
    return {
        "digest": manifest["digest"],
        "architecture": origin.architecture.to_dict(),
        **{name: manifest[name] for name in ("parity", "calibration", "int8") if name in manifest},
        "files": sorted(manifest["files"]),
    }


def _compared(job: Job, tell: Progress) -> tuple[dict[str, Any], str | None]:
    """What the comparison found, as --json has it; model.py's text where there is no output."""
    from archsearch.export.bundle import trial_for, write_format, write_int8_alone

    origin = _origin(job, tell)
    trial = trial_for(origin, tell)
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = job.output or Path(folder, "model.py")
        with _refused_where_it_fails(file):
            if job.max_loss is None:
                parity = write_format(cast("Format", job.form), origin.network, trial, file)
            else:
                parity, quantized = write_int8_alone(origin, trial, file, max_loss=job.max_loss)
                document["int8"] = quantized.to_dict()
        tell(str(parity))
        if job.max_loss is not None:
            tell(str(quantized))
        text = file.read_text() if job.output is None else None
    if job.output is not None:
        tell(f"wrote {job.output}")
    return {"parity": [parity.to_dict()], **document}, text


def _refuse_early(job: Job) -> None:
    """Before torch is imported and data is read."""
    if job.output is None:
        if job.form in BINARY:
            raise refuse(f"{job.form} cannot be printed", allowed=f"-o {BINARY[job.form]}", file=f"--format {job.form}")
    elif job.form != "bundle":
        _refuse_other_than_files(job.output)
    if job.form in ("bundle", "onnx"):
        from archsearch.export.formats import refuse_without_onnx

        refuse_without_onnx()
    if job.form == "bundle" and job.output is not None:
        from archsearch.export.bundle import refuse_other_folders

        refuse_other_folders(job.output)


def _refuse_other_than_files(output: Path) -> None:
    """A folder or a device is left as it is: a rename would take its place."""
    if output.exists() and not output.is_file():
        raise refuse(f"{output} is not a file", allowed=WRITABLE, file="-o")


@contextmanager
def _refused_where_it_fails(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refuse(f"{output} cannot be written: {error.strerror}", allowed=WRITABLE, file="-o") from error


def _origin(job: Job, tell: Progress) -> Origin:
    """The network with weights: the winner's or the trial's, the file's, or fresh ones."""
    from archsearch.export import origin
    from archsearch.export.fresh import fresh

    selection, required = job.selection, job.root is not None or job.max_loss is not None
    if selection is None:
        if job.weights is not None:
            return origin.of_file(job.network, job.weights, root=job.root, images_required=required, tell=tell)
        tell(f"no --weights: untrained weights from seed {job.seed}")
        return origin.Origin(network=fresh(job.network, seed=job.seed))
    history, required = None, required or job.form == "bundle"
    if selection.of == "confirm":
        tell(f"the confirmed winner, from {selection.folder.confirmation.path}")
        history = origin.confirmed_history(selection.folder)
    elif selection.of == "finish":
        history = origin.finished_history(selection)
    weights = _weights_of(selection, tell)
    return origin.of_trial(selection, weights, history=history, root=job.root, images_required=required, tell=tell)

"""`archsearch export`, the formats that are compared with the network before they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from archsearch.cli.dispatch import Failure
from archsearch.cli.showing.printing import stdout_to_stderr, tell
from archsearch.reading.errors import refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.experiment import ExperimentFolder, Trial
    from archsearch.export.formats import Format
    from archsearch.export.origin import Origin

KeptWeights = Callable[["ExperimentFolder", "Trial", str | None], bytes]
BINARY = {"onnx": "model.onnx", "torch-export": "model.pt2", "bundle": "bundle"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be written where: of a trial (`named`: by the person) or of a network."""

    form: str
    network: Architecture
    folder: ExperimentFolder | None
    trial: Trial | None
    named: bool
    weights: Path | None
    seed: int
    output: Path | None


def write_checked(asked: Asked, document: dict[str, Any], *, kept_weights: KeptWeights) -> str | None:
    """Writes it, and puts what was compared into the document; model.py's text where there is no output.

    Raises Failure where a format does not compute what the network does.
    """
    output = asked.output
    if output is None and asked.form in BINARY:
        raise refuse(f"{asked.form} is no text", allowed=f"-o {BINARY[asked.form]}", file=f"--format {asked.form}")
    _refuse_early(asked)
    from archsearch.export.parity import ParityLost

    try:
        with stdout_to_stderr():
            return _write(asked, document, kept_weights)
    except ParityLost as error:
        raise Failure(str(error)) from error


def _write(asked: Asked, document: dict[str, Any], kept_weights: KeptWeights) -> str | None:
    import tempfile

    from archsearch.export.bundle import trial_for, write_bundle, write_format

    origin = _origin(asked, kept_weights)
    if asked.form == "bundle":
        assert asked.output is not None, "a bundle has a folder"
        written = write_bundle(origin, asked.output, tell)
        document.update(
            digest=written["digest"], architecture=origin.architecture.to_dict(), parity=written["parity"],
            files=sorted(written["files"]),
        )  # fmt: skip
        tell(f"wrote {asked.output}: {len(written['files'])} files and manifest.json")
        return None
    trial, _ = trial_for(origin, tell)
    with tempfile.TemporaryDirectory() as place:
        file = asked.output or Path(place, "model.py")
        try:
            found = write_format(cast("Format", asked.form), origin.network, trial, file)
        except OSError as error:
            allowed = "a file, in a folder that exists and may be written"
            raise refuse(f"{file} cannot be written: {error.strerror}", allowed=allowed, file="-o") from error
        tell(str(found))
        document["parity"] = [found.to_dict()]
        if asked.output is None:
            return file.read_text()
    tell(f"wrote {asked.output}")
    return None


def _refuse_early(asked: Asked) -> None:
    """Before torch is imported and data is read."""
    output = asked.output
    if output is not None and asked.form != "bundle" and output.exists() and not output.is_file():
        raise refuse(f"{output} is no file", allowed="a file, in a folder that exists and may be written", file="-o")
    if asked.form in ("bundle", "onnx"):
        from archsearch.export.formats import refuse_without_onnx

        refuse_without_onnx()
    if asked.form == "bundle" and output is not None:
        from archsearch.export.bundle import refuse_other_folders

        refuse_other_folders(output)


def _origin(asked: Asked, kept_weights: KeptWeights) -> Origin:
    """The network with weights: the confirmed winner's (for a bundle), the trial's, the file's, or fresh ones."""
    from archsearch.export import origin
    from archsearch.export.fresh import fresh

    folder, trial = asked.folder, asked.trial
    if folder is None or trial is None:
        if asked.weights is not None:
            return origin.of_file(asked.network, asked.weights)
        tell(f"no --weights: those of seed {asked.seed}, untrained")
        return origin.Origin(network=fresh(asked.network, seed=asked.seed))
    confirmed = folder.confirmation.weights
    if asked.form == "bundle" and not asked.named and confirmed.is_file():
        tell(f"the confirmed winner, from {confirmed.parent}")
        return origin.of_confirmed(folder, tell=tell)
    return origin.of_trial(folder, asked.network, trial, kept_weights(folder, trial, _given(asked)), tell=tell)


def _given(asked: Asked) -> str | None:
    """How the person named the trial, for what a refusal blames."""
    assert asked.trial is not None, "an experiment's network is a trial's"
    return asked.trial.id if asked.named else None

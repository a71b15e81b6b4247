"""An export from an experiment's or a network's name to the file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from archsearch.api.networks import network_of
from archsearch.data.images import Progress
from archsearch.experiment import ExperimentFolder, find
from archsearch.export.job import FORMS, MAX_LOSS, Job, carry_out
from archsearch.export.selection import select
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.nearest import did_you_mean


def export(
    source: str | ExperimentFolder,
    *,
    form: str | None = None,
    output: Path | None = None,
    trial: str | None = None,
    weights: Path | None = None,
    seed: int = 0,
    root: Path | None = None,
    int8: bool = False,
    max_loss: float | None = None,
    tell: Progress,
) -> tuple[dict[str, Any], str | None]:
    """Writes a trial of an experiment (None: its winner), or a network of the zoo or a file; what --json says of it,
    and the text where there is no `output`.

    `form` is one of `job.FORMS` (None: bundle where `output` has no ending, else config, or onnx with `int8`). `int8`
    writes 8-bit integers: beside the other formats of a bundle, or in place of the form onnx; where they lose more than
    `max_loss` points of validation accuracy (None: 1), nothing is written. Raises as `job.carry_out`.
    """
    single = "onnx" if int8 else "config"
    form = form or ("bundle" if output is not None and (output.is_dir() or not output.suffix) else single)
    if form not in FORMS:
        hint = did_you_mean(form, FORMS)
        raise refuse(f"the format {form!r:.40}", allowed=", ".join(FORMS), hint=hint, file="--format")
    folder = source if isinstance(source, ExperimentFolder) else _experiment(source)
    if not int8 and max_loss is not None:
        raise refuse("there is no limit of lost accuracy without --int8", hint="add --int8", file="--max-loss")
    if int8 and form not in ("bundle", "onnx"):
        raise refuse(f"{form} has no 8-bit integers", allowed="--format bundle or onnx", file="--int8")
    if int8 and folder is None:
        problem = (
            f"{source} is a network, not an experiment: there are no training images to calibrate 8-bit integers on"
        )
        raise refuse(problem, allowed="an experiment's name or folder", hint="omit --int8", file="--int8")
    if folder is None:
        assert isinstance(source, str)
        _refuse_what_a_network_lacks(source, trial, form, weights, root)
        network = network_of(source)
        return carry_out(Job(form=form, network=network, output=output, weights=weights, seed=seed), tell)
    if weights is not None:
        raise refuse(
            "an experiment has weights of its own", allowed="--weights together with a network", file="--weights"
        )
    selection = select(folder, trial)
    most = (MAX_LOSS if max_loss is None else max_loss) if int8 else None
    job = Job(form=form, network=selection.network, output=output, selection=selection, root=root, max_loss=most)
    return carry_out(job, tell)


def _experiment(source: str) -> ExperimentFolder | None:
    """The experiment that `source` names; None where it is a network. A file goes before an experiment, and that
    before a name of the zoo. Raises InputError where it is neither."""
    if Path(source).is_file():
        return None
    try:
        return find(source)
    except InputError as no_experiment:
        try:
            network_of(source)
        except InputError as no_network:
            raise InputError(*no_experiment.problems, *no_network.problems) from None
    return None


def _refuse_what_a_network_lacks(
    source: str, trial: str | None, form: str, weights: Path | None, root: Path | None
) -> None:
    """Raises InputError for --trial and --root, and for forms that need trained weights where there are none."""
    if trial is not None:
        problem, hint = f"{source} is a network, not an experiment: it has no trials", "omit --trial"
        raise refuse(problem, allowed="an experiment's name or folder", hint=hint, file="--trial")
    if root is not None:
        raise refuse(f"{source} is a network, not an experiment: it has no data", hint="omit --root", file="--root")
    if form == "safetensors" or (form == "bundle" and weights is None):
        raise refuse(
            f"{source} is a network, not an experiment: it has no weights",
            allowed="an experiment's name or folder" + (", or --weights FILE" if form == "bundle" else ""),
            hint=f"archsearch train {shlex.quote(source)} --data NAME trains it, and writes weights.safetensors",
            file=f"--format {form}",
        )

"""An export from an experiment's or a network's name to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archsearch.api.networks import network_of
from archsearch.data.images import Progress
from archsearch.experiment import ExperimentFolder, find
from archsearch.experiment.suggested import command
from archsearch.export.job import FORMS, MAX_LOSS, Job, carry_out
from archsearch.export.selection import select
from archsearch.export.trained import data_settings, result_beside, training_folder
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
    """Writes a trial of an experiment (None: its winner), or a network of the zoo, a file, or a folder that `archsearch
    train` wrote; what --json says of it, and the text where there is no `output`.

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
    most = (MAX_LOSS if max_loss is None else max_loss) if int8 else None
    if folder is None:
        assert isinstance(source, str)
        trained = training_folder(source)
        network = network_of(source if trained is None else trained.model_yaml)
        if weights is None and trained is not None and result_beside(trained.weights, network):
            weights = trained.weights
            tell(f"the weights of {weights}")
        job = Job(form=form, network=network, output=output, weights=weights, seed=seed, root=root, max_loss=most)
        _refuse_what_a_network_lacks(source, trial, job, of_training=trained is not None)
        return carry_out(job, tell)
    if weights is not None:
        raise refuse(
            "an experiment has weights of its own", allowed="--weights together with a network", file="--weights"
        )
    selection = select(folder, trial)
    job = Job(form=form, network=selection.network, output=output, selection=selection, root=root, max_loss=most)
    return carry_out(job, tell)


def _experiment(source: str) -> ExperimentFolder | None:
    """The experiment that `source` names; None where it is a network. A file and a folder of a training go before an
    experiment, and that before a name of the zoo. Raises InputError where it is neither."""
    if Path(source).is_file() or training_folder(source) is not None:
        return None
    try:
        return find(source)
    except InputError as no_experiment:
        try:
            network_of(source)
        except InputError as no_network:
            raise InputError(*no_experiment.problems, *no_network.problems) from None
    return None


def _refuse_what_a_network_lacks(source: str, trial: str | None, job: Job, *, of_training: bool) -> None:
    """Raises InputError for --trial, for --root and --int8 where no training tells of its images, and for forms that
    need trained weights where there are none; `of_training` says whether `source` is a folder of a training."""
    problem, experiment = f"{source} is a network, not an experiment: ", "an experiment's name or folder"
    if trial is not None:
        raise refuse(f"{problem}it has no trials", allowed=experiment, hint="omit --trial", file="--trial")
    if job.root is not None or job.max_loss is not None:
        result = {} if job.weights is None else result_beside(job.weights, job.network)
        if data_settings(result, None) is None:
            option, lacks = ("--root", "it has no data") if job.max_loss is None else (
                "--int8", "there are no training images to calibrate 8-bit integers on"
            )  # fmt: skip
            allowed = f"{experiment}, or a folder that `archsearch train` wrote"
            raise refuse(problem + lacks, allowed=allowed, hint=f"omit {option}", file=option)
    if (job.form == "safetensors" and not of_training) or (job.form in ("bundle", "safetensors") and not job.weights):
        raise refuse(
            f"{problem}it has no weights",
            allowed=experiment + (", or --weights FILE" if job.form == "bundle" else ""),
            hint=f"{command('train', source, '--data', 'NAME')} trains it, and writes weights.safetensors",
            file=f"--format {job.form}",
        )

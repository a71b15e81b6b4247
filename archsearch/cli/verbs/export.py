"""`archsearch export`: a network, or a trial of an experiment, as a file or a bundle of all formats."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archsearch.api.showing.printing import deliver, print_json, stdout_to_stderr, tell
from archsearch.cli import arguments
from archsearch.cli.dispatch import Failure
from archsearch.cli.options import Json, Root
from archsearch.experiment import ExperimentFolder, find
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    from archsearch.export.job import Job


def export(
    source: Annotated[str, typer.Argument(metavar="EXPERIMENT|ARCH", help="An experiment: its best; or a network.")],
    *,
    trial: Annotated[
        str | None, typer.Option(metavar="ID", help="A trial of it: 7 or t0007. Left out: the best.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="bundle: a folder with all; config: a YAML file that every ARCH may name; python: plain PyTorch; "
            "safetensors: the trained weights, kept of the best trial and of the Pareto front; onnx; torch-export. "
            "Left out: bundle where -o has no ending, else config.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE|DIR", help="Left out: stdout (config and python alone)."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A network's weights: .safetensors of `train`, or .pth of torchvision or timm."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of a network's weights where none are given.")] = 0,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Writes a network, or a trial of an experiment, to a file, or to a folder with every format.

    All but config and safetensors are run as their reader will run them and compared with the network, on the
    validation split where its data is there, else on random images: a difference of 1e-4 or another first class is an
    error (exit code 1).
    """
    from archsearch.export.job import FORMS, Job
    from archsearch.export.selection import select

    form = form or ("bundle" if output is not None and (output.is_dir() or not output.suffix) else "config")
    if form not in FORMS:
        raise refuse(f"the format {form!r:.40}", allowed=f"{', '.join(FORMS)}, in this version", file="--format")
    folder = _experiment(source)
    if folder is None:
        _refuse_what_a_network_lacks(source, trial, form, weights, root)
        network = arguments.architecture(source)
        job = Job(form=form, network=network, output=output, weights=weights, seed=seed)
    else:
        if weights is not None:
            raise refuse("an experiment has weights of its own", allowed="a network with --weights", file="--weights")
        selection = select(folder, trial)
        if trial is None and selection.confirmed is not None and form != "bundle":  # which has the confirmed winner
            tell(f"note: this is the search's best, {selection.trial.id}; {selection.confirmed}, confirmed, lies in "
                 f"{folder.confirmation.path}, with weights")  # fmt: skip
        job = Job(form=form, network=selection.network, output=output, selection=selection, root=root)
    document, text = _carried_out(job)
    if as_json:
        print_json(document)
    elif text is not None and output is None:
        deliver(text, None)


def _carried_out(job: Job) -> tuple[dict[str, Any], str | None]:
    from archsearch.export.job import carry_out

    try:
        with stdout_to_stderr():
            return carry_out(job, tell)
    except RuntimeError as error:
        from archsearch.export.parity import ParityLost  # which imports torch: a config needs none

        if isinstance(error, ParityLost):
            raise Failure(str(error)) from error
        raise


def _experiment(source: str) -> ExperimentFolder | None:
    """The experiment that `source` names; None where it is a network. A file goes before an experiment, and that
    before a name of the zoo. Raises InputError where it is neither."""

    if Path(source).is_file():
        return None
    try:
        return find(source)
    except InputError as no_experiment:
        try:
            arguments.architecture(source)
        except InputError as no_network:
            raise InputError(*no_experiment.problems, *no_network.problems) from None
    return None


def _refuse_what_a_network_lacks(
    source: str, trial: str | None, form: str, weights: Path | None, root: Path | None
) -> None:
    """Raises InputError for --trial and --root, and for forms that need trained weights where there are none."""
    if trial is not None:
        problem, hint = f"{source} is a network, not an experiment: it has no trials", "without --trial"
        raise refuse(problem, allowed="an experiment's name or folder", hint=hint, file="--trial")
    if root is not None:
        raise refuse(f"{source} is a network, not an experiment: it has no data", hint="without --root", file="--root")
    if form == "safetensors" or (form == "bundle" and weights is None):
        raise refuse(
            f"{source} is a network, not an experiment: it has no weights",
            allowed="an experiment's name or folder" + (", or --weights FILE" if form == "bundle" else ""),
            hint=f"archsearch train {shlex.quote(source)} --data NAME trains it, and writes weights.safetensors",
            file=f"--format {form}",
        )

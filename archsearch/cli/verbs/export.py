"""`archsearch export`: a network, or a trial of an experiment, as a file or a bundle of all formats."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import arguments
from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json
from archsearch.cli.showing.printing import deliver, print_json, tell
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.experiment import ExperimentFolder, Ledger, Trial

FORMATS = ("bundle", "config", "python", "safetensors", "onnx", "torch-export")
CHECKED = ("bundle", "python", "onnx", "torch-export")  # compared with the network before anything is written
MOST_TOLD = 10  # trials that a refusal lists

app = app_of("export")


@command(app)
def export(
    source: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT|ARCH", show_default=False, help="An experiment: its best; or a network."),
    ],
    *,
    trial: Annotated[
        str | None,
        typer.Option(metavar="ID", show_default=False, help="A trial of it: 7 or t0007. Left out: the best."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            show_default=False,
            help="bundle: a folder with all; config: a YAML file that every ARCH may name; python: plain PyTorch; "
            "safetensors: the trained weights, kept of the best trial and of the Pareto front; onnx; torch-export. "
            "Left out: bundle where -o has no ending, else config.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE|DIR", show_default=False, help="Left out: stdout (config and python alone)."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="A network's weights: .safetensors of `train`, or .pth of torchvision or timm.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of a network's weights where none are given.")] = 0,
    as_json: Json = False,
) -> None:
    """Writes a network, or a trial of an experiment, to a file, or to a folder with every format.

    All but config and safetensors are run as their reader will run them and compared with the network, on the
    validation split where its data is known: a difference of 1e-4 or another first class is an error (exit code 1).
    """
    from archsearch.architecture.canonical import digest

    form = form or ("bundle" if output is not None and (output.is_dir() or not output.suffix) else "config")
    if form not in FORMATS:
        raise refuse(f"the format {form!r:.40}", allowed=f"{', '.join(FORMATS)}, in this version", file="--format")
    folder = _experiment(source)
    if folder is None:
        _refuse_what_a_network_lacks(source, trial, form, weights)
        network, found = arguments.architecture(source), None
    else:
        if weights is not None:
            raise refuse("an experiment has weights of its own", allowed="a network with --weights", file="--weights")
        network, found = _chosen(folder, trial, quiet=form == "bundle")
    document = {
        "format": form,
        "file": None if output is None else str(output),
        "digest": digest(network),
        "architecture": network.to_dict(),
        "trial": None if found is None else found.id,
    }
    if form in CHECKED:
        from archsearch.cli.verbs.exporting import Asked, write_checked

        asked = Asked(form=form, network=network, folder=folder, trial=found, named=trial is not None,
                      weights=weights, seed=seed, output=output)  # fmt: skip
        text = write_checked(asked, document, kept_weights=_weights)
    else:
        text = _unchecked(folder, network, found, given=trial, form=form, output=output)
    if as_json:
        print_json(document)
    elif text is not None and output is None:
        deliver(text, None)


def _unchecked(
    folder: ExperimentFolder | None,
    network: Architecture,
    found: Trial | None,
    *,
    given: str | None,
    form: str,
    output: Path | None,
) -> str | None:
    """The config, or the weights as they lie there; the text, where it is one."""
    content: str | bytes = network.to_yaml()
    if folder is not None and found is not None and form == "safetensors":
        content = _weights(folder, found, given)
        if output is None:
            raise refuse("weights are no text", allowed=f"-o {found.id}.safetensors", file="--format safetensors")
    if output is not None:
        _write(content, output)
    return content if isinstance(content, str) else None


def _experiment(source: str) -> ExperimentFolder | None:
    """None for a network: a file goes before an experiment, and that before a name of the zoo."""
    from archsearch.experiment import find

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


def _refuse_what_a_network_lacks(source: str, trial: str | None, form: str, weights: Path | None) -> None:
    """Trials and weights are an experiment's; a bundle of weights that nobody trained serves nobody."""
    if trial is not None:
        found, hint = f"{source} is a network, not an experiment: it has no trials", "without --trial"
        raise refuse(found, allowed="an experiment's name or folder", hint=hint, file="--trial")
    if form == "safetensors" or (form == "bundle" and weights is None):
        raise refuse(
            f"{source} is a network, not an experiment: it has no weights",
            allowed="an experiment's name or folder" + (", or --weights FILE" if form == "bundle" else ""),
            hint=f"archsearch train {shlex.quote(source)} --data NAME trains it, and writes weights.safetensors",
            file=f"--format {form}",
        )


def _chosen(folder: ExperimentFolder, given: str | None, *, quiet: bool) -> tuple[Architecture, Trial]:
    """The trial that was asked for, or the best so far; its network is named after both. A bundle has the confirmed
    one of itself: it is `quiet`."""
    from archsearch.architecture.spec import Architecture
    from archsearch.experiment import Ledger

    with Ledger.read(folder.ledger) as ledger:
        name = ledger.meta.get("name", folder.name)
        trial = ledger.best() if given is None else _numbered(ledger, given, name)
        confirmed = [event.data["winner"] for event in ledger.events_of("confirmed")]
    if trial is None:
        raise refuse(
            f"no trial of {name} has finished",
            allowed="an experiment that has a best network, or --trial ID",
            hint=f"archsearch resume {_quoted(folder)} goes on with it",
            file="EXPERIMENT",
        )
    if given is None and confirmed and not quiet:
        place = folder.confirmation.path
        tell(f"note: this is the search's best, {trial.id}; {confirmed[-1]}, confirmed, lies in {place}, with weights")
    network = Architecture.from_dict(dict(trial.architecture))
    return network.model_copy(update={"name": f"{name}-{trial.id}"}), trial


def _numbered(ledger: Ledger, given: str, name: str) -> Trial:
    """The trial that 7, t7 or t0007 names."""
    from archsearch.experiment import number_of

    if (number := number_of(given)) is not None:
        with suppress(KeyError):
            return ledger.trial(number)
    last = ledger.total
    allowed = f"1 to {last}, or t0001 to t{last:04d}" if last else f"{name} has no trials yet"
    raise refuse(f"{name} has no trial {given!r:.40}", allowed=allowed, file="--trial")


def _weights(folder: ExperimentFolder, trial: Trial, given: str | None) -> bytes:
    """The trial's weights, as they lie in the experiment, once safetensors has read them."""
    from safetensors import SafetensorError, deserialize

    from archsearch.experiment import TrialState

    path = folder.weights(trial.number)
    if trial.state is not TrialState.FINISHED or not path.is_file():
        raise _without_weights(folder, trial, given)
    try:
        data = path.read_bytes()
        if not deserialize(data):  # type: ignore[no-untyped-call]
            raise SafetensorError("no tensors")
    except OSError as error:
        raise refuse(f"the weights of {trial.id} cannot be read: {error.strerror}", file=str(path)) from error
    except SafetensorError as error:
        hint = f"archsearch export {_quoted(folder)} --trial {trial.id} writes the network, to be trained again"
        raise refuse(f"the weights of {trial.id} are damaged: {error}", hint=hint, file=str(path)) from error
    return data


def _without_weights(folder: ExperimentFolder, trial: Trial, given: str | None) -> InputError:
    """Says which trials have weights."""
    from archsearch.experiment import Ledger, TrialState

    with Ledger.read(folder.ledger) as ledger:
        finished = ledger.trials(TrialState.FINISHED)
    kept = [other.id for other in finished if folder.weights(other.number).is_file()]
    more = f" and {len(kept) - MOST_TOLD} more" if len(kept) > MOST_TOLD else ""
    why = f"{trial.state.value}: {trial.reason.splitlines()[0]:.80}" if trial.reason else trial.state.value
    return refuse(
        f"no weights of {trial.id} are kept ({why})",
        allowed=f"{', '.join(kept[:MOST_TOLD])}{more}" if kept else "a trial with weights: there is none",
        hint=f"weights are kept of the best trial and of the Pareto front; archsearch export {_quoted(folder)} "
        f"--trial {trial.id} -o {trial.id}.yaml writes the network, for archsearch train",
        file="EXPERIMENT" if given is None else "--trial",
    )


def _write(content: str | bytes, output: Path) -> None:
    """The whole file or none. A folder or a device is left as it is: a rename would take its place."""
    from archsearch.experiment import write_atomically

    allowed = "a file, in a folder that exists and may be written"
    if output.exists() and not output.is_file():
        raise refuse(f"{output} is no file", allowed=allowed, file="-o")
    try:
        write_atomically(output, content)
    except OSError as error:
        raise refuse(f"{output} cannot be written: {error.strerror}", allowed=allowed, file="-o") from error
    tell(f"wrote {output}")


def _quoted(folder: ExperimentFolder) -> str:
    """As it is pasted into a shell."""
    from archsearch.cli.driving import known_as

    return shlex.quote(known_as(folder))

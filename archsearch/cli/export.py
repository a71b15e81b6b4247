"""`archsearch export`: a network, or a trial of an experiment, as a file."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli import arguments
from archsearch.cli.dispatch import app_of, command
from archsearch.cli.options import Json
from archsearch.cli.printing import deliver, print_json, tell
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    from archsearch.architecture.spec import Architecture
    from archsearch.experiment import ExperimentFolder, Ledger, Trial

FORMATS = ("config", "safetensors")
WEIGHTS = "weights.safetensors"
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
        str,
        typer.Option(
            "--format",
            help="config: a YAML file that every ARCH may name; safetensors: the trained weights, kept of the best "
            "trial and of the Pareto front.",
        ),
    ] = "config",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", show_default=False, help="Left out: stdout (config alone)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Writes a network, or a trial of an experiment, to a file."""
    if form not in FORMATS:
        raise refuse(f"the format {form!r:.40}", allowed=f"{', '.join(FORMATS)}, in this version", file="--format")
    folder = _experiment(source)
    if folder is None:
        _refuse_what_a_network_lacks(source, trial, form)
        network, found = arguments.architecture(source), None
    else:
        network, found = _chosen(folder, trial)
    content: str | bytes = network.to_yaml()
    if folder is not None and found is not None and form == "safetensors":
        content = _weights(folder, found, trial)
        if output is None:
            raise refuse("weights are no text", allowed=f"-o {found.id}.safetensors", file="--format safetensors")
    if output is not None:
        _write(content, output)
    if as_json:
        print_json(
            {
                "format": form,
                "file": None if output is None else str(output),
                "digest": network.digest,
                "architecture": network.to_dict(),
                "trial": None if found is None else found.id,
            }
        )
    elif isinstance(content, str) and output is None:
        deliver(content, None)


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


def _refuse_what_a_network_lacks(source: str, trial: str | None, form: str) -> None:
    """Trials and weights are an experiment's."""
    if trial is not None:
        found, hint = f"{source} is a network, not an experiment: it has no trials", "without --trial"
        raise refuse(found, allowed="an experiment's name or folder", hint=hint, file="--trial")
    if form == "safetensors":
        raise refuse(
            f"{source} is a network, not an experiment: it has no weights",
            allowed="an experiment's name or folder",
            hint=f"archsearch train {shlex.quote(source)} --data NAME trains it, and writes {WEIGHTS}",
            file="--format safetensors",
        )


def _chosen(folder: ExperimentFolder, given: str | None) -> tuple[Architecture, Trial]:
    """The trial that was asked for, or the best so far; its network is named after both."""
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
    if given is None and confirmed:
        place = folder.path / "confirm"
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

    path = folder.trial(trial.number) / WEIGHTS
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
    kept = [other.id for other in finished if (folder.trial(other.number) / WEIGHTS).is_file()]
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

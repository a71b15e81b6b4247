"""Which trial of an experiment is exported, and the weights that its search kept of it. No torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, number_of
from archsearch.experiment.suggested import command, command_of
from archsearch.experiment.winner import Source, winner_of
from archsearch.reading.errors import InputError, refuse

MOST_LISTED = 10  # trials that a refusal lists


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A trial of an experiment: `named` by the person, or the winner.

    `network` is named after the experiment and the trial; `weights` is the file of its weights, `digest` their SHA-256,
    None where the ledger holds none; `of` says whether they are the search's, or those that were trained anew.
    """

    folder: ExperimentFolder
    trial: Trial
    network: Architecture
    weights: Path
    digest: str | None
    of: Source
    named: bool


def select(folder: ExperimentFolder, trial_id: str | None) -> Selection:
    """The trial that 7, t7 or t0007 names; None: the winner. Raises InputError where there is no such trial."""
    with Ledger.read(folder.ledger) as ledger:
        name = ledger.meta.get("name", folder.name)
        best = winner_of(folder, ledger)
        trial = _numbered(ledger, trial_id, name) if trial_id is not None else best.trial if best is not None else None
        if best is None or trial is None or best.trial.number != trial.number:
            best = None  # the weights are those that the search kept of it
        digest = None if trial is None else best.sha256 if best is not None else ledger.weights_digest(trial.number)
    if trial is None:
        raise refuse(
            f"no trial of {name} has finished",
            allowed="an experiment that has a best network, or --trial ID",
            hint=f"`{command_of(folder, 'resume')}` continues it",
            file="EXPERIMENT",
        )
    network = Architecture.from_dict(dict(trial.architecture)).model_copy(update={"name": f"{name}-{trial.id}"})
    return Selection(
        folder=folder,
        trial=trial,
        network=network,
        weights=folder.weights(trial.number) if best is None else best.weights,
        digest=digest,
        of="search" if best is None else best.of,
        named=trial_id is not None,
    )


def _numbered(ledger: Ledger, trial_id: str, name: str) -> Trial:
    if (number := number_of(trial_id)) is not None:
        with suppress(KeyError):
            return ledger.trial(number)
    last = ledger.total
    allowed = f"1 to {last}, or t0001 to t{last:04d}" if last else f"{name} has no trials yet"
    raise refuse(f"{name} has no trial {trial_id!r:.40}", allowed=allowed, file="--trial")


def kept_weights(selection: Selection) -> bytes:
    """The selection's weights as they lie in the experiment, a safetensors file that can be read whole.

    Raises InputError where none are kept, and where they are damaged or not those that the ledger names."""
    from safetensors import SafetensorError, deserialize

    folder, trial, path = selection.folder, selection.trial, selection.weights
    if (selection.of == "search" and trial.state is not TrialState.FINISHED) or not path.is_file():
        raise _no_weights(selection)
    try:
        content = folder.read_weights(path, selection.digest)
        if not deserialize(content):  # type: ignore[no-untyped-call]
            raise SafetensorError("no tensors")
    except OSError as error:
        raise refuse(f"the weights of {trial.id} cannot be read: {error.strerror}", file=str(path)) from error
    except (SafetensorError, InputError) as error:
        again = command("export", selection.folder.argument, "--trial", trial.id)
        hint = f"`{again}` exports the architecture, to be trained again"
        cause = error.problems[0].message if isinstance(error, InputError) else str(error)
        raise refuse(f"the weights of {trial.id} are damaged: {cause}", hint=hint, file=str(path)) from error
    return content


def _no_weights(selection: Selection) -> InputError:
    """Names the trials that have weights."""
    folder, trial = selection.folder, selection.trial
    with Ledger.read(folder.ledger) as ledger:
        finished = ledger.trials(TrialState.FINISHED)
    ids = [candidate.id for candidate in finished if folder.weights(candidate.number).is_file()]
    unlisted = f" and {len(ids) - MOST_LISTED} more" if len(ids) > MOST_LISTED else ""
    state = f"{trial.state.value}: {trial.reason.splitlines()[0]:.80}" if trial.reason else trial.state.value
    return refuse(
        f"the weights of {trial.id} were not saved ({state})",
        allowed=f"{', '.join(ids[:MOST_LISTED])}{unlisted}" if ids else "a trial with saved weights (there is none)",
        hint="weights are saved for the best trial and the Pareto front; "
        f"`{command('export', folder.argument, '--trial', trial.id, '-o', f'{trial.id}.yaml')}` exports the "
        "architecture for archsearch train",
        file="--trial" if selection.named else "EXPERIMENT",
    )

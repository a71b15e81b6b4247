"""Which trial of an experiment is exported, and the weights that its search kept of it. No torch."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, number_of
from archsearch.reading.errors import InputError, refuse

MOST_LISTED = 10  # trials that a refusal lists


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A trial of an experiment: `named` by the person, or the best so far.

    `network` is named after the experiment and the trial; `digest` is the SHA-256 of the trial's weights, None where
    the ledger holds none; `confirmed` is the name of the winner that `archsearch confirm` chose last, None where the
    experiment was not confirmed.
    """

    folder: ExperimentFolder
    trial: Trial
    network: Architecture
    digest: str | None
    named: bool
    confirmed: str | None


def select(folder: ExperimentFolder, trial_id: str | None) -> Selection:
    """The trial that 7, t7 or t0007 names; None: the best. Raises InputError where there is no such trial."""
    with Ledger.read(folder.ledger) as ledger:
        name = ledger.meta.get("name", folder.name)
        trial = ledger.best() if trial_id is None else _numbered(ledger, trial_id, name)
        digest = None if trial is None else ledger.weights_digest(trial.number)
        winners = [event.data["winner"] for event in ledger.events_of("confirmed")]
    if trial is None:
        raise refuse(
            f"no trial of {name} has finished",
            allowed="an experiment that has a best network, or --trial ID",
            hint=f"archsearch resume {shlex.quote(folder.argument)} goes on with it",
            file="EXPERIMENT",
        )
    network = Architecture.from_dict(dict(trial.architecture)).model_copy(update={"name": f"{name}-{trial.id}"})
    return Selection(
        folder=folder,
        trial=trial,
        network=network,
        digest=digest,
        named=trial_id is not None,
        confirmed=winners[-1] if winners else None,
    )


def _numbered(ledger: Ledger, trial_id: str, name: str) -> Trial:
    if (number := number_of(trial_id)) is not None:
        with suppress(KeyError):
            return ledger.trial(number)
    last = ledger.total
    allowed = f"1 to {last}, or t0001 to t{last:04d}" if last else f"{name} has no trials yet"
    raise refuse(f"{name} has no trial {trial_id!r:.40}", allowed=allowed, file="--trial")


def kept_weights(selection: Selection) -> bytes:
    """The trial's weights as they lie in the experiment, a safetensors file that can be read whole.

    Raises InputError where none are kept, and where they are damaged or not those that the ledger names."""
    from safetensors import SafetensorError, deserialize

    folder, trial = selection.folder, selection.trial
    path = folder.weights(trial.number)
    if trial.state is not TrialState.FINISHED or not path.is_file():
        raise _no_weights(selection)
    try:
        content = folder.read_weights(path, selection.digest)
        if not deserialize(content):  # type: ignore[no-untyped-call]
            raise SafetensorError("no tensors")
    except OSError as error:
        raise refuse(f"the weights of {trial.id} cannot be read: {error.strerror}", file=str(path)) from error
    except (SafetensorError, InputError) as error:
        hint = f"{_command(selection)} writes the network, to be trained again"
        raise refuse(f"the weights of {trial.id} are damaged: {_cause(error)}", hint=hint, file=str(path)) from error
    return content


def _cause(error: Exception) -> str:
    return error.problems[0].message if isinstance(error, InputError) else str(error)


def _no_weights(selection: Selection) -> InputError:
    """Names the trials that have weights."""
    folder, trial = selection.folder, selection.trial
    with Ledger.read(folder.ledger) as ledger:
        finished = ledger.trials(TrialState.FINISHED)
    ids = [candidate.id for candidate in finished if folder.weights(candidate.number).is_file()]
    unlisted = f" and {len(ids) - MOST_LISTED} more" if len(ids) > MOST_LISTED else ""
    state = f"{trial.state.value}: {trial.reason.splitlines()[0]:.80}" if trial.reason else trial.state.value
    return refuse(
        f"no weights of {trial.id} are kept ({state})",
        allowed=f"{', '.join(ids[:MOST_LISTED])}{unlisted}" if ids else "a trial with weights: there is none",
        hint="weights are kept of the best trial and of the Pareto front; "
        f"{_command(selection)} -o {trial.id}.yaml writes the network, for archsearch train",
        file="--trial" if selection.named else "EXPERIMENT",
    )


def _command(selection: Selection) -> str:
    return f"archsearch export {shlex.quote(selection.folder.argument)} --trial {selection.trial.id}"

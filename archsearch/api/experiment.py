"""An experiment as Python has it: what a search found, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.arguments import names_its_arguments
from archsearch.api.driving import Audience
from archsearch.architecture.spec import Architecture
from archsearch.experiment import Counts, ExperimentFolder, Ledger, Trial, find
from archsearch.experiment.objective import Objective
from archsearch.experiment.summary import summarise
from archsearch.experiment.winner import winner_of
from archsearch.reading.errors import InputError

if TYPE_CHECKING:
    import optuna
    import pandas as pd  # type: ignore[import-untyped]

    from archsearch.api.predicting import Predictions
    from archsearch.api.sending import Sending
    from archsearch.api.spaces import Space
    from archsearch.data.images import ImageSet, OwnMetric
    from archsearch.network.build import Network
    from archsearch.search.deciding.observer import Observer


@dataclass(frozen=True)
class Experiment:
    """A search in its folder: running, interrupted or ended. Every property is read from the folder when it is used,
    also while the search runs."""

    folder: ExperimentFolder

    # ---- what happened

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.summary["experiment"])

    @property
    def path(self) -> Path:
        """The experiment's folder."""
        return self.folder.path

    @property
    def state(self) -> str:
        """`running`, `finished`, `interrupted` or `failed` (`summary["reason"]` says why)."""
        return str(self.summary["state"])

    @property
    def summary(self) -> dict[str, Any]:
        """What `archsearch status --json` prints: state, counts of trials, the best one, rungs, seconds."""
        return summarise(self.folder)

    @property
    def space(self) -> Space:
        """The search space with all settings. Its images need not be available. Raises InputError."""
        from archsearch.api.spaces import load_space
        from archsearch.space.datasets import DataFacts

        with Ledger.read(self.folder.ledger) as ledger:
            if not ledger.total:
                return load_space(self.folder.space_yaml)
            network = Architecture.from_dict(dict(ledger.trial(1).architecture))
        facts = DataFacts(input=network.input, classes=network.classes, task=None)
        return load_space(self.folder.space_yaml, data=facts)

    @property
    def best(self) -> Trial | None:
        """The winner: the trial that `confirm` chose, else the search's best finished one. `value` is that of the
        search's metric on validation, `cost` its parameters, FLOPs and so on, `choices` its values of the parameters.
        None until a trial has finished."""
        with Ledger.read(self.folder.ledger) as ledger:
            winner = winner_of(self.folder, ledger)
        return None if winner is None else winner.scored

    @property
    def architecture(self) -> Architecture:
        """The winner's architecture. Raises InputError until a trial has finished."""
        from archsearch.export.selection import select

        return select(self.folder, None).network

    @property
    def trials(self) -> pd.DataFrame:
        """A pandas DataFrame with a row for each trial, indexed by its id: state, value (of the search's metric on
        validation), epochs, costs, choices, seconds, seed, attempts, digest and reason (why it failed or stopped)."""
        import pandas as pd

        with Ledger.read(self.folder.ledger) as ledger:
            rows = [trial.row() for trial in ledger.trials()]
        frame = pd.DataFrame(rows, columns=None if rows else ["trial", "state", "value", "epochs"])
        return frame.set_index("trial")

    @property
    def study(self) -> optuna.Study:
        """The search as an Optuna study, read-only, which follows a running search: `optuna.visualization`,
        `optuna.importance` and `trials_dataframe()` work on it."""
        from archsearch.study.storage import optuna_study

        return optuna_study(self.folder)

    @names_its_arguments()
    def module(self, trial: str | None = None) -> Network:
        """The trained network of a trial (`7` or `t0007`; None: the winner), an nn.Module in eval mode: normalised
        images (N, C, H, W) -> scores (N, classes). `images()` has their mean and standard deviation.

        Weights are saved for the best trial and the Pareto front. Raises InputError for other trials.
        """
        from archsearch.export.origin import with_weights
        from archsearch.export.selection import kept_weights, select

        selection = select(self.folder, trial)
        return with_weights(selection.network, kept_weights(selection), str(selection.weights))

    def weights(self, trial: str | None = None) -> dict[str, Any]:
        """The trained weights of a trial, tensors by their names in the module. Raises as `module`."""
        return self.module(trial).state_dict()

    @names_its_arguments()
    def images(self, *, root: str | Path | None = None) -> ImageSet:
        """The images that the search trained on, split: `train`, `validation` and `test` with `images` (uint8, NCHW)
        and `labels`; `classes`; `mean` and `std` by channel on a scale of 0 to 1.

        `root` is their folder, if it was moved (None: as in the experiment). Raises InputError if they are not there.
        """
        from archsearch.data.datasets import load_images
        from archsearch.space.loading import load_space
        from archsearch.space.overrides import root_overrides

        return load_images(load_space(self.folder.space_yaml, root_overrides(_path(root))).data, measured=False)

    # ---- what can be done with it

    @names_its_arguments()
    def resume(
        self,
        *,
        trials: int | None = None,
        force: bool = False,
        root: str | Path | None = None,
        allow_samplers: Sequence[str] = (),
        allow_sources: Sequence[str] = (),
        metrics: Mapping[str, OwnMetric] | None = None,
        address: str | None = None,
        runtime_env: bool = False,
        tracking_uri: str | None = None,
        callbacks: Sequence[Observer] = (),
        progress: bool | None = None,
    ) -> Experiment:
        """Continues the search until it ends, like `archsearch resume`; a finished one only with a higher total of
        `trials`.

        `force` continues although space.yaml was changed; `root` is the data's folder, if it was moved. `metrics` that
        were lambdas or functions of a notebook have to be given again; another module's are found, where
        `allow_sources` names them. The other arguments are those of `archsearch.search`, which it raises as.
        """
        from archsearch.api.searching import go_on
        from archsearch.search.proposing.samplers.registry import allow

        allow(allow_samplers)
        self._allow(allow_sources, metrics)
        audience = Audience(callbacks=callbacks, progress=progress)
        search = go_on(
            self.folder,
            trials=trials,
            force=force,
            root=_path(root),
            address=address,
            runtime_env=runtime_env,
            tracking_uri=tracking_uri,
            tell=audience.tell,
        )
        if search is not None:
            search.drive(audience, go_on=f"archsearch.open({self.folder.argument!r}).resume()")
        return self

    @names_its_arguments()
    def confirm(
        self,
        *,
        top: int = 5,
        seeds: int = 3,
        folds: int | None = None,
        baselines: Sequence[str | Path | Architecture] | None = None,
        pretrained: str | Path | Sequence[str | Path] | None = None,
        random: bool = True,
        compiled: bool = False,
        root: str | Path | None = None,
        allow_sources: Sequence[str] = (),
        metrics: Mapping[str, OwnMetric] | None = None,
        tracking_uri: str | None = None,
        progress: bool | None = None,
    ) -> dict[str, Any]:
        """Retrains the `top` trials over so many new `seeds`, beside random search at equal cost (unless `random` is
        False) and `baselines`, such as `timm:NAME` (None: those of the zoo that fit); returns what confirm.json holds.

        Of the `pretrained` networks (a folder of trained ones, or texts such as `timm:resnet18.a1_in1k`) those within
        the budget are fine-tuned over the same seeds; whether the best of them is better is `pretrained` of the result.

        The winner is chosen by the metric on validation before test is evaluated: with `folds`, by its mean over so
        many folds of the training and validation images (1: no cross-validation; None: as `data.validation` of the
        experiment has it), on each of which every network is trained with every seed. `allow_sources` and `metrics` are
        those of `resume`. If it is interrupted, the same call goes on. Raises InputError, DriverRunning, and
        RuntimeError where nothing could be trained.
        """
        from archsearch.api.confirming import confirm

        self._allow(allow_sources, metrics)
        return confirm(
            self.folder, Audience(progress=progress), top=top, seeds=seeds, folds=folds, baselines=baselines,
            pretrained=pretrained, random=random, compiled=compiled, root=_path(root), tracking_uri=tracking_uri,
        )  # fmt: skip

    @names_its_arguments()
    def export(
        self,
        output: str | Path,
        *,
        format: str | None = None,
        trial: str | None = None,
        root: str | Path | None = None,
        int8: bool = False,
        max_loss: float | None = None,
    ) -> dict[str, Any]:
        """Writes the best network, or a `trial`, to a file or folder: `format` is bundle, config, python, safetensors,
        onnx or torch-export (None: bundle if `output` has no suffix, else config). Returns the figures
        that `export` prints with --json.

        Each format is compared with the network before it is written; `root` is the folder of the data for that, if it
        was moved (None: as in the experiment). `int8`: ONNX in 8-bit integers too, in a bundle or in place of the
        format onnx, which may lose `max_loss` points of validation accuracy (None: 1). Raises InputError, and
        RuntimeError for a format that differs, or loses more.
        """
        from archsearch.api.exporting import export

        document, _ = export(
            self.folder, form=format, output=Path(output), trial=trial, root=_path(root), int8=int8, max_loss=max_loss,
            tell=Audience().tell,
        )  # fmt: skip
        return document

    @names_its_arguments()
    def predict(
        self,
        images: str | Path | Sequence[str | Path],
        *,
        device: str = "auto",
        root: str | Path | None = None,
        progress: bool | None = None,
    ) -> Predictions:
        """Predicts images with the best network: `archsearch.predict` of this experiment. The first call needs the
        search's images (in `root`, if they were moved), to calibrate the probabilities. Raises InputError."""
        from archsearch.api.predicting import predict

        return predict(self.folder, images, device=device, root=root, progress=progress)

    @names_its_arguments()
    def report(self, output: str | Path | None = None, *, images: bool = True) -> Path:
        """Writes the results of the search as one HTML file, to `output` (None: report.html in the folder); returns its
        path. With `images` it shows some that the network takes for others. Raises InputError, OSError."""
        from archsearch.api.reporting import write_report

        return write_report(self.folder, _path(output), images=images)[0]

    @names_its_arguments()
    def sync(self, *, tracking_uri: str | None = None) -> Sending:
        """Sends MLflow the events that it has not received, and registers the winner of a finished search, like
        `archsearch sync`; `error` of the result says why something was not sent. Raises InputError."""
        from archsearch.api.sending import send

        return send(self.folder, tracking_uri, Audience().tell)

    def _allow(self, allow_sources: Sequence[str], metrics: Mapping[str, OwnMetric] | None) -> None:
        """Has this process use the classes and functions that are named or given. Raises InputError."""
        from archsearch.data.own_metrics import give
        from archsearch.sources import own as sources

        sources.allow(allow_sources)
        if metrics:
            give(metrics, self.space.data.metrics)

    def __repr__(self) -> str:
        """The name, the state and the best value, in a line."""
        with suppress(InputError):
            summary = self.summary
            best, objective = summary["best"], Objective.of(summary)
            value = "" if best is None else f", best {objective.named(best['value'])}"
            trials = Counts.read(summary["trials"]).progress(summary["trials"]["planned"])
            return f"<Experiment {summary['experiment']}: {summary['state']}, {trials}{value}>"
        return f"<Experiment in {self.path}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the state, the best trial and the next best."""
        from archsearch.api.showing.html import experiment_card

        with Ledger.read(self.folder.ledger) as ledger:
            return experiment_card(self.summary, ledger.trials())


def open(experiment: str | Path) -> Experiment:
    """The experiment of that name below experiments/, or at that path. Raises InputError, which says what there is."""
    return Experiment(find(experiment))


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)

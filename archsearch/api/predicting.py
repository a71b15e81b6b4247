"""New images answered by a trained network: `archsearch.predict`, and the command of that name."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from archsearch.api.arguments import names_its_arguments
from archsearch.api.driving import Audience
from archsearch.data.images import Progress
from archsearch.experiment import ExperimentFolder, find
from archsearch.experiment.suggested import command, command_of
from archsearch.export.opened import Bundle, is_bundle
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from archsearch.export.preprocessed import Preprocessing
    from archsearch.export.scoring import Scorer

TOP = 3


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network answers for image files, in their order.

    `task` is single_label, multi_label or regression. `values` (N, K), float32, are for each of `classes` (classes,
    labels or targets) its probability, or for regression its number in the target's unit; NaN for the files that could
    not be read, which `problems` has with the reason. `temperature` is the one behind the probabilities, None where
    they are not calibrated; `thresholds` are the probabilities from which on each of several labels is given.
    """

    files: tuple[str, ...]
    task: str
    classes: tuple[str, ...]
    values: npt.NDArray[np.float32]
    problems: dict[str, str]
    temperature: float | None
    thresholds: tuple[float, ...] | None = None

    @property
    def labels(self) -> list[Any]:
        """For each file its most probable class; of several labels the tuple of those that are given; of a regression
        the tuple of numbers. None for a file that could not be read."""
        return [self._label(row) for row in self.values]

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """For each file its `count` most probable classes with their probabilities; none for one that could not be
        read."""
        count = min(count, len(self.classes))
        order = np.argsort(-self.values, axis=1, kind="stable")[:, :count]
        return [
            [] if np.isnan(row[0]) else [(self.classes[index], _digits(row[index])) for index in indices]
            for row, indices in zip(self.values, order, strict=True)
        ]

    @property
    def frame(self) -> pd.DataFrame:
        """A pandas DataFrame with a row for each file: the label (none for a regression), a column for each class or
        target, and what is wrong with a file that could not be read."""
        import pandas as pd

        frame = pd.DataFrame(self.values, columns=list(self.classes), index=pd.Index(self.files, name="file"))
        if self.task != "regression":
            frame.insert(0, "label", pd.Series(self.labels, index=frame.index, dtype=object))
        frame["error"] = [self.problems.get(file) for file in self.files]
        return frame

    def to_dict(self, top: int = TOP) -> dict[str, Any]:
        """What `archsearch predict` prints with --json: plain JSON values."""
        return {
            "task": self.task,
            "classes": list(self.classes),
            "temperature": self.temperature,
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "files": len(self.files),
            "failed": len(self.problems),
            "predictions": list(self._rows(top)),
        }

    def to_csv(self, top: int = TOP) -> str:
        """A CSV text with a line for each file: its label and the `top` most probable classes, or its numbers."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self.task == "regression":
            writer.writerow(["file", *self.classes, "error"])
            for file, row in zip(self.files, self.values, strict=True):
                numbers = [""] * len(row) if np.isnan(row[0]) else [f"{number:.6g}" for number in row]
                writer.writerow([file, *numbers, self.problems.get(file, "")])
            return text.getvalue()
        count = min(top, len(self.classes))
        ranks = [name for rank in range(1, count + 1) for name in (f"label_{rank}", f"probability_{rank}")]
        writer.writerow(["file", "labels" if self.task == "multi_label" else "label", *ranks, "error"])
        for file, label, ranked in zip(self.files, self.labels, self.top(count), strict=True):
            cells = [cell for name, probability in ranked for cell in (name, f"{probability:.6g}")]
            shown = ";".join(label) if isinstance(label, tuple) else label or ""
            writer.writerow([file, shown, *(cells or [""] * len(ranks)), self.problems.get(file, "")])
        return text.getvalue()

    def _label(self, row: npt.NDArray[np.float32]) -> Any:
        if np.isnan(row[0]):
            return None
        if self.task == "regression":
            return tuple(map(_digits, row))
        if self.task == "multi_label":
            thresholds = self.thresholds or (0.5,) * len(row)
            return tuple(self.classes[i] for i in np.argsort(-row, kind="stable") if row[i] >= thresholds[i])
        return self.classes[int(row.argmax())]

    def _rows(self, top: int) -> Iterator[dict[str, Any]]:
        for file, label, ranked in zip(self.files, self.labels, self.top(top), strict=True):
            if label is None:
                yield {"file": file, "error": self.problems[file]}
            elif self.task == "regression":
                yield {"file": file, "values": dict(zip(self.classes, label, strict=True))}
            else:
                answer = {"labels": list(label)} if self.task == "multi_label" else {"label": label}
                listed = [{"label": name, "probability": probability} for name, probability in ranked]
                yield {"file": file, **answer, "probability": listed[0]["probability"], "top": listed}

    def __repr__(self) -> str:
        """How many files and classes, in a line."""
        failed = f", {len(self.problems)} could not be read" if self.problems else ""
        return f"<Predictions for {len(self.files)} files, {len(self.classes)} classes{failed}>"


class Searched(Protocol):
    """An archsearch.Experiment."""

    @property
    def folder(self) -> ExperimentFolder:
        """Its folder."""


def _digits(number: np.float32) -> float:
    """A number without the digits that float32 does not have."""
    return float(f"{number:.7g}")


@names_its_arguments(IMAGE="images")
def predict(
    source: str | Path | Searched | ExperimentFolder,
    images: str | Path | Sequence[str | Path],
    *,
    device: str = "auto",
    backend: str = "torch",
    root: str | Path | None = None,
    progress: bool | None = None,
) -> Predictions:
    """Predicts new images with a trained network, like `archsearch predict`.

    `source` is a bundle (a folder that `archsearch export` wrote, of which nothing is executed) or an experiment (its
    name, its folder or an Experiment), whose best network is used; `images` are image files, folders of them and tables
    with a column of them. `device` is auto, cpu or cuda; `backend` torch, or for bundles onnx or int8. `root` is the
    folder of an experiment's own data, if it was moved: its validation split calibrates the probabilities, once.
    `progress` False shows nothing.

    Files that cannot be read are in `problems` of the result. Raises InputError.
    """
    named = [images] if isinstance(images, str | os.PathLike) else images
    return predicted(
        source if isinstance(source, str | Path | ExperimentFolder) else source.folder,
        named,
        device=device,
        backend=backend,
        root=None if root is None else Path(root),
        tell=Audience(progress=progress).tell,
    )


def predicted(
    source: str | Path | ExperimentFolder,
    images: Sequence[str | Path],
    *,
    device: str = "auto",
    backend: str = "torch",
    root: Path | None = None,
    tell: Progress,
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> Predictions:
    """`predict`, which tells of its steps, and after each batch how many of all images are through."""
    from archsearch.data.unlabelled import images_of

    asked = images_of(images)
    scorer, read = opened(source, device=device, backend=backend, root=root, tell=tell)
    if not read.calibrated and read.task != "regression":
        tell("note: these probabilities are not calibrated: the network was exported without its data")
    from archsearch.export.scoring import scored

    result = scored(asked, read, scorer, lambda count: on_progress(count, len(asked)))
    return Predictions(
        files=tuple(asked.name(number) for number in range(len(asked))),
        task=read.task,
        classes=read.labels,
        values=read.answers(result.scores),
        problems={problem.file: problem.message for problem in result.problems.values()},
        temperature=read.temperature if read.calibrated else None,
        thresholds=read.thresholds,
    )


def opened(
    source: str | Path | ExperimentFolder, *, device: str, backend: str, root: Path | None, tell: Progress
) -> tuple[Scorer, Preprocessing]:
    """The network of a bundle or of an experiment, on its device, with its preprocessing. Raises InputError."""
    from archsearch.export import scoring
    from archsearch.export.preprocessed import Preprocessing

    scoring.checked_backend(backend)
    device_ = scoring.checked_device(device)
    bundle = None if isinstance(source, ExperimentFolder) or not is_bundle(Path(source)) else Bundle(Path(source))
    if bundle is not None:
        if root is not None:
            raise refuse("a bundle has no data", hint="omit --root", file="--root")
        read = Preprocessing.read(bundle.preprocessing(), str(bundle.folder / "preprocessing.json"))
        if backend != "torch":
            return scoring.OnnxScorer(bundle.read(scoring.ONNX_FILES[backend]), read, device), read
        weights = bundle.read("weights.safetensors")
        from archsearch.export.origin import with_weights

        network = with_weights(bundle.architecture(weights), weights, str(bundle.folder / "weights.safetensors"))
    else:
        folder = source if isinstance(source, ExperimentFolder) else _experiment(source)
        if backend != "torch":
            raise refuse(
                "an experiment has no ONNX file",
                allowed="torch, or a bundle",
                hint=f"`{command_of(folder, 'export', '-o', 'bundle')}` writes one",
                file=f"--backend {backend}",
            )
        from archsearch.export.kept import winner

        network, document = winner(folder, root, device_, tell)
        read = Preprocessing.read(document, str(folder.preprocessing))
    from archsearch.guests.either import described

    architecture = described(network)
    if architecture.input != read.form.shape or architecture.classes != len(read.labels):
        raise refuse("preprocessing.json is not that of the network: its shape or labels differ", file=str(source))
    return scoring.TorchScorer(network, read, device_), read


def _experiment(source: str | Path) -> ExperimentFolder:
    try:
        return find(source)
    except InputError as error:
        path = Path(source)
        if not path.is_dir():
            raise
        allowed = "a folder that `archsearch export` wrote, or an experiment's"
        hint = (
            f"`{command('export', source, '-o', 'bundle')}` writes a bundle" if (path / "result.json").is_file() else ""
        )
        raise refuse("neither a bundle nor an experiment", allowed=allowed, hint=hint, file=str(path)) from error

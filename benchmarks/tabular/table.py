"""Reads the tables that make.py writes; run as a script, it prints what they look like.

Without names, all tables beside this file:

    python benchmarks/tabular/table.py [NAME or FILE]...
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.analysis.ranking import ranks
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.space.choices import RecordedChoices, Scalar
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace

HERE = Path(__file__).parent
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """What training every network of a space gave: N networks, S seeds, E epochs.

    Accuracies are shares of the split's images; what a diverged run did not reach is nan.
    """

    path: Path
    about: dict[str, Any]  # space (YAML), rungs, networks in the space, images, machine, versions, date
    digests: tuple[str, ...]
    choices: tuple[dict[str, Scalar], ...]
    architectures: tuple[dict[str, Any], ...]  # Architecture.to_dict()
    costs: dict[str, npt.NDArray[np.int64]]  # params, flops, macs, activations: (N,) each
    validation: Floats  # (N, S, E)
    test: Floats  # (N, S), at the end
    train_loss: Floats  # (N, S, E)
    seconds: Floats  # (N, S, E) of one processor, validation included
    wall_seconds: Floats  # (N, S, E), on a machine that others used too

    @classmethod
    def load(cls, path: str | Path) -> Table:
        """The table in a file, or in the file of that name beside this one: `Table.load("digits")`."""
        path = Path(path) if Path(path).suffix else HERE / f"{path}.npz"
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("text").tobytes())
        rows, images = about.pop("rows"), about["images"]
        right, test_right = arrays["right"].astype(float), arrays["test_right"].astype(float)
        return cls(
            path=path,
            about=about,
            digests=tuple(arrays["digests"].tolist()),
            choices=tuple(row["choices"] for row in rows),
            architectures=tuple(row["architecture"] for row in rows),
            costs={name: arrays[name] for name in ("params", "flops", "macs", "activations")},
            validation=np.where(right >= 0, right / images["validation"], np.nan),
            test=np.where(test_right >= 0, test_right / images["test"], np.nan),
            train_loss=arrays["train_loss"].astype(float),
            seconds=arrays["cpu_seconds"].astype(float),
            wall_seconds=arrays["wall_seconds"].astype(float),
        )

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def complete(self) -> bool:
        """Whether it holds every network of its space."""
        return len(self) == int(self.about["networks"])

    @cached_property
    def space(self) -> SearchSpace:
        """The space, as it was when the table was made."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "space.yaml"
            file.write_text(self.about["space"])
            return load_space(file)

    def row_of(self, digest: str) -> int:
        """Raises KeyError for a network that is not in the table."""
        return self._rows[digest]

    def by_choices(self, choices: Mapping[str, Scalar]) -> int:
        """The row of the network that these choices give, whatever the order in which widths were drawn.

        Raises InputError for choices that are none of the space, KeyError for a network that is not in the table.
        """
        return self.row_of(digest(self.space.architecture(RecordedChoices(choices))))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {digest: row for row, digest in enumerate(self.digests)}


def facts(table: Table) -> str:
    """Its spread, its noise, and how far a rung foretells the end; the means are over seeds."""
    final, rungs = table.validation[:, :, -1], [*table.about["rungs"], table.validation.shape[2]]
    means = final.mean(1)
    noise = float(np.nanstd(final[:, 0] - final[:, 1]) / np.sqrt(2))
    best = int(np.nanargmax(means))
    top = means >= np.nanpercentile(means, 75)
    stale = sum(digest(Architecture.from_dict(a)) != d for a, d in zip(table.architectures, table.digests, strict=True))
    levels = ", ".join(f"{q} %: {100 * np.nanpercentile(means, q):.1f}" for q in (0, 5, 25, 50, 75, 90, 95, 99, 100))
    lines = [
        f"{table.path.name}: {len(table)} of {table.about['networks']} networks; {table.about['images']}",
        f"  {table.about['machine']}; {table.about['versions']}; {table.about['date']}",
        f"  processor seconds a run: median {np.median(table.seconds.sum(2)):.2f}, "
        f"in all {table.seconds.sum() / 3600:.2f} h; diverged runs: {int(np.isnan(final).sum())}; "
        f"digests that no longer hold: {stale}",
        f"  final validation accuracy, mean of seeds, percentiles: {levels}",
        f"  standard deviation over networks {100 * np.nanstd(means):.2f}, over seeds {100 * noise:.2f} (points); "
        f"in the best quarter {100 * np.std(means[top]):.2f} and "
        f"{100 * np.std(final[top, 0] - final[top, 1]) / np.sqrt(2):.2f}",
        f"  rank correlation of seeds at the end {spearman(final[:, 0], final[:, 1]):.3f} "
        f"(in the best quarter {spearman(final[top, 0], final[top, 1]):.3f}), "
        f"of validation and test {spearman(means, table.test.mean(1)):.3f}, "
        f"of FLOPs and accuracy {spearman(table.costs['flops'], means):.3f}",
        f"  best: {100 * means[best]:.2f} (test {100 * table.test[best].mean():.2f}) {table.choices[best]}",
    ]
    for sooner, later in [(a, b) for i, a in enumerate(rungs) for b in rungs[i + 1 :]]:
        pairs = [spearman(table.validation[:, s, sooner - 1], table.validation[:, s, later - 1]) for s in (0, 1)]
        crossed = [spearman(table.validation[:, s, sooner - 1], table.validation[:, 1 - s, later - 1]) for s in (0, 1)]
        lines.append(
            f"  rank correlation of epochs {sooner} and {later}: {np.mean(pairs):.3f} within a seed, "
            f"{np.mean(crossed):.3f} across seeds"
        )
    for word in ("link", "block", "activation", "shortcut"):
        kinds = sorted({str(row[word]) for row in table.choices if word in row})
        shown = {k: 100 * np.nanmean(means[[str(row.get(word)) == k for row in table.choices]]) for k in kinds}
        lines.append(f"  mean by {word}: " + ", ".join(f"{k} {value:.1f}" for k, value in shown.items()))
    return "\n".join(lines)


def spearman(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """The rank correlation, ties sharing their mean rank; pairs with a nan are left out."""
    known = ~(np.isnan(a) | np.isnan(b))
    return float(np.corrcoef(ranks(a[known]), ranks(b[known]))[0, 1])


def main() -> int:
    for path in sys.argv[1:] or sorted(map(str, HERE.glob("*.npz"))):
        print(facts(Table.load(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

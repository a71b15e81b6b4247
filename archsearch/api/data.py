"""What Python may give for data: the settings that it stands for, and the arrays that are to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.spaces import flat, plain
from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.sources.kinds import settings_of
from archsearch.sources.tables import SUFFIXES
from archsearch.space.datasets import DataFacts
from archsearch.space.settings import DataSettings

if TYPE_CHECKING:
    from archsearch.data.arrays import Arrays

NAMED = ("digits", "cifar10", "cifar100", "fashion_mnist", "mnist", "svhn")


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Overrides of the data's settings, by dotted keys; `arrays` are to be written before anything reads them."""

    overrides: Mapping[str, Any]
    arrays: Arrays | None = None

    @property
    def facts(self) -> DataFacts | None:
        """What is known of the arrays, which are on no disk yet; None where the data is not arrays."""
        if self.arrays is None:
            return None
        channels, height, width = self.arrays.splits["train"].images.shape[1:]
        return DataFacts(
            input=(channels, height, width),
            classes=len(self.arrays.classes),
            images=self.arrays.training_images,
            task=self.arrays.task,
        )

    def options(self, overrides: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
        """These overrides and those of a call, by dotted keys, each with its name for errors, as
        `read_train_settings` takes them. Raises InputError for a key that is none."""
        return {
            **{key: (f"data, {key}", plain(value)) for key, value in self.overrides.items()},
            **{key: (f"{key}={value!r:.60}", plain(value)) for key, value in flat(overrides)},
        }

    def kept_in(self, folder: Path, data: DataSettings) -> DataSettings:
        """The settings with `folder` as the root, to which the arrays are written; without arrays they themselves."""
        if self.arrays is None:
            return data
        self.arrays.write(folder)
        return data.model_copy(update={"root": str(folder.absolute())})


def data_source(data: Any) -> DataSource:
    """`data` as `archsearch.search` takes it: None (as the space says), a data set's name, a folder of images, settings
    (a mapping with `name`), or what `archsearch.data.arrays.collect` takes. Raises InputError."""
    match data:
        case None:
            return DataSource(overrides={})
        case str() if data in NAMED:
            return DataSource(overrides={"data.name": data})
        case str() | Path():
            settings = settings_of(Path(data).expanduser())
            if settings is None:
                hint = did_you_mean(data, NAMED)
                raise refuse(
                    f"data is {str(data)!r:.80}",
                    allowed=f"{', '.join(NAMED)}, a folder of images, or a table of them ({', '.join(SUFFIXES)})",
                    hint=hint,
                    file="data",
                )
            return DataSource(overrides={f"data.{key}": value for key, value in settings.items()})
        case Mapping() if "name" in data:
            return DataSource(overrides={f"data.{key}": value for key, value in data.items()})
    from archsearch.data.arrays import collect

    return DataSource(overrides={"data.name": "arrays"}, arrays=collect(data))

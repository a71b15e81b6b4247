"""What Python may give for data: the settings that it stands for, and the arrays that are to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from archsearch.reading.errors import refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.space.datasets import DataFacts
from archsearch.space.settings import DataSettings

if TYPE_CHECKING:
    from archsearch.data.arrays import Arrays

NAMES = get_args(DataSettings.model_fields["name"].annotation)


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
            input=(channels, height, width), classes=len(self.arrays.classes), images=self.arrays.training_images
        )

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
        case str() if data in NAMES:
            return DataSource(overrides={"data.name": data})
        case str() | Path():
            if not Path(data).expanduser().is_dir():
                names = ", ".join(name for name in NAMES if name not in ("folder", "arrays"))
                hint = did_you_mean(data, NAMES)
                raise refuse(
                    f"data is {str(data)!r:.80}", allowed=f"{names}, or a folder of images", hint=hint, file="data"
                )
            return DataSource(overrides={"data.name": "folder", "data.root": str(data)})
        case Mapping() if "name" in data:
            return DataSource(overrides={f"data.{key}": value for key, value in data.items()})
    from archsearch.data.arrays import collect

    return DataSource(overrides={"data.name": "arrays"}, arrays=collect(data))

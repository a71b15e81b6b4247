"""Whether images are those that an experiment was searched on: its ledger keeps the digest of each session's."""

from __future__ import annotations

from typing import Any, get_args

from archsearch.data.images import ImageSet, SplitName
from archsearch.data.streaming import StreamedImages
from archsearch.experiment import Ledger
from archsearch.reading.errors import refuse


def images_record(images: ImageSet) -> dict[str, Any]:
    """What the ledger keeps of a session's images: their digest, which is of another kind for those that are read from
    disk, those at the smaller of several sizes, and the number of images in each split."""
    counts = {name: len(images.split(name)) for name in get_args(SplitName)}
    streamed = {"streamed": True} if isinstance(images, StreamedImages) else {}
    smaller = {"smaller": [other.digest for other in images.others]} if images.others else {}
    return {"data": images.digest, "images": counts, **smaller, **streamed}


def refuse_other_images(ledger: Ledger, images: ImageSet, *, hint: str, file: str, force: bool = False) -> str:
    """Compares classes, images, labels and splits with those of the ledger's last session, by their digest at a size
    that both have.

    Returns a message for a person where they cannot be compared, or where they differ and `force` is given; otherwise
    an empty text. Raises InputError, with the hint and the file, where they differ.
    """
    sessions = [event.data for event in ledger.events_of("began") if event.data.get("data")]
    if not sessions:
        return "the ledger has no digest of its images, so whether these are the same data is not checked"
    recorded, record = sessions[-1], images_record(images)
    if {recorded["data"], *recorded.get("smaller", ())} & {record["data"], *record.get("smaller", ())}:
        return ""
    if bool(recorded.get("streamed")) != ("streamed" in record):
        return "images in memory and on disk cannot be compared, so whether these are the same data is not checked"
    counts = f"{len(images.train)} train, {len(images.validation)} validation, {len(images.test)} test"
    message = f"other images, labels or splits than before: digest {recorded['data']} -> {record['data']} ({counts})"
    if force:
        return message
    raise refuse(
        message,
        allowed="the data of the experiment: accuracies on other images cannot be compared",
        hint=hint,
        file=file,
    )

"""DataSettings -> ImageSet: each data set's reader is a file of its own."""

from __future__ import annotations

from archsearch.data.images import ImageSet, Progress
from archsearch.reading.errors import refuse
from archsearch.space.data_settings import Normalization
from archsearch.space.settings import DataSettings


def load_images(settings: DataSettings, *, progress: Progress | None = None, measured: bool = True) -> ImageSet:
    """The images that the settings name, split. `progress` is called with a message before anything that takes long.
    With `measured` false a person's own metrics are left aside: nothing is trained on these images.

    Raises InputError, within seconds, for data that is absent, damaged or too large, with the ways out, and for metrics
    that are not allowed or do not work.
    """
    from archsearch.data.own_metrics import imported, try_out

    metrics = imported(settings.metrics) if measured else {}
    images = _read(settings, progress or (lambda _: None))
    images = _normalised(images, settings)
    images = images.with_metrics(metrics)
    try_out(images)
    return images


def _normalised(images: ImageSet, settings: DataSettings) -> ImageSet:
    """The images as `data.normalise` wants them. Raises InputError for numbers of other channels than theirs."""
    match settings.normalise:
        case "standard":
            return images
        case "mean":
            return images.centred()
        case Normalization(mean=mean, std=std):
            if len(mean) != images.shape[0]:
                problem = f"data.normalise has {len(mean)} channels, the images have {images.shape[0]}"
                raise refuse(problem, allowed="one mean and one deviation a channel", file=settings.location)
            return images.normalised(mean, std)


def _read(settings: DataSettings, tell: Progress) -> ImageSet:
    from archsearch.data import arrays, cifar, digits, folder, mnist, sourced, svhn

    match settings.name:
        case "digits":
            return digits.load(settings)
        case "cifar10":
            return cifar.load(cifar.CIFAR_10, settings, tell)
        case "cifar100":
            return cifar.load(cifar.CIFAR_100, settings, tell)
        case "fashion_mnist":
            return mnist.load(mnist.FASHION, settings, tell)
        case "mnist":
            return mnist.load(mnist.MNIST, settings, tell)
        case "svhn":
            return svhn.load(settings, tell)
        case "folder":
            return folder.load(settings, tell)
        case "arrays":
            return arrays.load(settings)
        case _:
            return sourced.load(settings, tell)

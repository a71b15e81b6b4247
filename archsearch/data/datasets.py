"""DataSettings -> ImageSet: each data set's reader is a file of its own."""

from __future__ import annotations

from archsearch.data.images import ImageSet, Progress
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
    images = images.centred() if settings.normalise == "mean" else images
    images = images.with_metrics(metrics)
    try_out(images)
    return images


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

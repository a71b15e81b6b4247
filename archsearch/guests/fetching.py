"""Published weights of torchvision and timm as parents, fetched by these libraries' own loaders into their caches."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor

from archsearch.data.download import reachable, timed
from archsearch.data.images import Moments, Progress
from archsearch.guests.either import Described, named
from archsearch.guests.guest import Guest
from archsearch.guests.libraries import library_of
from archsearch.guests.parents import Parent
from archsearch.network.published import converted, layout_for
from archsearch.reading.errors import InputError, refuse
from archsearch.reading.nearest import did_you_mean
from archsearch.zoo import get
from archsearch.zoo.libraries import LIBRARIES

State = Mapping[str, Tensor]
HALVES: Moments = ((0.5,) * 3, (0.5,) * 3)
# With published weights torchvision's modules of these renormalise images to HALVES; a guest's module does not.
RENORMALISED = ("googlenet", "inception_v3")


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights that a library publishes, before they are fetched: of its network `model`, by its own name of them
    (`tag`), from `url`, for images (`input`) normalised so. `cache` says where its library looks for them first, and
    `is_cached` whether they are there; `load` is the library's loader."""

    library: str
    model: str
    tag: str
    url: str
    is_cached: bool
    cache: str
    input: tuple[int, int, int]
    classes: int
    normalization: Moments
    licence: str | None
    load: Callable[[], State]


def published(source: str) -> Published:
    """What the library states of the weights that a text names: `torchvision:ResNet18_Weights.IMAGENET1K_V1`, or
    `timm:resnet18.a1_in1k`; a network's name stands for its default weights. Nothing is fetched. Raises InputError for
    a library that is not installed, and for weights that it does not have."""
    library, _, name = source.partition(":")
    return _of_torchvision(source, name) if library == "torchvision" else _of_timm(source, name)


def parent_of_library(source: str, *, as_guest: bool = False, tell: Progress) -> Parent:
    """The weights that `published` tells, fetched where the library's cache has none: a network of the grammar where
    that has its name, otherwise (or with `as_guest`) a guest. Raises InputError, with the ways out, where they cannot
    be fetched; then the cache has nothing that it had not."""
    weights = published(source)
    state = _fetched(weights, source, tell)
    network: Described
    if weights.model in LIBRARIES[weights.library] and not as_guest:
        network = get(weights.model).model_copy(update={"input": weights.input, "classes": weights.classes})
        layout = layout_for(network, weights.library, state)
        assert layout is not None, "the library has the network"
        state = converted(state, network, layout)
    else:
        network = Guest(guest=f"{weights.library}:{weights.model}", input=weights.input, classes=weights.classes)
        network, state, _ = named(state, network)
    return Parent(
        source=source, network=network, weights=state, sha256=digest_of(state), names=weights.library,
        origin=f"{weights.tag} of {weights.library} {version(weights.library)}, {weights.url}",
        normalization=weights.normalization, licence=weights.licence,
    )  # fmt: skip


def digest_of(state: State) -> str:
    """The SHA-256 of tensors, by their names, types, shapes and values."""
    sha = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _of_torchvision(source: str, name: str) -> Published:
    from torchvision import models

    library_of("torchvision:resnet18")
    known = {model: models.get_model_weights(model) for model in models.list_models(module=models)}
    if name in known:
        model, entry = name, known[name].DEFAULT
    else:
        kind, _, tag = name.partition(".")
        model = next((model for model, enum in known.items() if enum.__name__ == kind), "")
        if not model or tag not in known[model].__members__:
            names = [f"{enum.__name__}.{each}" for enum in known.values() for each in enum.__members__]
            allowed = "WEIGHTS as in torchvision.models, such as ResNet18_Weights.IMAGENET1K_V1"
            raise refuse(
                f"torchvision has no weights {name!r:.80}", allowed=allowed, hint=did_you_mean(name, names, most=3),
                file=source,
            )  # fmt: skip
        entry = known[model][tag]
    if not entry.meta["categories"]:
        raise refuse(f"{entry} has no classifier", allowed="weights of a classifier", file=source)
    transforms, side = entry.transforms(), entry.transforms().crop_size[0]
    mean, std = tuple(map(float, transforms.mean)), tuple(map(float, transforms.std))
    file = cached_by_torch(entry.url)
    return Published(
        library="torchvision", model=model, tag=str(entry), url=entry.url, is_cached=file.is_file(),
        cache=f"{file} (TORCH_HOME sets another folder)", input=(3, side, side), classes=len(entry.meta["categories"]),
        normalization=HALVES if model in RENORMALISED else (mean, std), licence=entry.meta.get("license"),
        load=lambda: entry.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True),
    )  # fmt: skip


def _of_timm(source: str, name: str) -> Published:
    model, _, tag = name.partition(".")
    library_of(f"timm:{model}")
    import timm
    from timm.models import get_pretrained_cfg

    tags = [each.partition(".")[2] for each in timm.list_models(f"{model}.*", pretrained=True)]
    config = get_pretrained_cfg(name) if tag in tags or not tag else get_pretrained_cfg(model)
    if config is None or not (config.url or config.hf_hub_id) or (tag and tag not in tags):
        allowed = ", ".join(f"timm:{model}.{each}" for each in tags) or "a network with published weights"
        raise refuse(f"timm has no weights {name!r:.80}", allowed=allowed, file=source)
    if not config.num_classes:
        raise refuse(f"{name} has no classifier", allowed="weights of a classifier", file=source)
    overlay: dict[str, str] = {}  # where the hub's cache has the weights, the hub is not asked
    if config.hf_hub_id:
        from huggingface_hub import constants, try_to_load_from_cache

        files = (config.hf_hub_filename,) if config.hf_hub_filename else ("model.safetensors", "pytorch_model.bin")
        cached = [try_to_load_from_cache(config.hf_hub_id, file) for file in files]
        overlay = next(({"file": file} for file in cached if isinstance(file, str)), {})
        location, is_cached = f"{constants.ENDPOINT}/{config.hf_hub_id}/resolve/main/{files[0]}", bool(overlay)
        folder = f"models--{config.hf_hub_id.replace('/', '--')}"
        cache = f"{Path(constants.HF_HUB_CACHE, folder)} (HF_HOME sets another folder)"
    else:
        location, file = config.url, cached_by_torch(config.url)
        cache, is_cached = f"{file} (TORCH_HOME sets another folder)", file.is_file()
    return Published(
        library="timm", model=model, tag=f"{model}.{config.tag}" if config.tag else model, url=location,
        is_cached=is_cached, cache=cache, input=tuple(config.input_size), classes=config.num_classes,
        normalization=(tuple(map(float, config.mean)), tuple(map(float, config.std))), licence=config.license,
        load=lambda: timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay).state_dict(),
    )  # fmt: skip


def cached_by_torch(url: str) -> Path:
    """Where torch.hub keeps what it fetched from a URL."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(url).path).name)


def _fetched(weights: Published, source: str, tell: Progress) -> State:
    """What the library's loader gives. Raises InputError."""

    def failed(problem: str) -> InputError:
        return refuse(
            problem,
            allowed="the weights in the library's cache, or a file of them",
            hint=f"on a machine with a network, fetch {weights.url} and give that file in place of the name, or copy "
            f"its cache to {weights.cache}",
            file=source,
        )

    if not weights.is_cached:
        if not reachable(weights.url):
            raise failed(f"the weights are not here, and {urlsplit(weights.url).netloc} cannot be reached")
        tell(f"fetching {weights.tag} from {weights.url}")
    try:
        with timed(), contextlib.redirect_stdout(sys.stderr):  # torch.hub prints
            return weights.load()
    except Exception as error:  # what two libraries, and those that they fetch with, raise
        first = next(iter(str(error).strip().splitlines()), "")
        problem = "cannot be read from the cache" if weights.is_cached else "cannot be fetched"
        raise failed(f"the weights {problem}: {type(error).__name__}: {first:.200}") from error

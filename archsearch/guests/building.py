"""Guest -> nn.Module, the smallest image that it takes, and a library's weights as its start."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from archsearch.guests.guest import Guest
from archsearch.guests.libraries import library_of
from archsearch.network.pretrained import Start, classifier_of
from archsearch.network.published import check, modern
from archsearch.reading.errors import InputError, refuse

Module = nn.Module  # for rooms that do not name torch
LARGEST_SIDE = 1024  # pixels, up to which a network's smallest image is looked for
# What modules of others raise for an image that they cannot take.
REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, IndexError, ZeroDivisionError)
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # heads of published weights that a guest does without


def build_guest(guest: Guest, *, seed: int = 0, device: str | torch.device = "cpu") -> nn.Module:
    """The library's module with the library's initial values, drawn from `seed`; torch's global generator is left as it
    was.

    Raises InputError for a network that there is not, and where it cannot take the guest's image."""
    library = library_of(guest.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            module = library.module(guest)
            _emits_scores(module, guest)
        except REFUSALS as error:
            raise _too_small(guest, error) from error
    vars(module)["architecture"] = guest  # as a Network has it
    return module.to(device)


def _emits_scores(module: nn.Module, guest: Guest) -> None:
    """Raises ValueError where the module does not emit a score for each class, and what it raises for its image."""
    training = module.training
    with torch.inference_mode():
        scores = module.eval()(torch.zeros(1, *guest.input))
    module.train(training)
    if not isinstance(scores, Tensor) or scores.shape != (1, guest.classes):
        raise ValueError(f"it emits no score for each of {guest.classes} classes")


def _too_small(guest: Guest, error: Exception) -> Exception:
    """What to say of a guest that cannot take its image: how large it must be, where a larger one would do."""
    channels, height, width = guest.input
    side = smallest_side(guest)
    if side is None or min(height, width) >= side:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return refuse(f"it cannot take images of {channels}x{height}x{width}: {first:.200}", file=guest.name)
    return refuse(
        f"it takes images of {side}x{side} and more, not of {height}x{width}",
        hint=f"image files get that size by data.size: {side} in a search space, or --set data.size={side}",
        file=guest.name,
    )


def smallest_side(guest: Guest) -> int | None:
    """The smallest square image that the network takes, in pixels a side; None where it takes none of up to
    LARGEST_SIDE."""
    if not _takes(guest, LARGEST_SIDE):
        return None
    low, high = 0, LARGEST_SIDE
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _takes(guest, middle) else (middle, high)
    return high


def _takes(guest: Guest, side: int) -> bool:
    """Whether the network takes a square image of this side; nothing is computed."""
    square = guest.model_copy(update={"input": (guest.input[0], side, side)})
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.inference_mode():
            library_of(guest.name).module(square).eval()(torch.zeros(1, *square.input))
    except REFUSALS:
        return False
    return True


def parameters_of(guest: Guest) -> int:
    """How many parameters the network has; they take no memory, but where its library computes with tensors while it
    makes it. Raises InputError as `build_guest`."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = library_of(guest.name).module(guest)
    except REFUSALS as error:
        if isinstance(error, InputError):
            raise
        module = build_guest(guest)
    return sum(parameter.numel() for parameter in module.parameters())


def load_guest(module: nn.Module, guest: Guest, state: Mapping[str, Tensor]) -> Start:
    """Loads the library's weights of this network, without auxiliary heads; the classifier stays as it was built where
    the numbers of classes differ. Raises InputError for weights of another network."""
    path, classifier = classifier_of(module)
    expected = module.state_dict()
    weights = clean(state)
    anew = {f"{path}.{key}": value for key, value in classifier.state_dict().items()}
    replaced = any(key in weights and weights[key].shape[:1] != value.shape[:1] for key, value in anew.items())
    if replaced:
        weights |= anew
    # Files from before torch 0.4.1 count no batches.
    weights |= {k: count for k, count in expected.items() if k.endswith("num_batches_tracked") and k not in weights}
    check(weights, expected, what=guest.name, leftover=weights.keys() - expected.keys())
    module.load_state_dict(weights)
    kept = tuple(anew) if replaced else ()
    return Start(source=guest.library, loaded=len(weights) - len(kept), replaced=kept)


def clean(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A library's weights without auxiliary heads, by the names that its modules have today."""
    return {modern(name): value for name, value in state.items() if not name.startswith(AUXILIARY)}


def named(state: Mapping[str, Tensor], guest: Guest) -> tuple[Guest, dict[str, Tensor], str]:
    """The guest with the channels and classes that these weights of it have, all its tensors by its library's names,
    and the library. Raises InputError for weights of another network."""
    weights, module = clean(state), build_guest(guest)
    head = weights.get(f"{classifier_of(module)[0]}.weight")
    first = next((path, m) for path, m in module.named_modules() if isinstance(m, nn.Conv2d))
    filters, (channels, *sides) = weights.get(f"{first[0]}.weight"), guest.input
    if filters is not None and filters.ndim == 4:
        channels = filters.shape[1] * first[1].groups
    classes = guest.classes if head is None or not head.ndim else head.shape[0]
    in_file = guest.model_copy(update={"input": (channels, *sides), "classes": classes})
    network = build_guest(in_file)
    load_guest(network, in_file, weights)
    return in_file, network.state_dict(), guest.library

"""Parents: published weights fetched from a server on this machine by the libraries' own loaders, files and folders."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import json
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from archsearch.api.parents import parent_of, trained_on
from archsearch.api.trained_networks import of_network
from archsearch.architecture.spec import Architecture
from archsearch.cli import main
from archsearch.data.datasets import load_images
from archsearch.experiment import Ledger
from archsearch.guests.either import build
from archsearch.guests.guest import Guest
from archsearch.guests.parents import Parent, suited
from archsearch.network.pretrained import recoloured
from archsearch.reading.errors import InputError
from archsearch.shrinking.beginning import Parents
from archsearch.shrinking.kept import KeptParent
from archsearch.space.data_settings import Normalization
from archsearch.space.overrides import read_train_settings
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.checkpoint import weights_from_bytes
from archsearch.training.feeds.feed import feed_of
from archsearch.training.fit import train_architecture
from archsearch.training.run import TrainingRun
from archsearch.zoo import get
from tests.network.published import published
from tests.search.local import drive_locally, tiny

RESNET = "torchvision:ResNet18_Weights.IMAGENET1K_V1"
MOBILE = "torchvision:MobileNet_V3_Small_Weights.IMAGENET1K_V1"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALL = Architecture.from_dict({"name": "small", "input": [1, 8, 8], "stages": [{"depth": 1, "width": 8}]})


class Server:
    """A web server of a folder's files on this machine, which counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, _format: str, *values: object) -> None:
                asked.append(self.path)

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A server, and a cache of torch.hub's that is empty; `publish` puts random weights of a network there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    yield server
    server.close()


def saved(folder: Path, module: nn.Module, name: str) -> str:
    """The module's weights as a file with the start of its SHA-256 in its name, as torch.hub verifies it."""
    file = folder / "file.pth"
    torch.save(module.state_dict(), file)
    named = f"{name}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    file.rename(folder / named)
    return named


def of_torchvision(hub: Server, tmp_path: Path, monkeypatch, text: str, name: str) -> nn.Module:
    """A network of torchvision with random weights; the text's weights are now at the server."""
    from torchvision import models

    module = published(name, "torchvision").eval()
    entry = models.get_weight(text.partition(":")[2])
    value = dataclasses.replace(entry.value, url=f"{hub.url}/{saved(tmp_path / 'server', module, name)}")
    monkeypatch.setattr(entry, "_value_", value)
    return module


def test_torchvisions_weights_are_fetched_once_and_give_its_outputs(hub, tmp_path, monkeypatch) -> None:
    theirs = of_torchvision(hub, tmp_path, monkeypatch, RESNET, "resnet18")
    messages: list[str] = []
    parent = parent_of(RESNET, tell=messages.append)
    assert parent.network == get("resnet18") and parent.normalization == IMAGENET and parent.licence is None
    assert hub.url in parent.origin and "ResNet18_Weights.IMAGENET1K_V1 of torchvision 0." in parent.origin
    network, weights, replaced, note = suited(parent, (3, 40, 40), 1000)
    module = build(network)
    module.load_state_dict(weights)
    images = torch.randn(2, 3, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(module.eval()(images), theirs(images), rtol=1e-4, atol=1e-4)
    assert (replaced, note) == ((), "") and len(messages) == len(hub.asked) == 1
    hub.close()
    again = parent_of(RESNET, get("resnet18"), tell=messages.append)  # from the cache, without the server
    assert again.sha256 == parent.sha256 and len(messages) == 1


def test_without_the_server_the_ways_out_are_named_and_nothing_is_left(hub, tmp_path, monkeypatch, capsys) -> None:
    of_torchvision(hub, tmp_path, monkeypatch, RESNET, "resnet18")
    file = next((tmp_path / "server").iterdir())
    file.write_bytes(file.read_bytes()[:-1000])  # a download that ended early
    with pytest.raises(InputError, match=r"cannot be fetched: RuntimeError: invalid hash value") as refused:
        parent_of(RESNET, tell=lambda _: None)
    hint = refused.value.problems[0].hint
    assert str(tmp_path / "cache") in hint and "TORCH_HOME" in hint and f"{hub.url}/{file.name}" in hint
    file.unlink()
    with pytest.raises(InputError, match="HTTP Error 404"):
        parent_of(RESNET, tell=lambda _: None)
    hub.close()
    code = main(["train", "resnet18", "--data", "digits", "--weights", RESNET, "--output", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == 2 and "127.0.0.1" in printed.err and "cannot be reached" in printed.err
    assert "Traceback" not in printed.err + printed.out
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] and not (tmp_path / "out").exists()


def test_timms_weights_are_fetched_with_its_own_settings(hub, tmp_path, monkeypatch) -> None:
    from timm.models import _registry

    name = "resnet10t.c3_in1k"
    module = published("resnet10t", "timm").eval()
    config = dataclasses.replace(
        _registry._model_pretrained_cfgs[name], hf_hub_id=None,
        url=f"{hub.url}/{saved(tmp_path / 'server', module, 'resnet10t')}",
    )  # fmt: skip
    monkeypatch.setitem(_registry._model_pretrained_cfgs, name, config)
    parent = parent_of(f"timm:{name}", tell=lambda _: None)
    assert parent.network == get("resnet10t").model_copy(update={"input": tuple(config.input_size)})
    assert (parent.normalization, parent.licence) == ((config.mean, config.std), "apache-2.0")
    images = torch.randn(2, 3, 64, 64)
    ours = build(parent.network)
    ours.load_state_dict(parent.weights)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(images), module(images), rtol=1e-4, atol=1e-4)
    grey = suited(parent, (1, 32, 32), 10)
    assert grey.replaced == ("head.linear1.weight", "head.linear1.bias") and "summed" in grey.note
    module = build(grey.network)
    module.load_state_dict(grey.weights)


def test_a_network_without_words_is_a_guest(hub, tmp_path, monkeypatch) -> None:
    theirs = of_torchvision(hub, tmp_path, monkeypatch, MOBILE, "mobilenet_v3_small")
    parent = parent_of("torchvision:mobilenet_v3_small", tell=lambda _: None)  # its default weights
    assert parent.network == Guest(guest="torchvision:mobilenet_v3_small", input=(3, 224, 224), classes=1000)
    network, weights, replaced, note = suited(parent, (1, 32, 32), 7)
    assert replaced == ("classifier.3.weight", "classifier.3.bias") and "summed over their 3 channels" in note
    module = build(network).eval()
    module.load_state_dict(weights)
    module.classifier[3] = theirs.classifier[3]
    grey = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():  # a grey image gives what it gives in all three channels
        torch.testing.assert_close(module(grey), theirs(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("torchvision:VGG16_Weights.IMAGENET1K_FEATURES", "has no classifier"),
        ("timm:vit_small_patch16_224.dino", "has no classifier"),
        ("torchvision:ResNet18_Weights.V9", "torchvision has no weights 'ResNet18_Weights.V9'"),
        ("timm:resnet18.nope", "allowed: timm:resnet18.a1_in1k"),
        ("timm:nope", "timm has no network 'nope'"),
    ],
)
def test_weights_that_a_library_does_not_have(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parent_of(text, tell=lambda _: None)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_filters_for_other_channels_are_those_that_timm_gives(channels: int) -> None:
    from timm.models import adapt_input_conv

    filters = torch.randn(5, 3, 3, 3)
    changed = recoloured(filters, channels)
    assert changed.shape == (5, channels, 3, 3)
    if channels < 3:
        torch.testing.assert_close(changed.sum(1), filters.sum(1))
    if channels != 2:
        torch.testing.assert_close(changed, adapt_input_conv(channels, filters))


def test_files_and_folders_are_parents_with_their_normalization(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = TrainingRun(settings=TrainingSettings(epochs=1, device="cpu", precision="float32"), seed=0)
    digits = load_images(DataSettings(limit=200))
    result = train_architecture(SMALL, digits, run, tmp_path / "out", test=False)
    data, weights = result["data"], weights_from_bytes((tmp_path / "out" / "weights.safetensors").read_bytes())
    for text in ("out", "out/weights.safetensors", "out/model.yaml=out/weights.safetensors"):
        parent = parent_of(text, tell=lambda _: None)
        assert (parent.source, parent.network) == (text, SMALL)
        assert parent.sha256 == result["weights"]["sha256"]
        assert parent.normalization == (tuple(data["mean"]), tuple(data["std"]))
        assert parent.weights.keys() == weights.keys()
    with pytest.raises(InputError, match="these are not the weights of resnet18, but of small"):
        parent_of("out", get("resnet18"), tell=lambda _: None)
    torch.save(weights, "alone.pth")
    with pytest.raises(InputError, match="weights without the network that they are of"):
        parent_of("alone.pth", tell=lambda _: None)
    with pytest.raises(InputError, match="no experiment 'nothing'; allowed: a file of weights"):
        parent_of("nothing", tell=lambda _: None)


def test_a_training_normalises_as_its_weights_expect_unless_told_otherwise(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL.to_yaml())
    numbers = {"mean": [0.5], "std": [0.25]}

    def trained(name: str, *options: str) -> dict:
        command = ["train", "small.yaml", "--data", "digits", "--epochs", "1", "--set", "data.limit=200", "--json"]
        assert main([*command, "--output", name, *options]) == 0
        return json.loads(capsys.readouterr().out)

    first = trained("first", "--set", f"data.normalise={numbers}")
    second = trained("second", "--weights", "first", "--freeze", "trunk")
    for result in (first, second):
        assert {name: result["data"][name] for name in numbers} == numbers
        assert result["data"]["settings"]["normalise"] == numbers
    assert second["start"]["file"] == "first" and second["start"]["source"] == "archsearch"
    settings = read_train_settings({"data.name": ("--data", "digits")}, ["data.limit=200"])
    looked_at = of_network("small.yaml", settings, "second", "validation", lambda _: None)  # by analyze and shrink
    assert (looked_at.images.mean, looked_at.images.std) == ((0.5,), (0.25,))
    third = trained("third", "--weights", "second", "--freeze", "trunk", "--set", "data.normalise=standard")
    assert third["data"]["mean"] == pytest.approx(load_images(DataSettings(limit=200)).mean)
    assert "which began with first/weights.safetensors" in parent_of("second", tell=lambda _: None).origin
    with pytest.raises(InputError, match=r"data\.normalise has 3 channels, the images have 1"):
        load_images(DataSettings(normalise=Normalization(mean=IMAGENET[0], std=IMAGENET[1])))


def test_a_parents_normalization_for_other_channels() -> None:
    parent = Parent(
        source="x", network=SMALL, weights={}, sha256="", names="archsearch", origin="x", normalization=IMAGENET
    )
    assert parent.normalization_for(3) == IMAGENET
    assert parent.normalization_for(1) == ((pytest.approx(0.449),), (pytest.approx(0.226),))
    assert parent.normalization_for(4) == ((*IMAGENET[0], 0.485), (*IMAGENET[1], 0.229))


def test_a_training_records_the_source_and_the_licence_of_its_weights(tmp_path) -> None:
    run = TrainingRun(settings=TrainingSettings(epochs=1, device="cpu", precision="float32"), seed=0)
    parent = Parent(
        source="lib:small", network=SMALL, weights=build(SMALL).state_dict(), sha256="0", names="lib",
        origin="SMALL of lib 1.0", licence="mit",
    )  # fmt: skip
    digits = load_images(DataSettings(limit=200))
    start = train_architecture(SMALL, digits, run, tmp_path / "out", weights=parent, test=False)["start"]
    assert (start["file"], start["source"], start["origin"]) == ("lib:small", "lib", "SMALL of lib 1.0")
    then = parent_of(tmp_path / "out", tell=lambda _: None)
    assert then.licence == start["licence"] == "mit"
    assert then.origin.startswith("out/weights.safetensors (SHA-256 ")
    assert then.origin.endswith("), which began with SMALL of lib 1.0")


def test_images_get_the_size_that_archsearch_trained_the_weights_on() -> None:
    words = {"weights": {}, "sha256": "", "origin": "x", "source": "x"}
    smaller = get("resnet18").model_copy(update={"input": (3, 48, 40), "classes": 7})
    small = Parent(network=smaller, names="archsearch", **words)
    assert trained_on(get("resnet18"), small) is smaller
    other = Parent(network=SMALL.model_copy(update={"input": (3, 48, 40)}), names="archsearch", **words)
    assert trained_on(get("resnet18"), other) == get("resnet18"), "of which it may be a slice: it keeps its images"
    grey = get("resnet18").model_copy(update={"input": (1, 224, 224)})  # of a file of weights alone
    assert trained_on(get("resnet18"), Parent(network=grey, names="archsearch", **words)) == get("resnet18")
    theirs = Parent(network=get("resnet18").model_copy(update={"input": (3, 176, 176)}), names="timm", **words)
    assert trained_on(get("resnet18"), theirs) == get("resnet18") == trained_on(get("resnet18"), None)


def test_an_experiments_winner_is_a_parent_with_what_its_search_began_with(tmp_path) -> None:
    space, folder = tiny(tmp_path, "search.trials=1", "training.epochs=1", "data.limit=200")
    drive_locally(space, folder)
    with Ledger.open(folder.ledger) as ledger:
        kept = KeptParent(source="x", architecture=SMALL, weights=b"", origin="SMALL of lib 1.0", licence="mit")
        ledger.note("parent", kept.to_dict())
    parent = parent_of(folder.path, tell=lambda _: None)
    with Ledger.read(folder.ledger) as ledger:
        assert parent.network.to_dict()["stages"] == ledger.trial(1).architecture["stages"]
    images = load_images(space.data)
    assert parent.normalization == (images.mean, images.std)
    assert parent.origin == "t0001 of the experiment experiment, which began with SMALL of lib 1.0"
    assert parent.licence == "mit"
    fitted = suited(parent, (3, 16, 16), 4)
    module = build(fitted.network)
    module.load_state_dict(fitted.weights)
    assert "repeated for 3" in fitted.note and all(name.startswith("head.") for name in fitted.replaced)


def test_nothing_of_a_network_with_initial_values_is_frozen(tmp_path) -> None:
    digits = load_images(DataSettings(limit=200))
    settings = TrainingSettings(epochs=1, device="cpu", precision="float32", freeze="trunk")
    run = TrainingRun(settings=settings, seed=0)
    assert train_architecture(SMALL, digits, run, tmp_path / "out", test=False)["frozen"]["parameters"] == 0
    feed = feed_of(digits, settings, torch.device("cpu"))
    training = Parents(()).training(None, build(SMALL), digits, run, feed)  # a candidate that is no slice of a parent
    assert training.frozen.parameters == 0

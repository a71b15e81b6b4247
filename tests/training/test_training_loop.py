from __future__ import annotations

import pickle
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from archsearch.data.datasets import load_images
from archsearch.reading.errors import InputError
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training import devices, recipe
from archsearch.training.checkpoint import load_checkpoint, save_checkpoint
from archsearch.training.devices import device_name, resolve_device
from archsearch.training.loop import Diverged, Training
from archsearch.training.plateau import Plateau
from tests.training.nets import tiny

RECIPE = TrainingSettings(epochs=6)
AUGMENTED = TrainingSettings(
    epochs=3, crop_padding=1, flip=True, cutout=2, label_smoothing=0.1, schedule="cosine", device="cpu"
)
STEPS = AUGMENTED.model_copy(update={"batch_size": 32})  # several an epoch, of the few images


@pytest.fixture(scope="module")
def digits():
    return load_images(DataSettings())


@pytest.fixture(scope="module")
def few():
    return load_images(DataSettings(limit=200))


def lasting(metrics) -> dict:
    """Metrics without the clock's."""
    return {k: v for k, v in metrics.to_dict().items() if k not in ("seconds", "images_per_second")}


def run(images, settings=AUGMENTED, *, seed=3, net=None, **words) -> list[dict]:
    return [lasting(m) for m in Training(net or tiny(1), images, settings, seed=seed, device="cpu", **words)]


def test_a_tiny_network_learns_digits_in_six_epochs(digits):
    training = Training(tiny(), digits, RECIPE, seed=0, device="cpu", threads=1)
    history = list(training)
    assert [m.epoch for m in history] == [1, 2, 3, 4, 5, 6] and {m.epochs for m in history} == {6}
    assert history[-1].validation_accuracy > 0.9 and history[-1].train_accuracy > 0.9
    assert history[-1].train_loss < history[0].train_loss / 5
    test = training.evaluate("test")
    assert test.accuracy > 0.9 and test.images == 359


def test_adamw_learns_too(digits):
    settings = TrainingSettings(epochs=6, optimizer="adamw", learning_rate=0.01)
    assert list(Training(tiny(), digits, settings, seed=0, device="cpu"))[-1].validation_accuracy > 0.9


def test_lamb_and_binary_cross_entropy_learn_too(digits):
    settings = TrainingSettings(epochs=6, optimizer="lamb", learning_rate=0.1, loss="binary_cross_entropy")
    assert list(Training(tiny(), digits, settings, seed=0, device="cpu"))[-1].validation_accuracy > 0.9


def test_the_seconds_of_an_epoch_hold_those_of_its_steps(digits):
    training = Training(tiny(), digits, RECIPE, seed=0, device="cpu", threads=1)
    for m in training:
        assert 0 < training.steps * training.batch_size / m.images_per_second < m.seconds


def test_the_same_seed_gives_the_same_metrics_bit_for_bit(few):
    assert run(few) == run(few)


def test_another_seed_gives_others(few):
    assert run(few) != run(few, seed=4)


def test_torchs_global_state_neither_matters_nor_changes(few):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = run(few, net=tiny(1, dropout=0.5))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert run(few, net=tiny(1, dropout=0.5)) == one


def test_stopping_early_trains_no_more(few):
    training = Training(tiny(1), few, AUGMENTED, seed=3, device="cpu")
    first = next(training)
    weights = {k: v.clone() for k, v in training.model.state_dict().items()}
    assert training.epoch == 1 and lasting(first) == run(few)[0]
    assert all(torch.equal(v, weights[k]) for k, v in training.model.state_dict().items())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lamb"])
def test_a_training_restored_from_disk_goes_on_as_it_would_have(few, tmp_path, optimizer):
    settings = AUGMENTED.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01})
    uninterrupted = run(few, settings, net=tiny(1, dropout=0.2))
    first = Training(tiny(1, dropout=0.2), few, settings, seed=3, device="cpu")
    begun = [lasting(next(first))]
    save_checkpoint(tmp_path / "c", *first.state())
    again = Training(tiny(9, dropout=0.2), few, settings, seed=3, device="cpu")
    again.restore(*load_checkpoint(tmp_path / "c"))
    assert begun + [lasting(m) for m in again] == uninterrupted


def test_the_rate_at_a_rung_has_fallen_as_far_as_at_the_end_of_a_training_of_that_length(few):
    rates = [m["learning_rate"] for m in run(few, STEPS.model_copy(update={"epochs": 6}), rungs=(1, 3))]
    for epochs, part in ((1, rates[:1]), (2, rates[1:3]), (3, rates[3:])):
        whole = run(few, STEPS.model_copy(update={"epochs": epochs}))
        assert part == [m["learning_rate"] for m in whole]


def test_until_its_first_rung_a_training_is_a_whole_shorter_one(few):
    shorter = run(few, STEPS.model_copy(update={"epochs": 2}))
    longer = run(few, STEPS, rungs=(2,))
    assert [m | {"epochs": 2} for m in longer[:2]] == shorter
    assert longer[:2] != run(few, STEPS)[:2]


@pytest.mark.parametrize("rungs", [(), (3,), (9, 27)])
def test_without_a_rung_before_the_end_the_schedule_is_one(few, rungs):
    plain, total = run(few, STEPS), STEPS.epochs * (len(few.train) // STEPS.batch_size)
    rates = [recipe.learning_rate(STEPS, step, total) for step in range(total)]
    assert run(few, STEPS, rungs=rungs) == plain
    assert [m["learning_rate"] for m in plain] == rates[total // 3 - 1 :: total // 3]


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_training_stopped_at_a_rung_or_between_two_goes_on_as_it_would_have(few, tmp_path, stop):
    settings = STEPS.model_copy(update={"epochs": 5})
    first = Training(tiny(1), few, settings, seed=3, device="cpu", rungs=(1, 3))
    begun = [lasting(next(first)) for _ in range(stop)]
    save_checkpoint(tmp_path / "c", *first.state())
    again = Training(tiny(9), few, settings, seed=3, device="cpu", rungs=(1, 3))
    again.restore(*load_checkpoint(tmp_path / "c"))
    assert begun + [lasting(m) for m in again] == run(few, settings, rungs=(1, 3))


def test_rungs_out_of_order_are_refused(few):
    with pytest.raises(ValueError, match=r"not \(3, 1\)"):
        Training(tiny(1), few, AUGMENTED, seed=3, device="cpu", rungs=(3, 1))


def test_a_state_of_another_network_or_seed_is_refused(few):
    state = Training(tiny(1), few, AUGMENTED, seed=3, device="cpu").state()
    with pytest.raises(ValueError, match="seed 3"):
        Training(tiny(1), few, AUGMENTED, seed=4, device="cpu").restore(*state)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="another network"):
        Training(other, few, AUGMENTED, seed=3, device="cpu").restore(*state)


def test_each_step_is_reported_and_the_last_partial_batch_is_dropped(few):
    seen, settings = [], TrainingSettings(epochs=2, batch_size=64)
    run(few, settings, on_step=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)] * 2


def test_a_batch_larger_than_the_data_is_all_of_it(few):
    training = Training(tiny(), few, TrainingSettings(epochs=1, batch_size=5000), seed=0, device="cpu")
    assert (training.steps, training.batch_size) == (1, 200)
    assert len(list(training)) == 1


PLATEAU = TrainingSettings(
    epochs=9, batch_size=40, schedule="plateau", patience=1, step_factor=0.5, learning_rate=1.0, device="cpu"
)


def test_the_rate_of_a_plateau_falls_when_the_validation_error_has_stopped_falling(few):
    history = run(few, PLATEAU)
    lowest, rate = 1.0, 1.0
    for epoch in history:
        assert epoch["learning_rate"] == pytest.approx(rate)
        error = 1 - epoch["validation_accuracy"]
        lowest, rate = (error, rate) if error < lowest else (lowest, rate / 2)
    assert 1 < 1 / history[-1]["learning_rate"] < 2**7, "it fell, and not in every epoch"


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_plateau_is_the_same_with_rungs_and_goes_on_as_it_would_have(few, tmp_path, stop):
    uninterrupted = run(few, PLATEAU)
    assert run(few, PLATEAU, rungs=(1, 3)) == uninterrupted
    first = Training(tiny(1), few, PLATEAU, seed=3, device="cpu", rungs=(1, 3))
    begun = [lasting(next(first)) for _ in range(stop)]
    save_checkpoint(tmp_path / "c", *first.state())
    again = Training(tiny(9), few, PLATEAU, seed=3, device="cpu", rungs=(1, 3))
    again.restore(*load_checkpoint(tmp_path / "c"))
    assert begun + [lasting(m) for m in again] == uninterrupted


def test_a_plateau_waits_for_so_many_epochs_after_the_lowest_error_or_the_last_fall():
    plateau, falls = Plateau(2), []
    for error in (0.5, 0.5, 0.4, 0.4, 0.45, 0.41, 0.5, 0.3, 0.3, 0.3):
        plateau.update(error)
        falls.append(plateau.falls)
    assert falls == [0, 0, 0, 0, 1, 1, 2, 2, 2, 3]
    assert Plateau(**plateau.state()) == plateau


class Watching(nn.Sequential):
    """Notes what it is given."""

    def __init__(self, *modules):
        super().__init__(*modules)
        self.batches, self.projected, self.generators = [], 0, []

    def forward(self, x):
        if self.training:
            self.batches.append(x.detach().clone())
        return super().forward(x)

    def project(self):
        self.projected += 1

    def seed_stochastic_depth(self, generator):
        self.generators.append(generator.initial_seed())


def test_an_epoch_shows_each_image_once_in_an_order_of_its_own(few):
    model = Watching(tiny())
    list(Training(model, few, TrainingSettings(epochs=2, batch_size=50), seed=0, device="cpu"))
    epochs = torch.cat(model.batches[:4]), torch.cat(model.batches[4:])
    first, second = ([image.numpy().tobytes() for image in epoch] for epoch in epochs)
    assert first != second and sorted(first) == sorted(second)
    assert model.projected == 8
    assert len(model.generators) == 2 and model.generators[0] != model.generators[1]
    assert model.batches[0].is_contiguous(memory_format=torch.channels_last)


def test_repeated_augmentation_shows_fewer_images_several_times_in_a_batch(few):
    model = Watching(tiny())
    settings = TrainingSettings(epochs=1, batch_size=50, repeated_augmentation=3)
    list(Training(model, few, settings, seed=0, device="cpu"))
    batches = [[image.numpy().tobytes() for image in batch] for batch in model.batches]
    assert [len(batch) for batch in batches] == [50] * 4
    for batch in batches:
        assert batch[:17] == batch[17:34] and batch[34:] == batch[:16] and len(set(batch)) == 17
        assert all(one != other for one, other in zip(batch, batch[-1:] + batch[:-1], strict=True)), "mixing pairs"
    assert len({image for batch in batches for image in batch}) == 4 * 17
    again = run(few, settings.model_copy(update={"epochs": 2, "flip": True}))
    assert again == run(few, settings.model_copy(update={"epochs": 2, "flip": True}))


def test_the_rate_reaches_the_optimiser(few):
    settings = TrainingSettings(epochs=2, batch_size=100, schedule="constant", warmup=0.5, learning_rate=0.2)
    assert [m["learning_rate"] for m in run(few, settings)] == [0.2, 0.2]


def test_evaluation_changes_nothing_and_batches_do_not_matter(few):
    training = Training(tiny(), few, TrainingSettings(epochs=1, batch_size=16), seed=0, device="cpu")
    next(training)
    before = {k: v.clone() for k, v in training.model.state_dict().items()}
    found = training.evaluate("test")
    assert all(torch.equal(v, before[k]) for k, v in training.model.state_dict().items())
    shift, scale = few.mean[0], few.std[0]
    images = (torch.from_numpy(few.test.images).float() / 255 - shift) / scale
    with torch.no_grad():
        scores = training.model.eval()(images)
    labels = torch.from_numpy(few.test.labels)
    assert found.accuracy == pytest.approx((scores.argmax(1) == labels).double().mean().item(), abs=1 / 359)
    assert found.loss == pytest.approx(nn.functional.cross_entropy(scores, labels).item(), rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_is_told_with_its_epoch(few):
    settings = TrainingSettings(epochs=3, learning_rate=100.0, batch_size=20, warmup=0.0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10))
    with pytest.raises(Diverged, match="epoch") as caught:
        list(Training(model, few, settings, seed=0, device="cpu"))
    assert caught.value.epoch in (1, 2, 3)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, Diverged) and again.epoch == caught.value.epoch and str(again) == str(caught.value)


def test_bfloat16_learns_and_keeps_float32_weights(digits):
    training = Training(tiny(), digits, RECIPE, seed=0, device="cpu", precision="bfloat16")
    assert list(training)[-1].validation_accuracy > 0.85
    assert {p.dtype for p in training.model.parameters()} == {torch.float32}


def test_a_gpu_that_is_not_there_is_refused_and_auto_finds_what_is():
    if torch.cuda.is_available():
        assert resolve_device("auto").type == "cuda"
    else:
        assert resolve_device("auto").type == "cpu"
        with pytest.raises(InputError, match="no GPU"):
            resolve_device("cuda")


def test_training_imports_none_of_what_a_worker_need_not_wait_for():
    """torch's compiler alone takes seconds to import; torch.optim would bring it in."""
    code = (
        "import sys\n"
        "from archsearch.space.settings import DataSettings, TrainingSettings\n"
        "from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes\n"
        "from archsearch.data.datasets import load_images\n"
        "from archsearch.training.loop import Training\n"
        "from tests.training.nets import tiny\n"
        "settings = TrainingSettings(epochs=1, crop_padding=1, device='cpu')\n"
        "training = Training(tiny(), load_images(DataSettings(limit=200)), settings, seed=0)\n"
        "list(training), training.evaluate('test')\n"
        "weights_from_bytes(weights_to_bytes(training.model.state_dict()))\n"
        "heavy = ('torch._dynamo', 'sympy', 'torchvision', 'sklearn', 'ray', 'optuna', 'mlflow')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_processor_has_a_name_where_linux_does_not_tell_it(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    assert device_name(torch.device("cpu")) == (platform.processor() or platform.machine()) != ""
    devices.CPUINFO.write_text("processor\t: 0\nmodel name\t: A CPU: 3 GHz\nmodel name\t: another\n")
    assert device_name(torch.device("cpu")) == "A CPU: 3 GHz"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_learns(digits):
    training = Training(tiny(), digits, RECIPE, seed=0, device="cuda")
    assert list(training)[-1].validation_accuracy > 0.85


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_no_step_on_a_gpu_waits_for_it(digits):
    def forbid(done: int, of: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if done < of else "default")

    training = Training(tiny(), digits, RECIPE, seed=0, device="cuda", on_step=forbid)
    try:
        assert len(list(training)) == 6
    finally:
        torch.cuda.set_sync_debug_mode("default")

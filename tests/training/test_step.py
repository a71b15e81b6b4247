"""One step: micro-batches, the average, mixed images, and what a state holds."""

import pytest
import torch
from torch import nn

from archsearch.data.datasets import load_images
from archsearch.space.settings import DataSettings, TrainingSettings
from archsearch.training.loop import Training
from archsearch.training.mixing import Mixer
from archsearch.training.step import Step
from tests.training.nets import tiny


@pytest.fixture(scope="module")
def few():
    return load_images(DataSettings(limit=200))


def without_norms() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))


def stepped(micro_batch: int | None, **words) -> tuple[dict, float, int]:
    settings = TrainingSettings(batch_size=10, micro_batch=micro_batch, device="cpu", label_smoothing=0.1, **words)
    model, draws = without_norms(), torch.Generator().manual_seed(1)
    step = Step(model, settings, device=torch.device("cpu"), precision="float32")
    for _ in range(3):
        images, labels = torch.randn(10, 1, 8, 8, generator=draws), torch.randint(10, (10,), generator=draws)
        step(images, labels, Mixer(settings, draws), 0.1)
    return model.state_dict(), step.losses.item(), step.right.item()


@pytest.mark.parametrize("micro_batch", [1, 3, 5, 10, 64])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_micro_batches_add_up_to_the_batch(micro_batch: int, mixup: float) -> None:
    whole, parts = stepped(None, mixup=mixup), stepped(micro_batch, mixup=mixup)
    for name, value in whole[0].items():
        torch.testing.assert_close(parts[0][name], value, rtol=1e-5, atol=1e-6)
    assert parts[1] == pytest.approx(whole[1], rel=1e-5)
    assert parts[2] == whole[2]


def test_with_an_average_the_evaluated_and_handed_over_weights_are_its(few) -> None:
    plain = Training(tiny(), few, TrainingSettings(epochs=3, batch_size=32, device="cpu"), seed=0)
    averaged = Training(tiny(), few, TrainingSettings(epochs=3, batch_size=32, ema=0.9, device="cpu"), seed=0)
    for one, other in zip(plain, averaged, strict=True):
        assert one.train_loss == other.train_loss, "the training itself is the same"
        assert one.validation_loss != other.validation_loss
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), averaged.model.parameters(), strict=True))
    fresh = Training(tiny(1), few, TrainingSettings(device="cpu"), seed=0)
    fresh.model.load_state_dict(averaged.weights())
    one, other = fresh.evaluate("test"), averaged.evaluate("test")
    # Kernels may differ in the last bit with where in memory the weights lie.
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    assert one.accuracy == pytest.approx(other.accuracy, abs=0.005)


@pytest.mark.parametrize("words", [{"ema": 0.9}, {"mixup": 0.2, "cutmix": 1.0}, {"ema": 0.9, "optimizer": "adamw"}])
def test_a_restored_training_goes_on_bit_for_bit(few, words: dict) -> None:
    settings = TrainingSettings(epochs=4, batch_size=32, device="cpu", **words)
    whole = Training(tiny(), few, settings, seed=5)
    states, losses = [], []
    for metrics in whole:
        tensors, extra = whole.state()
        states.append(({name: value.clone() for name, value in tensors.items()}, extra))
        losses.append((metrics.train_loss, metrics.validation_loss))
    again = Training(tiny(7), few, settings, seed=5).restore(*states[1])
    assert [(m.train_loss, m.validation_loss) for m in again] == losses[2:]


def test_a_state_with_an_average_is_not_for_a_recipe_without(few) -> None:
    tensors, extra = Training(tiny(), few, TrainingSettings(ema=0.9, device="cpu"), seed=5).state()
    with pytest.raises(ValueError, match="average"):
        Training(tiny(), few, TrainingSettings(device="cpu"), seed=5).restore(tensors, extra)


def test_an_earlier_end_is_kept_by_the_state(few) -> None:
    settings = TrainingSettings(epochs=9, batch_size=32, device="cpu")
    training = Training(tiny(), few, settings, seed=5, rungs=(1,))
    next(training)
    training.end_at(4)
    next(training)
    tensors, extra = training.state()
    kept = {name: value.clone() for name, value in tensors.items()}
    rest = [(m.epoch, m.epochs, m.learning_rate, m.train_loss) for m in training]
    other = Training(tiny(2), few, settings, seed=5, rungs=(1,)).restore(kept, extra)
    assert [(m.epoch, m.epochs, m.learning_rate, m.train_loss) for m in other] == rest
    assert [epoch for epoch, *_ in rest] == [3, 4]

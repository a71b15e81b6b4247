"""GPUs as torch describes them, and what follows: no GPU is needed, torch's answers are replaced."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from archsearch.architecture.spec import Architecture
from archsearch.space.settings import TrainingSettings
from archsearch.training.devices import gpu_problem, gpus, gpus_problem, resolve_device, usual_precision
from archsearch.training.measuring import precision
from archsearch.training.measuring.precision import choose_precision

NETWORK = Architecture.from_dict({"input": [1, 8, 8], "classes": 10, "stages": [{"depth": 1, "width": 4}]})
A100 = SimpleNamespace(name="NVIDIA A100-SXM4-80GB", total_memory=80 * 2**30, major=8, minor=0)
MIG = SimpleNamespace(name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", total_memory=10 * 2**30, major=8, minor=0)
T4 = SimpleNamespace(name="Tesla T4", total_memory=15 * 2**30, major=7, minor=5)
V100 = SimpleNamespace(name="Tesla V100-SXM2-16GB", total_memory=16 * 2**30, major=7, minor=0)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """Has torch see these GPUs, as the tested wheel, which begins at sm_75, describes them."""

    def see(*properties: SimpleNamespace) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(properties))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(properties))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties[index])
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90", "sm_120"])
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # so says torch of a T4: it emulates

    return see


def test_a_gpus_memory_is_that_of_its_slice(seen) -> None:
    seen(MIG)
    assert [gpu.bytes for gpu in gpus()] == [10 * 2**30] and gpus_problem() == ""
    assert resolve_device("auto") == torch.device("cuda", 0)


def test_a_gpu_that_torch_has_no_kernels_for_is_not_used_and_named(seen) -> None:
    seen(V100)
    assert gpus() == [] and resolve_device("auto").type == "cpu"
    expected = f"Tesla V100-SXM2-16GB has compute capability 7.0, and torch {torch.__version__} needs 7.5 or newer"
    assert gpus_problem() == gpu_problem() == expected
    seen(A100, V100)
    assert [str(gpu) for gpu in gpus()] == ["NVIDIA A100-SXM4-80GB 80 GiB"] and gpus_problem() == expected


def test_why_torch_sees_no_gpu(seen, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).\nPlease update")

    seen()
    monkeypatch.setattr(torch.cuda, "init", too_old)
    expected = "cannot use the GPU: The NVIDIA driver on your system is too old (found version 12020)."
    assert gpus() == [] and gpus_problem() == gpu_problem() == f"torch {torch.__version__} {expected}"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert gpus_problem() == f"torch {torch.__version__} is a build for CPUs alone"


def test_a_gpu_on_which_no_kernel_runs_is_named(seen, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*size: int, device: str) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")

    seen(A100)
    monkeypatch.setattr(torch, "ones", lost)
    assert gpu_problem() == "NVIDIA A100-SXM4-80GB: CUDA error: unspecified launch failure"
    monkeypatch.setattr(torch, "ones", lambda *size, device: torch.full(size, 2.0))
    assert gpu_problem() == "NVIDIA A100-SXM4-80GB computes wrong sums"
    monkeypatch.setattr(torch, "ones", lambda *size, device: torch.full(size, 1.0))
    assert gpu_problem() is None


def test_bfloat16_is_usual_where_the_gpu_has_it_and_not_where_it_is_emulated(seen) -> None:
    device, settings = torch.device("cuda", 0), TrainingSettings()
    for gpu, expected in ((A100, "bfloat16"), (T4, "float32")):
        seen(gpu)
        assert usual_precision(settings, device) == expected


def test_a_gpu_without_bfloat16_is_not_measured(seen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen(T4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: T4.name)
    chosen = choose_precision(NETWORK, TrainingSettings(), device="cuda", threads=1, cache=tmp_path / "p.json")
    assert (chosen.precision, str(chosen)) == ("float32", "float32: Tesla T4 has no bfloat16")


def test_a_measurement_that_fails_leaves_float32_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it")

    monkeypatch.setattr(precision, "measured_in_turns", fails)
    chosen = choose_precision(NETWORK, TrainingSettings(), device="cpu", threads=1, cache=tmp_path / "p.json")
    assert chosen.precision == "float32" and chosen.to_dict()["reason"] == (
        "the faster precision could not be measured: CUDA out of memory. Tried to allocate 2.00 GiB."
    )
    assert not (tmp_path / "p.json").exists(), "the next training measures again"

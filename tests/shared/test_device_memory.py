"""Obstacles to sharing GPU memory are reported in one line. The other tests of GPU memory need a GPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from hogwild.config import Config
from hogwild.drivers.job import device
from hogwild.drivers.job.shared_split import SharedSplit, restore
from hogwild.errors import UsageError
from hogwild.shared import device_memory
from hogwild.tasks.data import send
from hogwild.tasks.splits import TensorSplit

GPU = torch.device("cuda:0")


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine that reports one GPU."""
    facts = SimpleNamespace(uuid="GPU-1", free=4 << 20)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (facts.free, 80 << 20))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    for name in device_memory.ALLOCATOR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return facts


@pytest.mark.usefixtures("a_gpu")
def test_the_place_of_the_master() -> None:
    assert device.resolve(Config(device="cuda")) == GPU
    assert device.resolve(Config()) == GPU
    assert device.resolve(Config(device="cpu")) == torch.device("cpu")
    assert device.resolve(Config(device="cuda", access="locked")) == GPU
    with pytest.raises(UsageError, match="there are only 1 GPUs"):
        device.resolve(Config(device="cuda", master="cuda:1"))
    with pytest.raises(UsageError, match="--access striped is for masters on the CPU"):
        device.resolve(Config(device="cuda", access="striped"))
    with pytest.raises(UsageError, match="--dtype float64 is for masters on the CPU"):
        device.resolve(Config(device="cuda", dtype="float64"))


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("name", device_memory.ALLOCATOR_VARIABLES)
def test_expandable_segments_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "max_split_size_mb:64, expandable_segments:False")
    assert device.resolve(Config(device="cuda")) == GPU
    monkeypatch.setenv(name, "max_split_size_mb:64, expandable_segments: True")
    with pytest.raises(UsageError, match=rf"{name}=.*take expandable_segments out of it"):
        device_memory.check_allocator()
    monkeypatch.setenv(name, "backend: cudaMallocAsync")
    with pytest.raises(UsageError, match=rf"{name}=.*no handle .*; take backend out of it") as error:
        device.resolve(Config(device="cuda"))
    assert "\n" not in str(error.value)
    assert device.resolve(Config(device="cpu")) == torch.device("cpu")


@pytest.mark.usefixtures("a_gpu")
def test_too_large_a_model_is_refused_with_the_numbers() -> None:
    with pytest.raises(UsageError, match=r"needs 5 MiB on cuda:0 \(x 5\), 4 MiB of 80 MiB are free"):
        device_memory.device_memory(5 << 20, GPU, "x 5")


def test_another_gpu_under_the_same_number(a_gpu: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = device_memory.identity(GPU)
    assert mine == "GPU-1"
    device_memory.check_identity(mine, GPU)
    device_memory.check_identity(None, GPU)  # a torch that does not report the identity
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    a_gpu.uuid = "GPU-2"
    with pytest.raises(UsageError, match=r"cuda:0 is GPU GPU-2 here and GPU GPU-1 .*CUDA_VISIBLE_DEVICES='3'"):
        device_memory.check_identity(mine, GPU)
    assert device_memory.identity(torch.device("cpu")) is None


def test_data_that_would_crowd_the_gpu_stay_on_the_host(a_gpu: SimpleNamespace) -> None:
    a_gpu.free = 1000
    split = TensorSplit(torch.randn(50, 3), torch.arange(50))  # 1000 bytes: more than half
    shared = SharedSplit(split, GPU)
    arena = shared.arena(GPU)
    assert arena is not None
    assert arena.device.type == "cpu"
    again = restore(shared.stand_in, arena, shared.shapes)
    inputs, targets = again.batch(torch.tensor([7, 3]), train=True)
    assert torch.equal(inputs, split.inputs[[7, 3]])
    assert targets.tolist() == [7, 3]


def test_sending_to_the_cpu_makes_no_copy() -> None:
    tensor = torch.randn(3)
    assert send(tensor, torch.device("cpu")) is tensor

"""The placement of a master on a machine with several GPUs: as requested, or refused in one line with the reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.job import device, placement, shared_split
from hogwild.drivers.job.placement import place
from hogwild.drivers.job.shared_split import SharedSplit
from hogwild.errors import UsageError
from hogwild.kernels.placed import Gpu
from hogwild.shared.placement import Placement
from hogwild.tasks.splits import TensorSplit

FIRST = torch.device("cuda:0")


class Box:
    """A machine with `count` GPUs, and the messages of the parent."""

    def __init__(self, count: int) -> None:
        self.facts = [Gpu((True,) * count, (True,) * count, True, True, True) for _ in range(count)]
        self.lines: list[str] = []

    def change(self, gpu: int, **values: object) -> None:
        self.facts[gpu] = Gpu(**{**self.facts[gpu].__dict__, **values})  # type: ignore[arg-type]

    def part(self, one: int, other: int, what: str = "reaches") -> None:
        pairs = list(getattr(self.facts[one], what))
        pairs[other] = False
        self.change(one, **{what: tuple(pairs)})

    def place(self, **values: object) -> torch.device | Placement:
        config = Config(**{"device": "cuda", "workers": 4, **values})  # type: ignore[arg-type]
        return place(config, REGISTRY[config.algorithm](**config.options), SimpleNamespace(info=self.lines.append))


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(3)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(box.facts))
    monkeypatch.setattr(placement, "gpus", lambda _: box.facts)
    monkeypatch.setattr(device, "check_allocator", lambda: None)
    return box


def test_one_gpu_is_shared_as_it_always_was(box: Box) -> None:
    assert box.place() == FIRST
    assert box.place(device="auto") == FIRST
    assert box.place(master="cuda:2") == torch.device("cuda:2")
    assert box.place(master="sharded") == FIRST
    assert box.place(gpus=2, workers=1) == FIRST
    assert box.place(device="cpu") == torch.device("cpu")
    assert box.place(master="host") == Placement((0,), ())
    assert box.lines == []


def test_several_gpus(box: Box) -> None:
    assert box.place(gpus=2) == Placement((0, 1), (0, 1))
    assert box.place(gpus=0) == Placement((0, 1, 2), (0, 1, 2))
    assert box.place(gpus=3, workers=2) == Placement((0, 1), (0, 1))  # no GPU without a worker
    assert box.lines[0] == "workers on cuda:0, cuda:1; master: sharded over cuda:0, cuda:1"
    assert len(box.lines) == 3
    assert box.place(gpus=2, master="sharded") == Placement((0, 1), (0, 1))
    assert box.place(gpus=2, master="cuda:2") == Placement((0, 1), (2,))
    assert box.place(gpus=2, master="host") == Placement((0, 1), ())
    assert len(box.lines) == 3  # an explicit placement is not reported
    assert [Placement((0, 1), (0, 1)).gpu(rank) for rank in range(4)] == [0, 1, 0, 1]


def test_without_peer_access_the_master_goes_to_the_host_and_says_so(box: Box) -> None:
    box.part(1, 0)
    assert box.place(gpus=2) == Placement((0, 1), ())
    assert box.lines == ["workers on cuda:0, cuda:1; master: host, for GPU 1 does not reach GPU 0"]
    with pytest.raises(UsageError, match=r"--master sharded: GPU 1 does not reach the memory of GPU 0 .*--master host"):
        box.place(gpus=2, master="sharded")
    with pytest.raises(UsageError, match=r"--master cuda:0: GPU 1 does not reach the memory of GPU 0"):
        box.place(gpus=2, master="cuda:0")
    box.change(1, host_pointer=False)
    with pytest.raises(UsageError, match="GPU 1 does not see pinned host memory at the host's addresses"):
        box.place(gpus=2)


def test_adding_where_it_is_no_one_operation_is_refused(box: Box) -> None:
    assert box.place(gpus=2, access="atomic") == Placement((0, 1), (0, 1))
    box.part(0, 1, "atomics")
    message = r"--access atomic: GPU 0 cannot add in the memory of GPU 1 in one operation .*: use --access racing"
    with pytest.raises(UsageError, match=message) as error:
        box.place(gpus=2, access="atomic")
    assert "\n" not in str(error.value)
    assert box.place(gpus=2, access="racing") == Placement((0, 1), (0, 1))
    assert box.place(gpus=2, access="locked") == Placement((0, 1), (0, 1))
    with pytest.raises(UsageError, match=r"--algorithm ad-psgd: GPU 0 cannot add in the memory of GPU 1"):
        box.place(gpus=2, algorithm="ad-psgd")
    assert box.place(gpus=2, algorithm="d-psgd") == Placement((0, 1), (0, 1))  # reads only
    assert box.place(access="atomic", master="host") == Placement((0,), ())
    box.change(0, host_atomics=False)
    with pytest.raises(UsageError, match=r"--access atomic: GPU 0 cannot add in host memory in one operation"):
        box.place(access="atomic", master="host")
    assert box.place(access="atomic") == FIRST


def test_gpus_that_do_not_exist_are_refused(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--gpus 4: there are only 3 GPUs"):
        box.place(gpus=4)
    with pytest.raises(UsageError, match="--master cuda:3: there are only 3 GPUs"):
        box.place(gpus=2, master="cuda:3")
    with pytest.raises(UsageError, match="gpus 2 needs GPUs, but device is cpu"):
        Config(device="cpu", gpus=2)
    with pytest.raises(UsageError, match="master sharded needs a GPU, but device is cpu"):
        Config(device="cpu", master="sharded")
    with pytest.raises(UsageError, match="--master host is for worker processes, and --clock simulates them"):
        device.resolve(Config(device="cuda", master="host", clock="round-robin"))

    def no_driver(_: str) -> None:
        raise RuntimeError("there is no CUDA driver")

    monkeypatch.setattr(placement, "gpus", no_driver)
    with pytest.raises(UsageError, match="--gpus 2 --master auto: there is no CUDA driver"):
        box.place(gpus=2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--gpus 2: no GPU visible"):
        box.place(device="auto", gpus=2)
    with pytest.raises(UsageError, match="--master sharded: no GPU visible"):
        box.place(device="auto", master="sharded")


def test_each_gpu_has_the_data_once(monkeypatch: pytest.MonkeyPatch) -> None:
    split = TensorSplit(torch.randn(50, 3), torch.arange(50))
    places = []
    monkeypatch.setattr(
        shared_split, "share_tensors", lambda tensors, place: (places.append(place), {"n": (len(tensors),)})
    )
    free = {0: 1 << 20, 1: 1 << 20, 2: 1000}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[device.index], 1 << 20))
    devices = [torch.device("cuda", rank % 3) for rank in range(6)]
    SharedSplit(split, *devices)
    assert places == [devices[0], devices[1], torch.device("cpu")]  # too large for the third

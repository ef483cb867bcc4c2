"""One range of addresses over several GPUs: mapped, shared, released, refused. On a driver without a GPU."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import struct
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fake_gpus import GRAIN, build, write_and_read

from hogwild import _C
from hogwild.errors import UsageError
from hogwild.kernels import placed
from hogwild.kernels.placed import tensor_at
from hogwild.shared.placed_memory import PlacedMemory, _receive

ANSWER_S = 60.0
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("driver"))


def mapped() -> list[str]:
    """The pieces of fake GPUs that this process has in its address space, with their access."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[1] for line in lines if "fake-gpu" in line]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_parts_on_several_gpus_are_one_range(driver: str) -> None:
    files = open_files()
    parts = [(0, 2 * GRAIN), (1, GRAIN), (0, GRAIN)]
    memory = PlacedMemory(parts, "x", driver)
    assert mapped() == ["---s"] * 3  # no access is allowed yet
    assert memory.allow(1) == {0, 1}
    assert mapped() == ["rw-s"] * 3
    values = torch.randint(0, 256, (4 * GRAIN,), dtype=torch.uint8)
    whole = tensor_at(memory.address, 4 * GRAIN, CPU, memory)
    whole.copy_(values)
    across = whole[2 * GRAIN - 8 : 2 * GRAIN + 8].view(torch.float64)
    again = placed.PlacedMemory(driver, parts, memory._descriptors)  # as another process does
    again.allow(0)
    assert again.address != memory.address
    assert torch.equal(tensor_at(again.address, 4 * GRAIN, CPU, again), values)
    across.fill_(2.5)
    seen = tensor_at(again.address, 4 * GRAIN, CPU, again)[2 * GRAIN - 8 : 2 * GRAIN + 8].view(torch.float64)
    assert seen.tolist() == [2.5, 2.5]
    del memory, whole
    assert len(mapped()) == 6  # a view keeps the whole range mapped
    del across, again, seen
    assert mapped() == []
    assert open_files() == files


def test_only_parts_that_a_gpu_can_access_are_opened_to_it(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_APART", "0-1")
    memory = PlacedMemory([(0, GRAIN), (1, GRAIN)], "x", driver)
    assert memory.allow(0) == {0}
    assert mapped() == ["rw-s", "---s"]
    assert memory.allow(1) == {0, 1}
    assert mapped() == ["rw-s", "rw-s"]


@pytest.mark.slow
def test_two_processes_share_it(driver: str) -> None:
    memory = PlacedMemory([(0, GRAIN), (1, GRAIN)], "x", driver)
    memory.allow(0)
    context = multiprocessing.get_context("spawn")
    members = []
    try:
        for gpu in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=write_and_read, args=(memory, gpu, theirs), daemon=True)
            process.start()
            theirs.close()
            members.append((process, ours))
        for _, line in members:
            assert line.poll(ANSWER_S)
            assert line.recv() == "written"
        for gpu, (_, line) in enumerate(members):
            line.send("go on")
            assert line.poll(ANSWER_S)
            assert line.recv() == [2 - gpu]
    finally:
        for process, line in members:
            process.kill()
            process.join()
            line.close()
    whole = tensor_at(memory.address, 2 * GRAIN, CPU, memory)
    assert whole.view(2, -1).unique(dim=1).tolist() == [[1], [2]]


def test_attaching_a_thousand_times_leaks_nothing(driver: str) -> None:
    memory = PlacedMemory([(0, GRAIN), (1, GRAIN)], "x", driver)
    memory.allow(0)
    tensor_at(memory.address, 2 * GRAIN, CPU, memory).fill_(7)
    files = open_files()
    for _ in range(1000):
        again = placed.PlacedMemory(driver, memory.parts, memory._descriptors)
        again.allow(1)
        assert int(tensor_at(again.address, 2 * GRAIN, CPU, again)[-1]) == 7
        del again
    assert len(mapped()) == 2
    assert open_files() == files


@pytest.mark.parametrize(
    ("facts", "parts", "message"),
    [
        (
            {"FAKE_GPU_KIB": "3072"},
            [(0, 16 * GRAIN), (1, 64 * GRAIN)],
            r"cannot place x 5 \+ v 6: GPU 1 has no room for 4 MiB; it has 3 MiB in all",
        ),
        ({"FAKE_PLAIN": "1"}, [(0, GRAIN), (1, GRAIN)], "GPU 1 cannot place memory for several processes"),
        ({}, [(0, GRAIN), (2, GRAIN)], "cuDeviceGetAttribute: invalid device ordinal"),
        ({}, [(0, GRAIN + 1)], "cuMemCreate: invalid argument"),
    ],
)
def test_impossible_placements_are_refused_in_one_line(
    facts: dict[str, str], parts: list[tuple[int, int]], message: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    files = open_files()
    with pytest.raises(UsageError, match=message) as error:
        PlacedMemory(parts, "x 5 + v 6", driver)
    assert "\n" not in str(error.value)
    assert mapped() == []
    assert open_files() == files


def test_a_failed_mapping_names_its_buffers(driver: str) -> None:
    memory = PlacedMemory([(0, GRAIN)], "x 5", driver)
    closed = os.dup(memory._descriptors[0])
    os.close(closed)
    sent = SimpleNamespace(detach=lambda: closed)
    there = _receive([sent], memory.parts, memory.what, driver)
    with pytest.raises(UsageError, match=r"cannot map x 5: .*cuMemImportFromShareableHandle: invalid argument"):
        there.allow(0)
    there._descriptors.clear()  # as if it had never received them


def test_the_device_of_a_tensor_is_the_requested_one() -> None:
    """The capsule is checked, because this torch may have no GPU. DLPack: data, device type (2: CUDA), device, dims."""

    class Owner:
        pass

    owner = Owner()
    alive, block = weakref.ref(owner), ctypes.create_string_buffer(64)
    capsule = _C.as_dlpack(ctypes.addressof(block), 64, 3, owner)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    fields = struct.unpack("QiiiBBH", ctypes.string_at(pointer(capsule, b"dltensor"), 24))
    assert fields == (ctypes.addressof(block), 2, 3, 1, 1, 8, 1)  # [64] of unsigned 8-bit integers, one each
    del owner
    assert alive() is not None
    del capsule
    assert alive() is None


def test_no_driver() -> None:
    with pytest.raises(UsageError, match=r"cannot place x: there is no CUDA driver: /nowhere/libcuda\.so") as error:
        PlacedMemory([(0, GRAIN)], "x", "/nowhere/libcuda.so")
    assert "\n" not in str(error.value)


def test_facts_of_the_driver_on_each_gpu_and_pair(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GPUS", "3")
    monkeypatch.setenv("FAKE_APART", "0-2")
    monkeypatch.setenv("FAKE_PLAIN", "2")
    found = placed.gpus(driver)
    assert [gpu.reaches for gpu in found] == [(True, True, False), (True, True, True), (True, True, True)]
    assert [gpu.atomics for gpu in found] == [(True, False, False), (False, True, False), (False, False, True)]
    assert [(gpu.placing, gpu.host_pointer, gpu.host_atomics) for gpu in found] == [
        (True, True, False),
        (True, True, False),
        (False, True, False),
    ]
    monkeypatch.setenv("FAKE_ATOMICS", "1")
    found = placed.gpus(driver)
    assert [gpu.atomics for gpu in found] == [(True, True, False), (True, True, True), (True, True, True)]
    assert all(gpu.host_atomics for gpu in found)


def test_a_granularity_is_asked_of_every_gpu(driver: str) -> None:
    assert placed.granularity(driver, [0, 1]) == GRAIN
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        placed.granularity(driver, [0, 5])

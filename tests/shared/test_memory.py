"""Shared memory: checked before allocation, visible to other processes, freed with its last user."""

from __future__ import annotations

import multiprocessing
import os

import pytest
import torch

from hogwild import system
from hogwild.buffers import Scope
from hogwild.errors import UsageError
from hogwild.shared.arena import Arena, share_tensors
from hogwild.shared.layout import ArenaLayout, BufferSpec, ParameterLayout
from hogwild.shared.memory import SharedMemory

SPECS = [
    BufferSpec("x", Scope.SHARED, 33, torch.float32),
    BufferSpec("v", Scope.WORKER, 33, torch.float32),
    BufferSpec("count", Scope.WORKER, 1, torch.int64),
]


def _write(arena: Arena, rank: int) -> None:
    arena.tensor("x")[rank] = float(rank + 1)
    arena.tensor("v", rank).fill_(float(rank + 1))


def test_another_process_sees_the_same_memory():
    arena = Arena.create(SPECS, workers=2)
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_write, args=(arena, rank)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert arena.tensor("x")[:2].tolist() == [1.0, 2.0]
    assert (arena.tensor("v", 1) == 2.0).all()


def test_nothing_is_left_in_dev_shm():
    before = set(os.listdir("/dev/shm"))
    arena = Arena.create(SPECS, workers=2)
    assert set(os.listdir("/dev/shm")) == before
    del arena


def test_too_much_is_refused_before_any_allocation():
    with pytest.raises(UsageError, match=r"needs .* MiB of shared memory \(x .*\), .* MiB are free"):
        Arena.create([BufferSpec("x", Scope.SHARED, 10**15, torch.float32)], workers=2)


def test_the_refusal_on_a_small_machine_lists_the_buffers(monkeypatch: pytest.MonkeyPatch):
    memory = system.Memory(total_bytes=10**9, available_bytes=64 << 20, cgroup_limit_bytes=None)
    monkeypatch.setattr(system, "memory", lambda: memory)
    specs = [
        BufferSpec(name, scope, 13 << 20, torch.float32) for name, scope in (("x", Scope.SHARED), ("v", Scope.WORKER))
    ]
    with pytest.raises(
        UsageError, match=r"needs 156 MiB of shared memory \(x 52 \+ v 104 for 2 workers\), 64 MiB are free"
    ):
        Arena.create(specs, workers=2)


def test_memory_is_aligned_zeroed_and_writable():
    block = SharedMemory(4096, "a test")
    assert block.address % 4096 == 0
    assert not block.bytes.any()
    block.bytes.fill_(7)
    assert (block.bytes == 7).all()


def test_every_buffer_starts_on_its_own_cache_line():
    layout = ArenaLayout.of(SPECS, workers=3)
    starts = [layout.position(name, rank)[0] for name in ("v", "count") for rank in range(3)]
    starts.append(layout.position("x", None)[0])
    assert all(start % 128 == 0 for start in starts)
    assert len(set(starts)) == len(starts)
    with pytest.raises(IndexError, match="kept per worker"):
        layout.position("v", None)
    with pytest.raises(ValueError, match="two buffers"):
        ArenaLayout.of([SPECS[0], SPECS[0]], workers=1)


def test_parameters_become_views_of_the_flat_buffer():
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2, bias=False))
    module[1].weight.requires_grad_(True)
    layout = ParameterLayout.of(module, torch.float32)
    flat = torch.arange(layout.n, dtype=torch.float32)
    layout.bind(module, flat)
    assert layout.parameters == 3 * 5 + 5 + 10
    assert [offset % 32 for offset, _ in layout.segments] == [0, 0, 0]
    assert module[0].weight.data_ptr() == flat.data_ptr()
    flat[layout.offsets[1]] = -1.0
    assert module[0].bias[0].item() == -1.0


def test_tied_parameters_are_stored_once_and_frozen_ones_are_not():
    module = torch.nn.ModuleDict({"a": torch.nn.Linear(4, 4), "b": torch.nn.Linear(4, 4)})
    module["b"].weight = module["a"].weight
    module["b"].bias.requires_grad_(False)
    assert ParameterLayout.of(module, torch.float32).names == ("a.weight", "a.bias")
    with pytest.raises(UsageError, match="no trainable parameters"):
        ParameterLayout.of(torch.nn.ReLU(), torch.float32)


def test_shared_tensors_keep_dtype_and_shape():
    tensors = {"images": torch.randint(0, 255, (5, 3, 3), dtype=torch.uint8), "labels": torch.arange(5)}
    arena, shapes = share_tensors(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(arena.tensor(name).view(shapes[name]), tensor)

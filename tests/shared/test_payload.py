"""A value for many processes: pickled once, its arrays in the memory that all of them map."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
import torch
from slow import rest_is_slow

from hogwild.errors import UsageError
from hogwild.shared.memory import SharedMemory
from hogwild.shared.payload import Payload

ROWS = 100_003


def value() -> dict[str, Any]:
    return {
        "array": np.arange(ROWS, dtype=np.float64),
        "columns": np.asfortranarray(np.arange(3 * ROWS, dtype=np.int32).reshape(3, ROWS)),
        "tensor": torch.arange(ROWS, dtype=torch.float32).view(-1, 1),
        "half": torch.ones(ROWS, dtype=torch.bfloat16),
        "mask": torch.arange(ROWS) % 2 == 0,
        "small": [np.arange(5), torch.arange(3)],
        "part": torch.arange(2 * ROWS, dtype=torch.float32)[::2],
        "constant": np.broadcast_to(np.float32(2.0), (7, 5)),
        "words": ["one", "two"],
    }


def received(payload: Payload) -> Payload:
    """As another process would receive it."""
    copy = Payload.__new__(Payload)
    copy._fd, copy._sizes = os.dup(payload._memory.fileno()), payload._sizes
    return copy


def test_it_comes_out_as_it_went_in():
    want, got = value(), received(Payload(value(), "a value")).load()
    assert got.keys() == want.keys()
    for name in ("array", "columns", "constant"):
        assert np.array_equal(got[name], want[name])
        assert got[name].dtype == want[name].dtype
    for name in ("tensor", "half", "mask", "part"):
        assert torch.equal(got[name], want[name])
    assert np.array_equal(got["small"][0], np.arange(5))
    assert torch.equal(got["small"][1], torch.arange(3))
    assert got["words"] == want["words"]


def test_large_arrays_are_no_part_of_the_pickle_and_small_ones_are():
    only = {name: value()[name] for name in ("array", "columns", "tensor", "half", "mask")}
    payload = Payload(only, "a value")
    assert sorted(payload._sizes[1:]) == sorted([ROWS * 8, 3 * ROWS * 4, ROWS * 4, ROWS * 2, ROWS])
    assert payload._sizes[0] < 2000
    assert len(Payload(value()["small"], "a value")._sizes) == 1


def test_what_one_writes_no_other_sees():
    payload = Payload(value(), "a value")
    one, other = received(payload).load(), received(payload).load()
    one["array"][5] = one["tensor"][5] = -1.0
    assert (other["array"][5], float(other["tensor"][5])) == (5.0, 5.0)
    assert (received(payload).load()["array"][5], one["array"][5]) == (5.0, -1.0)


def total(payload: Payload, results: Connection) -> None:
    results.send(float(payload.load()["array"].sum()))


@pytest.mark.parametrize("method", rest_is_slow(["forkserver", "spawn"], {"forkserver"}))
def test_processes_get_it_as_an_argument(method: str):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    payload = Payload({"array": value()["array"]}, "a value")
    process = context.Process(target=total, args=(payload, theirs))
    process.start()
    theirs.close()  # a process that fails ends the wait
    assert ours.recv() == ROWS * (ROWS - 1) / 2
    process.join(30)
    assert process.exitcode == 0


def test_too_little_memory_is_one_line(monkeypatch):
    def none(self: SharedMemory, nbytes: int, what: str) -> None:
        raise UsageError(f"needs {nbytes} bytes ({what})")

    monkeypatch.setattr(SharedMemory, "__init__", none)
    with pytest.raises(UsageError, match=r"needs \d+ bytes \(a value\)"):
        Payload([1], "a value")

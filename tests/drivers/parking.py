"""Workers that stop themselves (SIGSTOP) at an exact place: in user code, between two calls, in the midst of a kernel.

A place inside compiled code is found by the memory it touches. While the call runs, one page of a buffer is closed to
this process; touching it raises SIGSEGV, and the handler stops the process there, with every lock that it holds. If it
is continued, the page is open again and the instruction is repeated.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from hogwild.drivers.processes.worker import Worker
from hogwild.drivers.view.gathering import Gathering
from hogwild.drivers.view.mailbox import Mailbox
from hogwild.drivers.view.neighbours import Neighbours
from hogwild.kernels.control import Control
from hogwild.kernels.push import Push

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.signal.restype = ctypes.c_void_p  # as an int it would be cut
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
CLOSED, OPEN = 0, mmap.PROT_READ | mmap.PROT_WRITE

# The calls in which a page of that buffer is closed.
INSIDE = {
    "push": ([(Push, "_run"), (Push, "mean")], "x"),
    "exchange": ([(Push, "_run")], "center"),
    "gather": ([(Gathering, "_add")], "sum"),
    "gathered update": ([(Gathering, "_apply_sum")], "x"),
    "pair average": ([(Neighbours, "average_with")], "replica"),
    "mix": ([(Neighbours, "mix")], "replica"),
    "mailbox": ([(Mailbox, "send")], "replica"),
}
# The calls before which a worker stops: in a barrier it has arrived, before the booking its update has been made.
BARRIERS = {"first barrier": 1, "second barrier": 0}
USER_CODE = ("start", "data", "gradient")
PLACES = (*USER_CODE, *INSIDE, *BARRIERS, "booking", "ticket lock", "gate")


def in_worker() -> bool:
    return multiprocessing.current_process().name.startswith("hogwild-")


class Stop:
    """Stops this process the first time that it is at the place and no other process has been there, after `visits - 1`
    visits that go on.
    """

    def __init__(self, marker: str, visits: int) -> None:
        self._marker, self._left = marker, visits
        self._page, self._is_closed = 0, False
        self._handler = HANDLER(self._touched)  # kept: C has only its address
        LIBC.signal(signal.SIGSEGV, self._handler)

    def is_due(self) -> bool:
        """Counts a visit; whether it is one to stop at."""
        self._left -= 1
        return self._left <= 0 and not os.path.exists(self._marker)

    def now(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._marker, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGSTOP)

    @contextlib.contextmanager
    def at_touch(self, address: int) -> Iterator[None]:
        """In this context the first access to the page of `address` stops the process."""
        self._page = address // mmap.PAGESIZE * mmap.PAGESIZE
        self._protect(CLOSED)
        try:
            yield
        finally:
            self._protect(OPEN)

    def _touched(self, _number: int) -> None:
        if not self._is_closed:
            os.abort()  # a fault of another kind
        self._protect(OPEN)
        self.now()

    def _protect(self, how: int) -> None:
        self._is_closed = how == CLOSED
        if LIBC.mprotect(ctypes.c_void_p(self._page), ctypes.c_size_t(mmap.PAGESIZE), how) != 0:
            os.abort()  # not an exception: in the handler it would be dropped, and the instruction repeated for ever


def middle(tensor: Tensor) -> int:
    """The address of a page that belongs to the tensor alone."""
    start, nbytes = tensor.data_ptr(), tensor.numel() * tensor.element_size()
    assert nbytes > 3 * mmap.PAGESIZE
    return start + nbytes // 2


def wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    """Replaces a method by around(the method, self, *arguments)."""
    method = getattr(owner, name)
    setattr(owner, name, lambda self, *args, **kwargs: around(method, self, *args, **kwargs))


def stop_inside(stop: Stop, place: str) -> None:
    methods, buffer = INSIDE[place]

    def around(method: Callable[..., Any], part: Any, *args: Any, **kwargs: Any) -> Any:
        if (place == "exchange" and "center" not in part._buffers) or not stop.is_due():
            return method(part, *args, **kwargs)
        with stop.at_touch(middle(part._buffers[buffer])):
            return method(part, *args, **kwargs)

    for owner, name in methods:
        wrap(owner, name, around)


def stop_in_a_barrier(stop: Stop, parity: int) -> None:
    def around(method: Callable[..., bool], control: Control, rank: int, generation: int, timeout_s: float) -> bool:
        if generation % 2 == parity and stop.is_due():
            stop.now()
        return method(control, rank, generation, timeout_s)

    wrap(Control, "wait_barrier", around)


def stop_before_the_booking(stop: Stop) -> None:
    def around(method: Callable[..., None], control: Control, rank: int) -> None:
        if stop.is_due():
            stop.now()
        method(control, rank)

    wrap(Control, "complete", around)


def stop_in_the_lock_of_the_tickets(stop: Stop) -> None:
    """The lines of the workers are read under the lock; those of the higher ranks are on a page of their own."""
    blocks: list[int] = []

    def begins(method: Callable[..., None], worker: Worker) -> None:
        lines = worker.world.lines
        size = Control.bytes(lines, worker.world.control.stripes) - Control.bytes(1, 0) + Control.bytes(0, 0)
        assert size >= mmap.PAGESIZE, "the last line is on the page of the lock"
        blocks.append(worker.world.control_memory.address + size)
        method(worker)

    def around(method: Callable[..., int], control: Control, *args: Any) -> int:
        if not blocks or not stop.is_due():
            return method(control, *args)
        with stop.at_touch(blocks[0]):
            return method(control, *args)

    wrap(Worker, "enter_run", begins)
    wrap(Control, "take", around)


def stop_at_the_closed_gate(stop: Stop) -> None:
    def around(method: Callable[..., bool], control: Control, rank: int, timeout_s: float) -> bool:
        if stop.is_due() and not method(control, rank, 0.0):
            stop.now()
        return method(control, rank, timeout_s)

    wrap(Control, "enter", around)


HERE: dict[str, Stop] = {}  # the place in user code at which this worker stops


def visit(place: str) -> None:
    if place in HERE and HERE[place].is_due():
        HERE[place].now()


def prepare(place: str, stop: Stop) -> None:
    """Called once in each worker, before it makes its model."""
    if place in USER_CODE:
        HERE[place] = stop
    elif place in INSIDE:
        stop_inside(stop, place)
    elif place in BARRIERS:
        stop_in_a_barrier(stop, BARRIERS[place])
    elif place == "booking":
        stop_before_the_booking(stop)
    elif place == "ticket lock":
        stop_in_the_lock_of_the_tickets(stop)
    else:
        assert place == "gate"
        stop_at_the_closed_gate(stop)


class Net(nn.Module):
    """Buffers of several pages and several stripes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 1201), nn.ReLU(), nn.Linear(1201, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and in_worker():
            visit("gradient")
        return self.layers(inputs)


@dataclass(frozen=True)
class Parked:
    """Makes the model; the first worker that comes to `place` for the `visits`-th time stops there."""

    place: str
    marker: str
    visits: int = 3

    def __call__(self) -> nn.Module:
        if in_worker():
            prepare(self.place, Stop(self.marker, 1 if self.place == "start" else self.visits))
            visit("start")
        return Net()


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Random samples, read one at a time by the workers."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(count, 7, generator=generator)
        self.targets = torch.randint(3, (count,), generator=generator)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        if in_worker():
            visit("data")
        return self.inputs[i], self.targets[i]

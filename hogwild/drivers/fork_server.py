"""The fork server: a process that has imported torch; workers are forked from it. This module imports no torch."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker

from hogwild.drivers.interrupts import SIGNALS
from hogwild.errors import HogwildError

SAFE_PATH = "PYTHONSAFEPATH"
PRELOAD = ["torch", "hogwild.drivers.processes.entry", "hogwild.drivers.forked"]
DYING_S = 1.0  # a process closes its files a little before it can be seen to have ended


def preload() -> list[str]:
    """The modules that the fork server imports. A run of the library names its model and data by functions of the
    library, which every worker would import by itself.
    """
    return PRELOAD + [name for name in ("hogwild.library",) if name in sys.modules]


def start() -> None:
    """Starts the fork server early: it imports torch while this process does, which takes each of them a second."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(preload())
    with signals_blocked(), path_kept():
        forkserver.ensure_running()


def pid() -> int | None:
    """The process that new workers are forked from; None if this process has started none."""
    return getattr(forkserver._forkserver, "_forkserver_pid", None)


def exit_code(server: int) -> int | None:
    """The exit code of that fork server, negative for a signal. None if it still runs a second later."""
    deadline = time.monotonic() + DYING_S
    while True:
        try:  # it stays a zombie: multiprocessing waits for it before it starts another
            ended = os.waitid(os.P_PID, server, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return 0
        if ended is not None:
            return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)


def die_with_parent() -> None:
    """In a process that is forked from the fork server: it is killed when its parent dies, however that dies.

    The parent's end of a pipe closes then, for which the kernel sends the signal. The death signal of prctl would not
    do: it reports the death of the fork server, which lives as long as this process.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process was started by multiprocessing"
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    if not parent.is_alive():
        os._exit(1)


@contextlib.contextmanager
def deaths_named() -> Iterator[None]:
    """In this context, the death of a process of a pool, or of the fork server under it, is one HogwildError."""
    try:
        yield
    except (BrokenProcessPool, ConnectionError, EOFError) as error:
        how = ""
        if (server := pid()) is not None and (code := exit_code(server)) is not None:
            how = f"; the fork server (pid {server}), from which they are forked, died: {name_of(code)}"
        raise HogwildError(
            f"a process that computed runs has died, killed or out of memory{how}. The results so far are kept: start "
            "the command again to go on, with a smaller --jobs if memory was short"
        ) from error


def name_of(code: int) -> str:
    """`SIGKILL` or `exit code 1`, for an exit code that is negative for a signal."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextlib.contextmanager
def path_kept() -> Iterator[None]:
    """A fork server that is started here takes no module from the current directory unless this process does.

    Python lets it search that directory first, where a file torch.py would be taken for torch. 3.10 cannot be told.
    """
    before = os.environ.get(SAFE_PATH)
    if before is None and not {"", os.getcwd()} & set(sys.path):
        os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """A context in which the signals that end a run are blocked. Processes started in it inherit that: a signal to all
    processes of a command, such as Ctrl-C in a terminal, is handled by the parent alone. The fork server would die of
    it, while it imports torch or later.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()  # multiprocessing would otherwise start it later, and unblock the other two
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""The fork server: a process that has imported torch, and of which the workers are copies. Imports no torch here."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker

PRELOAD = ["torch", "hogwild.drivers.processes.worker"]


def start() -> None:
    """Starts it ahead of its use: it imports torch while this process does, which takes each of them a second."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    with ctrl_c_blocked():
        forkserver.ensure_running()


@contextlib.contextmanager
def ctrl_c_blocked() -> Iterator[None]:
    """A terminal sends Ctrl-C to all processes of a command. What is started here inherits the blocked signal, so that
    the parent alone hears it: the fork server would die of it while it imports torch.
    """
    resource_tracker.ensure_running()  # multiprocessing would start it in passing, and unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

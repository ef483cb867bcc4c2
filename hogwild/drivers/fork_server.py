"""The fork server: a process that has imported torch; workers are forked from it. This module imports no torch."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker

SAFE_PATH = "PYTHONSAFEPATH"
PRELOAD = ["torch", "hogwild.drivers.processes.entry"]


def start() -> None:
    """Starts the fork server early: it imports torch while this process does, which takes each of them a second."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOAD)
    with ctrl_c_blocked(), path_kept():
        forkserver.ensure_running()


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
def ctrl_c_blocked() -> Iterator[None]:
    """A context in which Ctrl-C is blocked. A terminal sends Ctrl-C to all processes of a command. Processes started in
    this context inherit the blocked signal, so only the parent handles it; the fork server would die of it while it
    imports torch.
    """
    resource_tracker.ensure_running()  # multiprocessing would otherwise start it too, and unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

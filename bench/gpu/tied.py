"""Ends a child process when its parent has ended, however that happened."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def to_parent() -> None:
    """For `preexec_fn`: the child is killed together with its parent."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

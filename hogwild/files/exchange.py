"""Two directories change places in one step, so that there is no moment at which neither lies at its name."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Any

AT_FDCWD = -100
RENAME_EXCHANGE = 2
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)


@cache
def _renameat2() -> Any:
    """The C library's function, None in one that has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def exchange(one: Path, other: Path) -> bool:
    """Exchanges two directory entries that exist, on one file system (renameat2 with RENAME_EXCHANGE, Linux 3.15).

    False, and nothing has happened, where the file system or the C library cannot do that. OSError.
    """
    if (renameat2 := _renameat2()) is None:
        return False
    if renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(one))

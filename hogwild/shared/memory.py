"""Anonymous shared memory, which the kernel frees even if all its processes are killed.

A block is a memfd: it has no name in any file system, exists as long as a process maps it, and is not limited by the
size of /dev/shm (64 MB in a default container). See docs/adr/0003-memfd.md.
"""

from __future__ import annotations

import mmap
import os
from multiprocessing import reduction
from typing import Any

import torch

from hogwild import system
from hogwild.errors import UsageError

MIB = 1 << 20


class SharedMemory:
    """`nbytes` of zeroed, page-aligned memory, shared with the processes to which it is sent.

    Sendable as an argument of a multiprocessing Process (spawn or forkserver): one file descriptor travels. Raises
    UsageError, before it allocates memory, if the machine has less than that free. `what` describes the use of the
    memory, for that message.
    """

    def __init__(self, nbytes: int, what: str) -> None:
        free = system.memory().available_bytes
        if nbytes > free:
            raise UsageError(
                f"needs {_mib(nbytes)} of shared memory ({what}), {_mib(free)} are free: "
                "use a smaller model, fewer workers, or raise the memory limit of the container"
            )
        fd = os.memfd_create("hogwild", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, nbytes)  # a lack of memory is an error here, not SIGBUS later
            self._map(fd, nbytes)
        except OSError as error:
            os.close(fd)
            raise UsageError(f"cannot reserve {_mib(nbytes)} of shared memory ({what}): {error.strerror}") from error

    def _map(self, fd: int, nbytes: int) -> None:
        buffer = mmap.mmap(fd, nbytes)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            buffer.madvise(mmap.MADV_HUGEPAGE)
        self._fd = fd
        self.nbytes = nbytes
        self.bytes: torch.Tensor = torch.frombuffer(buffer, dtype=torch.uint8)  # keeps the mapping alive

    @property
    def address(self) -> int:
        """The address of the block in this process."""
        return self.bytes.data_ptr()

    def fileno(self) -> int:
        """The file descriptor of the memfd, which this object closes."""
        return self._fd

    def __del__(self) -> None:
        fd = getattr(self, "_fd", None)
        if fd is not None:
            os.close(fd)

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (reduction.DupFd(self._fd), self.nbytes)


def _attach(fd: Any, nbytes: int) -> SharedMemory:
    block = SharedMemory.__new__(SharedMemory)
    block._map(fd.detach(), nbytes)
    return block


def _mib(nbytes: int) -> str:
    return f"{nbytes / MIB:,.0f} MiB" if nbytes >= MIB else f"{nbytes:,} bytes"

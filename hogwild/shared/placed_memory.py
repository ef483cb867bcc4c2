"""Memory on several GPUs at one range of addresses. Other processes map it through one file descriptor per part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import reduction
from typing import Any

from hogwild.errors import UsageError
from hogwild.kernels import placed
from hogwild.shared.placement import Part


class PlacedMemory:
    """`parts` of memory, not zeroed, each on its GPU. In a process to which it is sent, it is mapped at its first use.

    The memory exists until its last user has released it. UsageError if a GPU has not enough memory, or cannot share it
    in this way.
    """

    def __init__(self, parts: Sequence[Part], what: str, driver: str = placed.DRIVER) -> None:
        self.parts, self.what, self._driver = list(parts), what, driver
        self._descriptors: list[int] = []
        try:
            self._mapped: placed.PlacedMemory | None = placed.PlacedMemory(driver, self.parts)
            self._descriptors = self._mapped.share()
        except RuntimeError as error:
            raise UsageError(f"cannot place {what}: {error}") from None

    def _map(self) -> placed.PlacedMemory:
        if self._mapped is None:
            try:
                self._mapped = placed.PlacedMemory(self._driver, self.parts, self._descriptors)
            except RuntimeError as error:
                raise UsageError(f"cannot map {self.what}: {error}") from None
        return self._mapped

    @property
    def address(self) -> int:
        """The address of the memory in this process."""
        return self._map().address

    def allow(self, gpu: int) -> set[int]:
        """Lets kernels of this process on `gpu` access all parts that it can reach; returns the GPUs that hold those
        parts.
        """
        try:
            allowed = self._map().allow(gpu)
        except RuntimeError as error:
            raise UsageError(f"GPU {gpu} cannot use {self.what}: {error}") from None
        return {on for (on, _), is_allowed in zip(self.parts, allowed, strict=True) if is_allowed}

    def __del__(self) -> None:
        for descriptor in getattr(self, "_descriptors", ()):
            os.close(descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        sent = [reduction.DupFd(descriptor) for descriptor in self._descriptors]
        return _receive, (sent, self.parts, self.what, self._driver)


def _receive(sent: Sequence[Any], parts: list[Part], what: str, driver: str) -> PlacedMemory:
    memory = PlacedMemory.__new__(PlacedMemory)
    memory.parts, memory.what, memory._driver, memory._mapped = parts, what, driver, None
    memory._descriptors = [fd.detach() for fd in sent]
    return memory

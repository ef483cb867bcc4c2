"""Which tickets of a run of several boxes are made: what its leases leave out when it is resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

Range = tuple[int, int]


@dataclass(frozen=True)
class Made:
    """Numbers of tickets, as ranges [first, behind the last), ascending and apart from one another."""

    ranges: tuple[Range, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[Iterable[int]]) -> Made:
        """Of ranges in any order, which may overlap."""
        found: list[Range] = []
        for first, stop in sorted((first, stop) for first, stop in ranges):
            if found and first <= found[-1][1]:
                found[-1] = found[-1][0], max(stop, found[-1][1])
            elif first < stop:
                found.append((first, stop))
        return cls(tuple(found))

    def __or__(self, other: Made) -> Made:
        return Made.of((*self.ranges, *other.ranges))

    @property
    def count(self) -> int:
        return sum(stop - first for first, stop in self.ranges)

    def left(self, total: int, size: int) -> list[Range]:
        """(first, count) of blocks of at most `size` tickets, which are all the others of a run of `total`."""
        found, at = [], 0
        for first, stop in (*self.ranges, (total, total)):
            found += [(start, min(size, first - start)) for start in range(at, min(first, total), size)]
            at = stop
        return found

    def text(self) -> str:
        return json.dumps(self.ranges)

    @classmethod
    def of_text(cls, text: bytes | str) -> Made:
        return cls.of(json.loads(text))

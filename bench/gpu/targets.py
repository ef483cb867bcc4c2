"""The targets for a GPU, beside the measurements."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
LARGE, SMALL = 1 << 24, 1 << 22
OUT_OF_CACHE = 1 << 26
GIGA = 1e9


@dataclass(frozen=True)
class Target:
    what: str
    wanted: float
    measured: float | None  # None: not measured
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "met" if (self.measured <= self.wanted if self.at_most else self.measured >= self.wanted) else "missed"


def copy_of(bytes: int) -> str:
    """The name of the yardstick: torch's copy of as many bytes as contestants of that many per element move."""
    return f"copy_ of {bytes} B"


def targets(rows: Iterable[Row]) -> list[Target]:
    by = {(row["group"], row["name"], row.get("n")): row for row in rows}
    sizes = sorted({n for group, _, n in by if group == "push"})
    lists = sorted({n for group, _, n in by if group == "push of 161 tensors"})
    large = [n for n in sizes if n >= LARGE]

    def times(group: str, slow: str, fast: str, ns: Iterable[int]) -> list[float]:
        """The device time of `slow` divided by that of `fast`."""
        pairs = ((by.get((group, slow, n)), by.get((group, fast, n))) for n in ns)
        return [_median(a) / _median(b) for a, b in pairs if a and b]

    def host(name: str) -> float | None:
        row = next((row for (group, found, _), row in by.items() if (group, found) == ("calls", name)), None)
        return None if row is None else statistics.median(row["host_s"]) * 1e6

    def per_step(key: str) -> float | None:
        row = next((row for (group, name, _), row in by.items() if group == "launches" and "element" in name), None)
        return None if row is None else row[key]

    small = [n for n in lists if n <= SMALL + 161]

    def of_copy(name: str) -> float | None:
        found = [row for (group, word, n), row in by.items() if (group, word) == ("push", name) and n >= OUT_OF_CACHE]
        return min((row["of_copy"] for row in found), default=None)

    def fixed_us() -> float | None:
        """Time of the smallest push beyond that of its bytes at the rate of the largest copy."""
        row = by.get(("push", "gap", min(sizes, default=0)))
        copy = by.get(("push", copy_of(36), max(sizes, default=0)))
        if row is None or copy is None or min(sizes) >= LARGE:
            return None
        return (_median(row) - 36 * row["n"] / (copy["gbps"] * GIGA)) * 1e6

    verdicts = [row["verdict"] for (group, _, _), row in by.items() if group == "smoke"]
    passed = verdicts.count("PASS") if verdicts else None
    per_byte = [ratio * 20 / 36 for ratio in times("push", "gap", "torch SGD, fused", large)]
    lost = [max(row["lost"]) for (group, name, _), row in by.items() if (group, name) == ("access", "atomic x 4")]
    return [
        Target("smoke: checks that passed", 10, passed),
        Target("gap push (36 B) of >= 64 M: share of a copy of as many bytes", 0.95, of_copy("gap")),
        Target("the same with one C (28 B)", 0.95, of_copy("gap, one C")),
        Target("heavy ball with snapshot (28 B)", 0.95, of_copy("heavy ball with snapshot")),
        Target("plain push (12 B)", 0.82, of_copy("plain")),
        Target("fixed cost of a push, us", 6.0, fixed_us(), at_most=True),
        Target("gap push: time over fused SGD's (20 B), per byte", 1.0, max(per_byte, default=None), at_most=True),
        Target(
            "the same with one C: time over fused SGD's", 1.4,
            max(times("push", "gap, one C", "torch SGD, fused", large), default=None), at_most=True,
        ),
        Target(
            "161 tensors, <= 4 M: fused SGD's time over the gap push's", 1.0,
            min(times("push of 161 tensors", "torch SGD, fused", "gap", small), default=None),
        ),
        Target(
            "161 tensors, any n: foreach chain's time over the gap push's", 2.0,
            min(times("push of 161 tensors", "foreach chain", "gap", lists), default=None),
        ),
        Target(
            "atomic over racing, time, >= 16 M", 1.1, max(times("push", "gap, atomic", "gap", large), default=None),
            at_most=True,
        ),
        Target("atomic, 4 processes: largest share of updates lost", 0.0, max(lost, default=None), at_most=True),
        Target("kernels per push of 161 tensors (guard element)", 1.0, per_step("kernels"), at_most=True),
        Target("copies and fills per push", 0.0, _sum(per_step("copies"), per_step("fills")), at_most=True),
        Target("waits of the host per push", 0.0, per_step("waits"), at_most=True),
        Target("host time per push of 161 tensors, us", 15.0, host("push, gap, guard element"), at_most=True),
        *_accuracy(by.values()),
    ]  # fmt: skip


def _accuracy(rows: Iterable[Row]) -> Iterator[Target]:
    found = {row["name"]: row.get("test_accuracy") for row in rows if row["group"] == "trainer"}
    one = found.get("1 workers")
    for workers in (2, 4):
        several = found.get(f"{workers} workers")
        gain = None if one is None or several is None else several - one
        yield Target(f"test accuracy of {workers} workers less that of 1", -0.01, gain)


def _median(row: Row) -> float:
    return statistics.median(row["seconds"])


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b

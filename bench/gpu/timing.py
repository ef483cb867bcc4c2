"""Time on the device and time on the host, of contestants that take turns.

A turn is a series of calls between two events. A short sleep on the device precedes them, so that the host is ahead and
the device never waits for it. Device time then covers the kernels and the gaps between them, and host time covers
enqueuing them. There is no synchronisation in between.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from bench.contestants import Contestant
from bench.gpu.scene import Scene
from bench.gpu.targets import GIGA, copy_of

ROUNDS = 7
TURN_S = 0.002  # device time of a turn
MOST_CALLS = 50
SLEEP_CYCLES = 8_000_000  # about 4 ms
SLEEP_S = 0.004
COLD_CALLS = 8
FLUSH_BYTES = 1 << 28  # several times any second-level cache


def turn(scene: Scene, call: Callable[[], object], calls: int) -> tuple[float, float]:
    """(seconds on the device, seconds on the host) of one call, from `calls` in a row."""
    if not scene.on_gpu:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        per_call = (time.perf_counter() - began) / calls
        return per_call, per_call
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(scene.device)
    torch.cuda._sleep(SLEEP_CYCLES)
    start.record()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    host_s = (time.perf_counter() - began) / calls
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / 1e3 / calls, host_s


def cold(scene: Scene, call: Callable[[], object]) -> float | None:
    """Median seconds on the device of a call with cold caches; None in a dry run."""
    if scene.is_dry or not scene.on_gpu:
        return None
    flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=scene.device)
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(COLD_CALLS)]
    for start, stop in events:
        flush.zero_()
        start.record()
        call()
        stop.record()
    torch.cuda.synchronize(scene.device)
    return statistics.median(start.elapsed_time(stop) / 1e3 for start, stop in events)


def compete(
    scene: Scene, group: str, n: int, contestants: Mapping[str, Contestant], rounds: int = ROUNDS, **facts: Any
) -> None:
    """Record a row per contestant. Turns alternate (A B C ... A B C ...), after a first round that does not count.

    `gbps` counts each stream once per read and once per write; `of_copy` compares with torch's copy of as many bytes in
    the same rounds. A copy of as many elements would move fewer bytes, and run out of the cache for longer.
    """
    rounds = 2 if scene.is_dry else rounds
    contestants = {**contestants, **copies(scene.device, n, {c.bytes for c in contestants.values()})}
    calls = {}
    for name, contestant in contestants.items():
        turn(scene, contestant.call, 1)
        device_s, _ = turn(scene, contestant.call, 3)
        calls[name] = min(MOST_CALLS, max(3, round(TURN_S / device_s)))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(turn(scene, contestant.call, calls[name]))
    seconds = {name: [device_s for device_s, _ in pairs] for name, pairs in times.items()}
    rates = {name: c.bytes * n / statistics.median(seconds[name]) / GIGA for name, c in contestants.items()}
    for name, contestant in contestants.items():
        host_s = statistics.median(host for _, host in times[name])
        scene.record(
            group, name, n=n, kind=contestant.kind, bytes=contestant.bytes, calls=calls[name], seconds=seconds[name],
            host_s=host_s, cold_s=cold(scene, contestant.call) if n <= 1 << 22 else None, gbps=rates[name],
            of_copy=rates[name] / rates[copy_of(contestant.bytes)], error=contestant.error,
            is_starved=host_s * calls[name] > SLEEP_S + sum(seconds[name]) / rounds * calls[name],
            **facts,
        )  # fmt: skip


def copies(device: torch.device, n: int, counts: Collection[int]) -> dict[str, Contestant]:
    """For each count of bytes per element a copy_ that moves n times as many: 4 read and 4 written per float."""
    source, target = (torch.empty(max(1, max(counts) * n // 8), device=device) for _ in range(2))

    def copy(floats: int) -> Callable[[], object]:
        into, out_of = target[:floats], source[:floats]
        return lambda: into.copy_(out_of)

    return {copy_of(bytes): Contestant("copy", bytes, copy(max(1, bytes * n // 8))) for bytes in sorted(counts)}

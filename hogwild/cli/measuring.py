"""Two seconds of measurement for `hogwild doctor`, and what follows from them.

Threads of this process stand for workers: products of matrices for gradients, and the push kernel, both of which run
without the interpreter's lock. So a start takes no time, and the rates are those of cores, caches and memory.
"""

from __future__ import annotations

import functools
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

WINDOW_S = 0.14
MATRIX = 256  # rows and columns of the products
ELEMENTS = 1 << 20  # parameters of a push
LARGEST = 32  # workers
MEMORY_BYTES = 64 << 20
NEAR = 1.05  # smaller differences are taken for none
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage")

Work = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """Rates per second of all workers together.

    gradients: number of workers -> rate; the last entry is for all usable cores. threaded: one worker that has as many
    threads. pinned: as that last entry, each worker on a core of its own. pushes: access policy -> rate with a worker
    per usable core. huge_pages: rate of private memory with huge pages over that without, None if the kernel gives
    none. shared_huge: the kernel's setting for shared memory. load: of the machine, in processes, before.
    """

    gradients: dict[int, float]
    threaded: float
    pinned: float
    pushes: dict[str, float]
    huge_pages: float | None
    shared_huge: str | None
    load: float


def measure(usable: int) -> Measured:
    """Takes about two seconds on the `usable` cores, at most LARGEST."""
    load, usable = os.getloadavg()[0], min(usable, LARGEST)
    counts = sorted({1, max(1, usable // 2), usable})
    return Measured(
        gradients={count: rate([_product(1)] * count) for count in counts},
        threaded=rate([_product(usable)]),
        pinned=rate([_product(1, core) for core in sorted(os.sched_getaffinity(0))[:usable]]),
        pushes=_pushes(usable),
        huge_pages=_huge_pages(),
        shared_huge=chosen(HUGE_PAGES / "shmem_enabled"),
        load=load,
    )


def recommended(found: Measured) -> list[str]:
    """Sentences, each with the option that it is about and the figures that it follows from."""
    usable = max(found.gradients)
    one, best = found.gradients[1], max(found.gradients.values())
    workers = min(count for count, speed in found.gradients.items() if speed * NEAR >= best)
    lines = [
        f"--workers {workers}: {best / one:.2f} times the gradients of one worker, on {_cores(usable)}",
        f"one thread a worker, as hogwild sets it: one worker with {usable} threads made {found.threaded / one:.2f} "
        "times the gradients of one thread",
        _pinning(found.pinned / found.gradients[usable]),
        _access(found.pushes),
        _huge(found.huge_pages, found.shared_huge),
    ]
    if usable == 1:
        del lines[1:3]
    if found.load > 0.5:
        lines.append(
            f"the load was {found.load:.1f} before: other work took its share, so measure again on a quiet machine"
        )
    return lines


def _cores(count: int) -> str:
    return "one core" if count == 1 else f"{count} cores"


def _pinning(ratio: float) -> str:
    if ratio > NEAR:
        return f"--pin auto: workers bound to a core each made {ratio:.2f} times as many gradients"
    return f"--pin none, the default: workers bound to a core each made {ratio:.2f} times as many gradients"


def _access(pushes: dict[str, float]) -> str:
    safe = max((name for name in pushes if name != "racing"), key=pushes.__getitem__)
    share = {name: speed / pushes["racing"] for name, speed in pushes.items()}
    figures = ", ".join(f"{name} {share[name]:.2f}" for name in pushes if name != "racing")
    of = f"pushes of a million parameters over those of racing, with nothing between them: {figures}"
    if share[safe] * NEAR >= 1:
        return f"--access {safe}: no update is lost, and it costs little here; {of}"
    return f"--access racing, the default, or {safe} if no update may be lost; {of}"


def _huge(ratio: float | None, shared: str | None) -> str:
    private = "" if ratio is None else f"; private memory was {ratio:.2f} times as fast with them"
    if shared in ("always", "within_size", "advise", "force"):
        return f"huge pages: the kernel gives them to the shared memory of runs ({shared}){private}"
    if shared is None:
        return f"huge pages: this kernel has none for shared memory{private}"
    return (
        f"huge pages: the kernel gives none to shared memory ({shared}){private}. For large models: "
        f"echo advise | sudo tee {HUGE_PAGES}/shmem_enabled"
    )


def rate(works: Sequence[Work], window_s: float = WINDOW_S) -> float:
    """Calls per second of all works together, each repeated in a thread of its own."""
    counts, start = [0.0] * len(works), threading.Barrier(len(works))

    def repeat(index: int, work: Work) -> None:
        work()  # once before: buffers, pages
        start.wait()
        began = now = time.perf_counter()
        done = 0
        while now < began + window_s:
            work()
            done, now = done + 1, time.perf_counter()
        counts[index] = done / (now - began)

    threads = [threading.Thread(target=repeat, args=(index, work)) for index, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def _product(threads: int, core: int | None = None) -> Work:
    import torch

    place = threading.local()

    def work() -> None:
        if not hasattr(place, "a"):  # in the thread that works: its number of threads, its core, its memory
            torch.set_num_threads(threads)
            if core is not None:
                os.sched_setaffinity(0, {core})
            place.a, place.out = torch.randn(MATRIX, MATRIX), torch.empty(MATRIX, MATRIX)
        torch.mm(place.a, place.a, out=place.out)

    return work


def _pushes(workers: int) -> dict[str, float]:
    """Access policy -> pushes per second of `workers` workers into one model."""
    import torch

    from hogwild.kernels import Push
    from hogwild.kernels.control import STRIPE, Control
    from hogwild.rules import Access
    from hogwild.shared.memory import SharedMemory

    locks = ELEMENTS // STRIPE
    memory = SharedMemory(Control.bytes(workers, locks), "control block")
    control = Control(memory.address, workers, locks, create=True)
    x, g = torch.zeros(ELEMENTS), torch.full((ELEMENTS,), 1e-6)

    def worker(rank: int, access: Access) -> Work:
        push = Push(
            x=x, segments=[(0, ELEMENTS)], access=access, snapshot=torch.zeros(ELEMENTS),
            stripes=control.stripe_locks, n_stripes=locks,
        )  # fmt: skip

        def once() -> None:
            push([g], lr=0.1, lr_max=0.1, pushes=0)

        def locked() -> None:
            control.lock_model(rank)
            once()
            control.unlock_model()

        return locked if access is Access.LOCKED else once

    return {access.value: rate([worker(rank, access) for rank in range(workers)]) for access in Access}


def _huge_pages() -> float | None:
    if not hasattr(mmap, "MADV_HUGEPAGE") or chosen(HUGE_PAGES / "enabled") in (None, "never"):
        return None
    import torch

    speeds = []
    for advice in (mmap.MADV_HUGEPAGE, mmap.MADV_NOHUGEPAGE):
        block = mmap.mmap(-1, MEMORY_BYTES)
        block.madvise(advice)
        memory = torch.frombuffer(block, dtype=torch.float32)
        speeds.append(rate([functools.partial(memory.add_, 1.0)]))
    return speeds[0] / speeds[1]


def chosen(path: Path) -> str | None:
    """The value in brackets of one of the kernel's settings, `always [madvise] never`."""
    try:
        return path.read_text().partition("[")[2].partition("]")[0] or None
    except OSError:
        return None

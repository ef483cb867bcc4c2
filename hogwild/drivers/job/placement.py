"""The placement of a run: the memory of its master and the GPUs of its workers, as configured, if the machine can do
it.

The CUDA driver is asked, for every pair of GPUs, whether one can access the other's memory and add to it atomically.
Nothing is replaced silently: `auto` reports its choice, and any other value is either used or refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import torch

from hogwild.algorithms.base import Algorithm
from hogwild.buffers import has_locks
from hogwild.config import Config
from hogwild.drivers.job.device import resolve
from hogwild.errors import UsageError
from hogwild.kernels.placed import DRIVER, Gpu, gpus
from hogwild.runs.console import Console
from hogwild.shared.placement import Placement


def place(config: Config, algorithm: Algorithm, console: Console, driver: str = DRIVER) -> torch.device | Placement:
    """The one device of a run, or its placement. UsageError, in one line, if the machine cannot provide it."""
    first = resolve(config)
    if first.type == "cpu":
        return first
    used = _gpus(config, first)
    if len(used) == 1 and config.master != "host":
        return first  # a master sharded over one GPU is a master on that GPU
    try:
        facts = gpus(driver)
    except RuntimeError as error:
        raise UsageError(f"--gpus {config.gpus} --master {config.master}: {error}") from None
    placement = _placement(config, first, used, facts, driver)
    if config.master == "auto":
        spread = ", ".join(f"cuda:{gpu}" for gpu in used)
        far = _first_that_cannot(permutations(used, 2), facts)
        why = f", for GPU {far[0]} does not reach GPU {far[1]}" if far else ""
        console.info(f"workers on {spread}; master: {placement.master}{why}")
    _require_atomics(config, algorithm, placement, facts)
    return placement


def _gpus(config: Config, first: torch.device) -> tuple[int, ...]:
    """The GPUs of the workers, at most one per worker."""
    count = config.gpus or torch.cuda.device_count()
    return (first.index,) if count == 1 else tuple(range(min(count, config.workers)))


def _placement(config: Config, first: torch.device, used: tuple[int, ...], facts: list[Gpu], driver: str) -> Placement:
    far = _first_that_cannot(permutations(used, 2), facts)
    if config.master == "host" or (config.master == "auto" and far):
        for gpu in used:
            if not facts[gpu].host_pointer:
                raise UsageError(
                    f"--master {config.master}: GPU {gpu} does not see pinned host memory at the host's addresses: use "
                    "--gpus 1 and --master cuda:0"
                )
        return Placement(used, (), driver)
    placement = Placement(used, (first.index,) if config.master.startswith("cuda") else used, driver)
    if far := _first_that_cannot(_remote(placement), facts):
        raise UsageError(
            f"--master {config.master}: GPU {far[0]} does not reach the memory of GPU {far[1]} (no peer access): use "
            "--master host, or --gpus 1"
        )
    return placement


def _remote(placement: Placement) -> list[tuple[int, int]]:
    """Pairs (a worker's GPU, another GPU with memory that it accesses): for the master and for buffers of other
    workers.
    """
    workers = set(placement.gpus)
    return sorted((gpu, holder) for gpu in workers for holder in workers | set(placement.shards) if gpu != holder)


def _first_that_cannot(pairs: Iterable[tuple[int, int]], facts: list[Gpu]) -> tuple[int, int] | None:
    return next(((one, other) for one, other in pairs if not facts[one].reaches[other]), None)


def _require_atomics(config: Config, algorithm: Algorithm, placement: Placement, facts: list[Gpu]) -> None:
    """UsageError if the run needs atomic additions in memory where the GPU can only read and then write, and would lose
    additions in between.
    """
    if config.access == "atomic":
        who, instead = "--access atomic", "use --access racing, or --gpus 1 and --master cuda:0"
    elif has_locks(algorithm.keeps()):  # pair averages add on both sides
        who, instead = f"--algorithm {config.algorithm}", "use --gpus 1 and --master cuda:0"
    else:
        return
    ways = [(gpu, "host memory", facts[gpu].host_atomics) for gpu in placement.gpus if not placement.shards]
    if placement.shards:
        ways = [(one, f"the memory of GPU {other}", facts[one].atomics[other]) for one, other in _remote(placement)]
    for gpu, where, is_native in ways:
        if not is_native:
            raise UsageError(
                f"{who}: GPU {gpu} cannot add in {where} in one operation (no native atomics on the way): {instead}"
            )

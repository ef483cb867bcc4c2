"""`python random_kills.py [--kills N] [--seed N]`: kills workers at arbitrary moments in runs of many algorithms.

Every victim is stopped, looked at through the run's control block, and killed there. A run is then ended by Ctrl-C and
resumed to the end of an epoch. Prints a line per algorithm and a total, as JSON:

    kills, in_lock           of which so many in a lock
    lost                     batches without a gradient in the record of the run, and samples missing in its summary
    twice                    batches whose gradient was used once more: updates beyond one per batch; in rounds, the
                             victims that had handed their gradient over, and not yet booked the batch
    hangs, orphans           runs that did not end within a minute and a half; processes left 30 s after their run
"""

from __future__ import annotations

import argparse
import collections
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from command_runs import ENDLESS, SAMPLES, Run, is_running, recorded_tickets

from hogwild.drivers.job.batches import BatchOrder
from hogwild.kernels.control import Control, Phase

WORKERS, BATCH = 3, 32
LONGEST_S = 0.05  # between two kills, and the time that the replacement takes to start
ALGORITHMS: dict[str, tuple[object, ...]] = {
    "asgd": (),
    "gap-aware": ("--access", "locked"),
    "shifted": ("--access", "striped"),
    "dana-zero": ("--access", "atomic"),
    "dc-asgd": (),
    "ssgd": (),
    "easgd": ("--period", 1, "--access", "striped"),
    "local-sgd": ("--period", 4),
    "downpour": ("--period", 2),
    "ad-psgd": ("--lr", 0.05),
    "d-psgd": ("--lr", 0.05),
    "d2": ("--lr", 0.05),
    "sgp": ("--lr", 0.05),
    "softsync": ("--access", "locked"),
    "k-async": ("--access", "locked"),
}
ROUNDS = ("ssgd", "local-sgd", "d-psgd", "d2")
GATHERING = ("softsync", "k-async")  # a ticket is completed under the lock, before it is recorded


class Block:
    """The control block of a running run, mapped into this process."""

    def __init__(self, pid: int) -> None:
        for name in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{name}"
            if "memfd:hogwild" not in os.readlink(path):
                continue
            descriptor = os.open(path, os.O_RDWR)
            try:
                memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
            finally:
                os.close(descriptor)
            _, workers, stripes = struct.unpack_from("<QII", memory)  # if it is one, after a number that all have
            if len(memory) != Control.bytes(workers, stripes):
                continue
            self._memory = torch.frombuffer(memory, dtype=torch.uint8)
            self.control = Control(self._memory.data_ptr(), workers, stripes, create=False)  # checks that number
            return
        raise LookupError(f"process {pid} has no control block")


def has_stopped(pid: int) -> bool:
    """Stops a process; False if it has ended meanwhile."""
    try:
        os.kill(pid, signal.SIGSTOP)
        while (status := psutil.Process(pid).status()) != psutil.STATUS_STOPPED:
            if status == psutil.STATUS_ZOMBIE:
                return False
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
    return True


def attack(run: Run, kills: int, rng: random.Random) -> collections.Counter[str]:
    """Kills that many workers of a run, one after the other."""
    found: collections.Counter[str] = collections.Counter()
    run.wait_for_workers(WORKERS)
    block = Block(run.process.pid)  # kept: it holds the mapping
    control = block.control
    killed: set[int] = set()
    while found["kills"] < kills:
        fresh = {rank: pid for rank, pid in run.pids().items() if pid not in killed}
        assert run.process.poll() is None, run.process.communicate()
        time.sleep(rng.uniform(0.0, LONGEST_S))
        if not fresh:
            continue
        rank = rng.choice(sorted(fresh))
        if not has_stopped(fresh[rank]):
            killed.add(fresh[rank])
            continue
        stats, arrived = control.stats(rank), control.arrived(rank)
        handed_over = arrived > 0 and (arrived % 2 == 1 or stats["phase"] == Phase.BARRIER)
        found["handed_over"] += handed_over and stats["held"] >= 0
        found["in_lock"] += any(thread == fresh[rank] for _, thread in control.lock_holders())
        os.kill(fresh[rank], signal.SIGKILL)
        killed.add(fresh[rank])
        found["kills"] += 1
    run.wait_for_faults(kills)
    return found


def campaign(name: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kills in one run of an algorithm, and what became of it."""
    rng = random.Random(f"{seed} {name}")
    flags = ("--algorithm", name, "--workers", WORKERS, "--batch-size", BATCH, "--respawn", kills, "--record")
    run = Run(folder, *flags, *ALGORITHMS[name], *ENDLESS, name=name)
    facts: dict[str, Any] = {"algorithm": name}
    family: set[int] = set()
    began = time.monotonic()
    try:
        facts |= {"hangs": 0, **attack(run, kills, rng)}
        family = {child.pid for child in psutil.Process(run.process.pid).children(recursive=True)}
        epochs, summary, _ = run.finish(2)
    except subprocess.TimeoutExpired:
        return {**facts, "hangs": 1}
    finally:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate()
    deadline = time.monotonic() + 30
    while any(map(is_running, family)) and time.monotonic() < deadline:
        time.sleep(0.02)
    facts["orphans"] = sum(map(is_running, family))
    seen = recorded_tickets(run.path)
    batches = BatchOrder(SAMPLES, BATCH, 0).tickets_per_epoch * epochs
    facts["batches"] = batches
    facts["unrecorded"] = batches - len(seen)
    facts["lost"] = epochs * SAMPLES - summary["samples"] + (0 if name in GATHERING else facts["unrecorded"])
    if name in ROUNDS:
        facts["twice"] = facts["handed_over"]
    else:
        facts["twice"] = seen.total() - len(seen) if name in GATHERING else summary["updates"] - batches
    facts["seconds"] = round(time.monotonic() - began, 1)
    return facts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500, help="over all algorithms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--algorithms", default=",".join(ALGORITHMS), help="names, with commas")
    asked = parser.parse_args(arguments)
    names = asked.algorithms.split(",")
    each, total = -(-asked.kills // len(names)), collections.Counter[str]()
    for name in names:
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            facts = campaign(name, each, asked.seed, Path(folder))
        print(json.dumps(facts), flush=True)
        total.update({key: value for key, value in facts.items() if key not in ("algorithm", "handed_over")})
    print(json.dumps({"total": len(names), **{key: round(value, 1) for key, value in total.items()}}))
    return 1 if total["lost"] or total["hangs"] or total["orphans"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

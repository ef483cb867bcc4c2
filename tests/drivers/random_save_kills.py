"""`python random_save_kills.py [--kills N] [--seed N]`: kills a process at random moments while it saves checkpoints.

Half of the kills hit saves of ever new steps, half saves of one and the same step. After each the last checkpoint must
be readable and be the one before, or the one that was being written; then the next process goes on in the same folder.
Only kills inside a save are counted. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

import torch

from hogwild.drivers.checkpoints import store

ELEMENTS = 40_001  # of each of three tensors
BEGUN, SAVED = 0, 1
MESSAGE = struct.Struct("<qq")


def state(value: int) -> dict[str, object]:
    return {name: torch.full((ELEMENTS,), float(value), dtype=torch.float64) for name in ("x", "v", "snapshot")}


def save_for_ever(folder: Path, first: int, same: bool, line: int) -> None:
    """Saves `first`, `first` + 1, ... at steps of these numbers, or all at step 7; tells of each before and after."""
    value = first
    while True:
        os.write(line, MESSAGE.pack(BEGUN, value))
        store.save(folder, 7 if same else value, state(value), {}, keep=2)
        os.write(line, MESSAGE.pack(SAVED, value))
        value += 1


def next_message(line: int) -> tuple[int, int] | None:
    content = os.read(line, MESSAGE.size)
    return MESSAGE.unpack(content) if len(content) == MESSAGE.size else None


def kill_one(folder: Path, first: int, same: bool, delay_s: float) -> tuple[int, int]:
    """A process that saves, killed `delay_s` after it began its second save; its last message."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        save_for_ever(folder, first, same, theirs)
    os.close(theirs)
    last = (SAVED, first - 1)
    while last != (BEGUN, first + 1):
        message = next_message(ours)
        assert message is not None, "the process that saves has ended"
        last = message
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while (message := next_message(ours)) is not None:
        last = message
    os.close(ours)
    return last


def kills(folder: Path, same: bool, count: int, rng: random.Random) -> dict[str, int]:
    value, hits, outside, older, newer, unreadable = 1, 0, 0, 0, 0, 0
    store.save(folder, 7 if same else value, state(value), {}, keep=2)
    began = time.monotonic()
    store.save(folder, 7 if same else value + 1, state(value + 1), {}, keep=2)
    duration_s, value = time.monotonic() - began, value + 2
    while hits < count:
        kind, last = kill_one(folder, value, same, rng.uniform(0, duration_s))
        value = last + 1
        if kind == SAVED:
            outside += 1
            continue
        hits += 1
        try:
            found = store.load(folder).state
            [seen] = {float(tensor.unique()) for tensor in found.values()}
        except Exception as error:
            print(f"unreadable: {error}", file=sys.stderr)
            unreadable += 1
            continue
        older, newer = older + (seen == last - 1), newer + (seen == last)
        unreadable += seen not in (last - 1, last)
    return {"kills": hits, "outside": outside, "older": older, "newer": newer, "unreadable": unreadable}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rng, found = random.Random(asked.seed), {}
    for name, same in (("new steps", False), ("the same step", True)):
        with tempfile.TemporaryDirectory(prefix="saves-") as folder:
            found[name] = kills(Path(folder), same, asked.kills // 2, rng)
    print(json.dumps(found))
    return 1 if any(facts["unreadable"] for facts in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Kills a courier or a box at a random moment of a run of two boxes, again and again.

    PYTHONPATH=tests:. python tests/boxes/random_box_kills.py --kills 50 --seed 1 --between easgd

Each time the survivors must come to their end with exit code 0, a killed box must come back by the same command, and no
process may be left. Prints a line for each kill, and the sums.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from box_runs import Boxes, kill_all, left_over, until

from hogwild.config.between import BETWEEN, PAIRS

KINDS = ("courier", "box", "box and back")


def kill(folder: Path, kind: str, box: int, after_s: float, between: str = PAIRS) -> dict[str, object]:
    """One run. Returns what became of it; AssertionError if it hangs or leaves a process."""
    with Boxes(folder, updates=4000, between_linger=3, between=between) as boxes:
        boxes.start_all()
        until(lambda: all(boxes.exchanges(b) > 0 for b in (0, 1)), "the boxes exchange")
        time.sleep(after_s)
        pids = {b: [boxes.processes[b].pid, *boxes.pids(b)] for b in (0, 1)}
        survivor = 1 - box
        if kind == "courier":
            kill_all([boxes.courier(box).pid])
        else:
            boxes.processes[box].send_signal(signal.SIGKILL)
            boxes.processes[box].wait()
            if kind == "box and back":
                boxes.start(box)
        ending = (0, 1) if kind != "box" else (survivor,)
        codes = boxes.ended(*ending)
        assert codes == [0] * len(ending), [boxes.output(b) for b in ending]
        until(lambda: not list(left_over([*pids[0], *pids[1]])), "no process is left")
        return {"updates": boxes.summary(survivor)["updates"], "faults": boxes.faults(survivor)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--between", choices=BETWEEN, default=PAIRS)
    asked = parser.parse_args(argv)
    draw, seen = random.Random(asked.seed), Counter()
    for number in range(asked.kills):
        kind, box, after_s = draw.choice(KINDS), draw.randrange(2), draw.uniform(0, 0.8)
        with tempfile.TemporaryDirectory() as folder:
            found = kill(Path(folder), kind, box, after_s, asked.between)
        seen[kind] += 1
        print(f"{number + 1}: {kind} of box {box} after {after_s:.2f} s: {found}", flush=True)
    print(f"{asked.kills} kills ({dict(seen)}): 0 hangs, 0 processes left")
    return 0


if __name__ == "__main__":
    sys.exit(main())

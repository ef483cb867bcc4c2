"""Kills a courier, a box or an agent of torchrun at a random moment of a run of two boxes, again and again.

    PYTHONPATH=tests:. python tests/boxes/random_box_kills.py --kills 50 --seed 1 --between easgd

Each time the survivors must come to their end with exit code 0, what was started again must end so too, a box without
its agent must end in order, and no process and no port may be left. No gradient of the run may be made twice, but those
that a box was making when it died. Prints a line for each kill, and the sums.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from box_runs import Boxes, kill_all, left_over, until
from torchrun_boxes import TorchrunBoxes

from hogwild.boxes.leases import block_of
from hogwild.config.between import BETWEEN, PAIRS
from hogwild.runs.files import read_json

KINDS = ("courier", "box", "box and back")
AGENT_KINDS = ("box of an agent", "agent", "agent and back")
"""Under torchrun: its agent starts the box again; the agent dies; it dies and the same command is given again."""
ALL_KINDS = (*KINDS, *AGENT_KINDS)
UPDATES, AGENT_UPDATES = 4000, 6000  # enough to be still in the run when a box comes back
PATIENCE_S = 180.0  # a run that takes longer hangs
IN_HAND = 8  # blocks of tickets that a box has leased ahead at most
ENDED_EARLY = 130


def kill(folder: Path, kind: str, box: int, after_s: float, between: str = PAIRS) -> dict[str, object]:
    """One run. Returns what became of it; AssertionError if it hangs, leaves a process or counts something twice."""
    updates = AGENT_UPDATES if kind in AGENT_KINDS else UPDATES
    make = TorchrunBoxes if kind in AGENT_KINDS else Boxes
    with make(folder, updates=updates, between_linger=3, between=between) as boxes:
        boxes.wait_s = PATIENCE_S
        boxes.start_all()
        until(lambda: all(boxes.exchanges(b) > 0 for b in (0, 1)), "the boxes exchange", boxes.wait_s)
        time.sleep(after_s)
        pids = {b: [boxes.processes[b].pid, *boxes.pids(b)] for b in (0, 1)}
        survivor = 1 - box
        strike(boxes, kind, box)
        if "back" in kind and not (box == 0 and kind in AGENT_KINDS):  # the store has gone with the agent of box 0
            boxes.start(box)
        is_one = kind in ("box", "agent") or (kind == "agent and back" and box == 0)
        ending = (survivor,) if is_one else (0, 1)
        codes = boxes.ended(*ending)
        assert codes == [0] * len(ending), [boxes.output(b) for b in ending]
        until(lambda: not list(left_over([*pids[0], *pids[1]])) and not at_work(folder), "no process is left")
        made = {b: updates_of(boxes, b) for b in (0, 1)}
    if isinstance(boxes, TorchrunBoxes):
        until(lambda: not boxes.listens(), "no port is left")
    require_once(kind, made, updates)
    if kind == "courier" and between == PAIRS:
        exchanges = boxes.summary(1)["exchanges"]
        assert abs(boxes.summary()["exchanges"] - 2 * exchanges) <= 1, "each exchange counts in both boxes"
    return {"updates": made, "faults": boxes.faults(survivor)}


def at_work(folder: Path) -> list[int]:
    """The processes whose folder that is: those of boxes that have come back too."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process.pid)
    return found


def strike(boxes: Boxes, kind: str, box: int) -> None:
    process = boxes.processes[box]
    if kind == "courier":
        kill_all([boxes.courier(box).pid])
    elif isinstance(boxes, TorchrunBoxes):
        child = boxes.box(box)
        if kind == "box of an agent":
            child.kill()
            return
        process.kill()
        process.wait()
        code = child.wait(boxes.wait_s)
        assert code == ENDED_EARLY, f"a box without its agent ended with {code}: {boxes.output(box)}"
    else:
        process.send_signal(signal.SIGKILL)
        process.wait()


def updates_of(boxes: Boxes, box: int) -> list[int]:
    """Of each incarnation of the box; of one that was killed, as its last line has it."""
    found = []
    for path in sorted((boxes.folder / "run").glob(f"box{box}*")):
        summary, lines = read_json(path / "summary.json"), (path / "metrics.jsonl").read_text().splitlines(True)
        told = [json.loads(line) for line in lines if line.endswith("\n") and '"updates"' in line]
        if "updates" in summary:
            found.append(summary["boxes_share"][box] if box == 0 else summary["updates"])
        else:
            found.append(told[-1]["updates"] if told else 0)
    return found


def require_once(kind: str, made: dict[int, list[int]], updates: int) -> None:
    """Together the boxes have made the run once: exactly, if only a courier was killed. The blocks that a dead box had
    in hand are made again.
    """
    total = sum(map(sum, made.values()))
    if kind == "courier":
        assert total == updates, made
    else:
        assert 0 < total <= updates + IN_HAND * block_of(updates, 2), made


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--between", choices=BETWEEN, default=PAIRS)
    parser.add_argument("--kinds", nargs="+", choices=ALL_KINDS, default=ALL_KINDS)
    asked = parser.parse_args(argv)
    draw, seen = random.Random(asked.seed), Counter()
    for number in range(asked.kills):
        kind, box, after_s = draw.choice(asked.kinds), draw.randrange(2), draw.uniform(0, 0.8)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = kill(Path(folder), kind, box, after_s, asked.between)
        seen[kind] += 1
        took_s = time.monotonic() - began
        print(f"{number + 1}: {kind} of box {box} after {after_s:.2f} s: {found}, {took_s:.0f} s", flush=True)
    print(f"{asked.kills} kills ({dict(seen)}): 0 hangs, 0 processes left")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The page of results of bench.boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median, quantiles
from typing import Any

from bench.boxes.training import time_to

ONE, TWO, SLOW, DDP = "one box", "two boxes", "two boxes, one slow", "DistributedDataParallel, one slow"
MOST = {"1.3 M": 0.10, "16 M": 0.02}
"""The largest cost of an iteration with f32 exchanges, by parameters."""
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def page(found: Mapping[str, Any], flags: str, updates: tuple[int, int], target: float) -> str:
    """`found`: as bench.boxes.__main__.measure returns it. `flags`: of the runs, whose lengths are `updates`, the last
    one with a slow half. `target`: the accuracy of times.
    """
    runs, here = found["runs"], found["machine"]
    lines = [
        "# Several boxes on one machine\n",
        "Written by `python -m bench.boxes`; [boxes.md](../boxes.md) says what it is about.",
        f"{here['cpu']}, {here['cores']} cores, torch {here['torch']}, {here['date'][:10]}, load {here['load']:.1f} "
        "before.\n",
        *_costs(found["overhead"]),
        *_training(runs, flags, updates, target),
        "## Targets\n",
        "| | target | measured |",
        "|---|---|---|",
        *(f"| {what} | {wanted} | {got} |" for what, wanted, got in _targets(found["overhead"], runs, target)),
    ]
    return "\n".join(lines) + "\n"


def _costs(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "## What exchanges cost the workers\n",
        "CPU time of an iteration of a worker (gradient of a batch of 32, push) without exchanges, and how much more of"
        " it a turn with exchanges back to back over loopback takes than the turn before it: median and quartiles. The "
        "last two columns are exchanges a second and the CPU time of one, both ends together.\n",
        "| parameters | wire | iteration, ms | more than without | exchanges a second | CPU of an exchange, ms |",
        "|---|---|---|---|---|---|",
    ]
    for name, cost in found.items():
        lines.append(f"| {name} | none | {1e3 * cost['iteration_s']:.2f} | | | |")
        for wire, rate in cost["exchanges_per_s"].items():
            first, _, third = quantiles(cost["more"][wire], n=4) if len(cost["more"][wire]) > 1 else (math.nan,) * 3
            lines.append(
                f"| {name} | {wire} | | {_more(cost, wire):+.1%} ({first:+.1%} to {third:+.1%}) | {rate:.1f} | "
                f"{1e3 * cost['exchange_cpu_s'][wire]:.1f} |"
            )
    return [*lines, ""]


def _training(runs: Runs, flags: str, updates: tuple[int, int], target: float) -> list[str]:
    lines = [
        "## Training\n",
        f"`{flags}`, {updates[0]} updates, {len(runs[ONE])} seeds: means, and the accuracies one by one ({SLOW}: one "
        f"seed, {updates[1]} updates). One box has two workers, two boxes have one each, "
        "under torchrun on loopback, with `--between ad-psgd` and the default period and wire. In the last line the "
        "second of the two is ten times slower, and box 0 is evaluated every few seconds, on the cores of both.\n",
        "| | accuracy | samples a second | updates a second of each box | exchanges |",
        "|---|---|---|---|---|",
    ]
    for name in (ONE, TWO, SLOW):
        rates = ", ".join(_text(_rate(runs, name, box), ".0f") for box in range(len(runs[name][0]["rates"])))
        accuracy, samples, exchanges = (_mean(runs, name, key) for key in ("accuracy", "samples_per_s", "exchanges"))
        each = ", ".join(f"{run['accuracy']:.4f}" for run in runs[name])
        lines.append(f"| {name} | {accuracy:.4f} ({each}) | {samples:.0f} | {rates} | {exchanges:.0f} |")
    lines += [
        f"\nSeconds of training to accuracy {target}, of the model of box 0, or of the first process:\n",
        "| | seconds |",
        "|---|---|",
        *(f"| {name} | {_time_text(runs, name, target)} |" for name in (SLOW, DDP)),
    ]
    return [*lines, ""]


def _targets(costs: Mapping[str, Any], runs: Runs, target: float) -> list[tuple[str, str, str]]:
    lines = [
        (f"cost of f32 exchanges at {name} parameters", f"at most {MOST[name]:.0%}", f"{_more(cost, 'f32'):+.1%}")
        for name, cost in costs.items()
        if name in MOST
    ]
    behind = _mean(runs, ONE, "accuracy") - _mean(runs, TWO, "accuracy")
    lines.append(("accuracy of two boxes below that of one", "at most 0.005", f"{behind:+.4f}"))
    share = _mean(runs, TWO, "samples_per_s") / _mean(runs, ONE, "samples_per_s")
    lines.append(("samples a second of two boxes, of one box's", "at least 0.95", f"{share:.2f}"))
    beside, alone = _rate(runs, SLOW, 0), _rate(runs, TWO, 0)
    kept = beside / alone if beside and alone else None
    lines.append(("updates a second of a box beside a slow one, of its own", "at least 0.95", _text(kept, ".2f")))
    ours, theirs = _time(runs, SLOW, target), _time(runs, DDP, target)
    longer = (theirs or _longest(runs, DDP)) / ours if ours else None
    factor = f"{'' if theirs else 'more than '}{longer:.1f}" if longer else "-"
    what = f"time to accuracy {target} of DistributedDataParallel, over that of boxes"
    return [*lines, (what, "at least 3", factor)]


def _more(cost: Mapping[str, Any], wire: str) -> float:
    return float(median(cost["more"][wire]))


def _mean(runs: Runs, name: str, key: str) -> float:
    return mean(run[key] for run in runs[name])


def _rate(runs: Runs, name: str, box: int) -> float | None:
    """The mean of the runs that were long enough to tell."""
    known = [run["rates"][box] for run in runs[name] if run["rates"][box] is not None]
    return mean(known) if known else None


def _time(runs: Runs, name: str, target: float) -> float | None:
    return time_to(runs[name][0]["course"], target)


def _longest(runs: Runs, name: str) -> float:
    """How long it was trained, to its last evaluation."""
    return float(runs[name][0]["course"][-1][0])


def _time_text(runs: Runs, name: str, target: float) -> str:
    """The time to that accuracy, or how long it took not to come there, and where it was then."""
    seconds, (last, accuracy) = _time(runs, name, target), runs[name][0]["course"][-1]
    return f"{seconds:.1f}" if seconds else f"more than {last:.0f}, accuracy {accuracy:.3f} then"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)

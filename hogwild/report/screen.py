"""A run on the screen of a terminal: a few lines of plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hogwild.report.advice import ended
from hogwild.report.record import Record, Values
from hogwild.report.scale import number, thinned
from hogwild.text import cut, printable

BARS = " ▁▂▃▄▅▆▇█"
MOST_DELAYS = 12
MOST_FAULTS = 5
LONGEST = 400  # characters of a line


def screen(run: Record, width: int) -> list[str]:
    """The lines, of which the second is the present state in short. No control character of the run is in them."""
    what = f"{run.values.get('algorithm')}, {run.values.get('data')}, {run.workers} workers"
    lines = [f"{run.name}: {what}", _state(run), ""]
    for y in run.measured():
        if y == "train_loss" or y.startswith(("test_", "validation_", "ema_")):
            values = [value for _, value in run.curve(y)]
            if values:
                lines.append(f"{y:18} {spark(values, max(10, min(60, width - 36)))} {number(values[-1])}")
    lines += _delays(run)
    lines += _workers(run)
    faults = run.of("fault")
    lines += [f"{event['time']:.1f} s: {event.get('message')}" for event in faults[-MOST_FAULTS:]]
    if len(faults) > MOST_FAULTS:
        lines.append(f"({len(faults) - MOST_FAULTS} faults before these)")
    return [cut(printable(line).replace("\n", " "), LONGEST) for line in lines]


def spark(values: Sequence[float], columns: int) -> str:
    """The course of the values as one line of blocks, the last `columns` columns of it."""
    points = [value for _, value in thinned([(float(k), v) for k, v in enumerate(values)], columns // 4 or 1)][
        -columns:
    ]
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    return "".join(BARS[1 + round((value - low) / span * (len(BARS) - 2))] for value in points)


def _state(run: Record) -> str:
    if run.has_ended:
        facts = run.summary
        return f"ended: {facts.get('exit_reason')}, {facts.get('updates')} updates, {facts.get('samples')} samples"
    lines = run.of("train")
    if not lines:
        return "starting: nothing was trained yet"
    last = lines[-1]
    delay = last.get("delay")
    mean = delay.get("mean") if isinstance(delay, Mapping) else None
    parts = [f"{last['time']:.0f} s", f"{last.get('samples', 0):,} samples", f"{last.get('updates', 0):,} updates"]
    rates = {
        "samples/s": last.get("samples_per_s"),
        "delay": mean,
        "loss": last.get("train_loss"),
        "lr": last.get("lr"),
    }
    parts += [f"{name} {number(float(value))}" for name, value in rates.items() if isinstance(value, (int, float))]
    return ", ".join(parts)


def _workers(run: Record) -> list[str]:
    """At the end what each worker has done, before that what it is doing."""
    if run.has_ended:
        return [
            f"worker {event.get('worker')}: {event.get('pushes')} pushes, {event.get('samples')} samples"
            for event in ended(run)
        ]
    lines = []
    for rank, spent in (_intervals(run) or [{}])[-1].get("phase_s", {}).items():
        shares = sorted(spent.items(), key=lambda item: -item[1])
        whole = sum(spent.values())
        lines.append(f"worker {rank}: {', '.join(f'{name} {100 * s / whole:.0f} %' for name, s in shares)}")
    return lines


def _intervals(run: Record) -> list[Values]:
    return [event["interval"] for event in run.of("train") if isinstance(event.get("interval"), Mapping)]


def _delays(run: Record) -> list[str]:
    counts = Counter(run.summary.get("delay_histogram") if run.has_ended else {})
    for interval in [] if run.has_ended else _intervals(run):
        counts.update(interval.get("delay", {}))
    if not (total := counts.total()):
        return []
    mean = sum(int(delay) * count for delay, count in counts.items()) / total
    lines = ["", f"delays, {mean:.2f} on average:"]
    for delay in sorted(counts, key=int)[:MOST_DELAYS]:
        lines.append(f"  {delay:>4} {'█' * round(40 * counts[delay] / total)} {100 * counts[delay] / total:.1f} %")
    return lines

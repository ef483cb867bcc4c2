"""One sentence on what to try next, where the numbers of a run say it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from hogwild.report.record import Record, Values

FEW_PUSHES = 0.5  # of the median worker's: a straggler
MUCH_WAITING = 0.2
MUCH_LOCKING = 0.1
MANY_SKIPPED = 0.2
MUCH_CLOSED = 0.1
MUCH_DELAY = 2.0
MANY_LOST = 0.01
LONG_EVALUATION = 0.3
PHASES = ("data", "gradient", "sleep", "update", "lock", "waiting", "paused")
"""Of a worker's time, in the order in which they are shown. Runs of version 0.1 have three of them: gradient with data
and sleep, update with lock, waiting with paused."""


def advice(run: Record) -> str:
    """The most pressing advice; "" if the numbers give none."""
    return next((text for rule in RULES if (text := rule(run))), "")


def diverged(run: Record) -> str:
    if not run.has_diverged:
        return ""
    delay = mean_delay(run)
    lr = run.summary.get("lr", run.values.get("lr"))
    late = f" at a mean delay of {delay:.1f}" if delay >= 0.5 else ""
    return (
        f"The loss is no longer finite{late}: try a lower learning rate than {lr}, or --lr auto, which asks the theory."
    )


def beyond_the_edge(run: Record) -> str:
    ratios = [event["ratio"] for event in run.of("edge") if isinstance(event.get("ratio"), float)]
    if not ratios or ratios[-1] <= 1:
        return ""
    return (
        f"The learning rate is {ratios[-1]:.2f} times the largest stable one at the last measurement: "
        "try a lower one, or less momentum."
    )


def straggler(run: Record) -> str:
    pushes = {event.get("worker"): event.get("pushes") for event in ended(run)}
    counts = [count for count in pushes.values() if isinstance(count, int)]
    if len(counts) < 2 or min(counts) >= FEW_PUSHES * statistics.median(counts):
        return ""
    slow = min(pushes, key=lambda worker: pushes[worker] or 0)
    return (
        f"Worker {slow} made {min(counts)} pushes, and the median is {statistics.median(counts):.0f}: look at what "
        "else runs on its core, or take an algorithm that weighs gradients by their delay (gap-aware, staleness-lr)."
    )


def waiting(run: Record) -> str:
    shares = [spent.get("waiting", 0.0) for spent in times(run).values()]
    if not shares or statistics.fmean(shares) < MUCH_WAITING:
        return ""
    return (
        f"Workers wait for each other {100 * statistics.fmean(shares):.0f} % of their time: try a longer period, or an "
        "algorithm without rounds."
    )


def conflicts(run: Record) -> str:
    """One lock for all, or chunks of pair averages that others hold."""
    locked = [spent.get("lock", 0.0) for spent in times(run).values()]
    if locked and statistics.fmean(locked) > MUCH_LOCKING:
        return (
            f"Workers wait for the lock of the model {100 * statistics.fmean(locked):.0f} % of their time: try "
            "--access racing or striped, or a larger batch."
        )
    averaged, skipped = (_count(run.summary.get(f"chunks_{name}")) for name in ("averaged", "skipped"))
    if skipped > MANY_SKIPPED * (averaged + skipped):
        return (
            f"{100 * skipped / (averaged + skipped):.0f} % of the chunks of pair averages were skipped, for another "
            "worker held them: average less often, or among more workers."
        )
    return ""


def closed_gate(run: Record) -> str:
    gates = run.of("gate")
    closed = sum(_count(event.get("opened")) - _count(event.get("closed")) for event in gates)
    whole = _count(run.summary.get("wall_s"))
    if whole < 1 or closed < MUCH_CLOSED * whole:
        return ""
    return (
        f"The gate was closed {100 * closed / whole:.0f} % of the time, {len(gates)} times, for evaluations and "
        "checkpoints: try a longer --eval-every and --ckpt-every."
    )


def long_delays(run: Record) -> str:
    """Equal workers without rounds have a mean delay of one less than their number: rates are chosen for that."""
    expected, delay = max(run.workers - 1, 1), mean_delay(run)
    if not delay > MUCH_DELAY * expected:
        return ""
    return (
        f"The mean delay is {delay:.1f}, and {run.workers} equal workers have {expected}: a learning rate that was "
        "made for that is too large here. Look for a straggler, or lower the learning rate."
    )


def lost_work(run: Record) -> str:
    lost = sum(_count(run.summary.get(name)) for name in ("refused", "dropped"))
    updates = _count(run.summary.get("updates"))
    if lost <= MANY_LOST * (updates + lost):
        return ""
    return (
        f"{lost:.0f} gradients were not used, {100 * lost / (updates + lost):.1f} % of all: they were not finite "
        "or came too late. Look at the learning rate and the data."
    )


def long_evaluations(run: Record) -> str:
    evaluating, whole = _count(run.summary.get("eval_s")), _count(run.summary.get("wall_s"))
    if run.is_virtual or whole < 10 or evaluating < LONG_EVALUATION * whole:
        return ""
    return f"Evaluations took {evaluating:.0f} s of {whole:.0f} s: try a longer --eval-every."


def short_gradients(run: Record) -> str:
    spent = times(run).values()
    if not spent or statistics.fmean(one.get("update", 0.0) for one in spent) < 0.5:
        return ""
    return "Updates take longer than gradients: try a larger batch, or fewer workers."


RULES: tuple[Callable[[Record], str], ...] = (
    diverged, beyond_the_edge, lost_work, straggler, long_delays, conflicts, waiting, closed_gate, short_gradients,
    long_evaluations,
)  # fmt: skip


def ended(run: Record) -> list[Values]:
    """The closing lines of the workers, one each: that of the last part of a resumed run."""
    last = {event.get("worker"): event for event in run.of("worker") if event.get("event") == "ended"}
    return [last[worker] for worker in sorted(last, key=str)]


def times(run: Record) -> dict[int, dict[str, float]]:
    """Worker -> shares of its time in each of PHASES. Empty where no time was recorded."""
    found = {}
    for event in ended(run):
        spent = {name: _count(event.get(f"{name}_s")) for name in PHASES}
        if (total := sum(spent.values())) > 0:
            found[event["worker"]] = {name: value / total for name, value in spent.items()}
    return found


def mean_delay(run: Record) -> float:
    delay = run.summary.get("delay")
    return _count(delay.get("mean")) if isinstance(delay, dict) else math.nan


def _count(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0

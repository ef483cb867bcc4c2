"""The rows of an experiment about the choice of a method as one line per method, as a page, and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from hogwild.reproduce.figure import Row, groups

HEAD = "| method | lr | time | accuracy | loss | delay | bytes |\n|---|---|---|---|---|---|---|\n"


class Best(NamedTuple):
    """A method at its best learning rate: means over the seeds. `time`: virtual, to the target; None if a seed never
    reached it. `spread`: the sample standard deviation of the accuracy.
    """

    lr: float
    time: float | None
    accuracy: float
    spread: float
    loss: float | None
    seeds: int
    delay_mean: float
    delay_sd: float
    bytes: float


def method(row: Row) -> str:
    return f"{row['algorithm']} {row['options'] or ''}".strip()


def target(rows: Sequence[Row]) -> str:
    """What is to be reached in a setting: an accuracy, by seed, or a training loss."""
    goals = sorted({row["target"] for row in rows})
    numbers = f"{goals[0]:.4g}" if len(goals) == 1 else f"{goals[0]:.4g} to {goals[-1]:.4g} (by seed)"
    return f"{'test accuracy' if rows[0]['goal'] == 'accuracy' else 'training loss'} of {numbers}"


def bests(rows: Sequence[Row]) -> dict[str, dict[str, Best]]:
    """Setting -> method -> its best."""
    return {
        setting: {name: _best(mine) for name, mine in _by_method([row for row in inside if row["chosen"]]).items()}
        for setting, inside in groups(rows, "setting").items()
    }


def _by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(method(row), []).append(row)
    return found


def _best(rows: Sequence[Row]) -> Best:
    def mean(name: str) -> float | None:
        values = [row[name] for row in rows]
        return None if None in values else statistics.fmean(values)

    accuracies = [row["accuracy"] or 0.0 for row in rows]
    spread = statistics.stdev(accuracies) if len(rows) > 1 else 0.0
    sizes = [mean(name) or 0.0 for name in ("delay_mean", "delay_sd", "bytes")]
    return Best(rows[0]["lr"], mean("time"), statistics.fmean(accuracies), spread, mean("loss"), len(rows), *sizes)


def page(rows: Sequence[Row]) -> str:
    """Markdown: for each setting a table of the methods, the fastest first. A learning rate at an edge of the list says
    so: beyond it may be a better one.
    """
    parts = []
    for setting, found in bests(rows).items():
        first = next(row for row in rows if row["setting"] == setting)
        what = target([row for row in rows if row["setting"] == setting])
        count = max(best.seeds for best in found.values())
        seeds = "one seed" if count == 1 else f"{count} seeds"
        tried = _by_method([row for row in rows if row["setting"] == setting])
        ordered = sorted(found.items(), key=lambda item: _order(item[1]))
        lines = [_line(name, best, {row["lr"] for row in tried[name]}) for name, best in ordered]
        parts.append(
            f"### {setting}\n\n{first['workers']} workers, clock {first['clock']}, shard {first['shard']}, latency "
            f"{first['latency']:g}, {first['data']}; time to a {what}, of {first['until']:g} "
            f"in all; {seeds}\n\n{HEAD}{''.join(lines)}"
        )
    return "\n".join(parts)


def _order(best: Best) -> tuple[float, float]:
    return (float("inf") if best.time is None else best.time), -best.accuracy


def _line(name: str, best: Best, lrs: set[float]) -> str:
    edge = " (edge)" if best.lr in (min(lrs), max(lrs)) and len(lrs) > 1 else ""
    time = "-" if best.time is None else f"{best.time:.1f}"
    loss = "-" if best.loss is None else f"{best.loss:.4f}"
    spread = f" ± {best.spread:.4f}" if best.seeds > 1 else ""
    delay = f"{best.delay_mean:.1f} ± {best.delay_sd:.1f}"
    return (
        f"| {name} | {best.lr:g}{edge} | {time} | {best.accuracy:.4f}{spread} | {loss} | {delay} | {best.bytes:.1f} |\n"
    )


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """The time to the target of every method, a colour for each setting; at the right edge, open: never."""
    found = bests(rows)
    names = list(dict.fromkeys(name for inside in found.values() for name in inside))
    latest = max(row["until"] for row in rows)
    for number, (setting, inside) in enumerate(found.items()):
        reached = [(best.time, names.index(name)) for name, best in inside.items() if best.time is not None]
        never = [names.index(name) for name, best in inside.items() if best.time is None]
        axes.plot([time for time, _ in reached], [y for _, y in reached], "o", color=f"C{number}", label=setting)
        axes.plot([latest] * len(never), never, "o", color=f"C{number}", fillstyle="none")
    axes.set_yticks(range(len(names)), names, fontsize=8 if len(names) < 16 else 5)
    axes.invert_yaxis()
    axes.set(xlabel="virtual time to the target", xscale="log")
    axes.legend(fontsize="small")

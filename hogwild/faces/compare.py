"""`hogwild compare`: algorithms x workers x clocks x seeds in the simulator; a table, a CSV and a plot.

Goes on where it stopped: a cell whose result is in the directory is not run again.
"""

from __future__ import annotations

import csv
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hogwild.config import FIELDS, override, read_yaml
from hogwild.errors import UsageError
from hogwild.faces import flags
from hogwild.options import unknown
from hogwild.system import THREAD_VARIABLES

ALGORITHMS = "ssgd,asgd,nag-asgd,staleness-aware,gap-aware,dana-slim,dana-zero,dana-ga,dc-asgd,shifted"
CLOCKS = "gamma"
WORKERS = "1,4,8,16,32,64"
Rows = Iterable[Mapping[str, Any]]


def main(argv: Sequence[str]) -> int:
    """Run the missing cells, then write table.md, table.csv and plot.png."""
    given = vars(_parser().parse(argv))
    names = ("algorithms", "clocks", "workers_list", "seeds", "jobs", "directory", "delay_rule")
    algorithms, clocks, workers, seeds, jobs, folder, rule = (given.pop(name) for name in names)
    if (file := given.pop("config")) is not None:
        given = override(read_yaml(Path(file)), given)
    if taken := [name for name in ("algorithm", "workers", "clock", "seed", "out", "name") if name in given]:
        raise UsageError(
            f"{flags.flag(taken[0])} is part of the grid: use --algorithms, --workers-list, --clocks, --seeds"
        )
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    from hogwild.algorithms import REGISTRY

    for name in [*algorithms, *rule]:
        if name not in REGISTRY:
            raise unknown("algorithm", name, REGISTRY)
    from hogwild.drivers import comparison
    from hogwild.drivers.clocks import parse as parse_clock

    for clock in clocks:
        parse_clock(clock, max(workers), 0, {})
    folder.mkdir(parents=True, exist_ok=True)
    values = {"eval_every": 0, **given, "out": str(folder / "runs")}
    cells = [
        comparison.Cell(algorithm, count, clock, seed, tuple(_values(values, algorithm, count, rule).items()))
        for clock in clocks
        for count in workers
        for algorithm in algorithms
        for seed in range(seeds)
    ]
    known = {name for algorithm in algorithms for name in REGISTRY[algorithm].options()}
    if strange := [name for name in given if name not in {*FIELDS, *known}]:
        raise UsageError(f"none of {', '.join(algorithms)} has the option {flags.flag(strange[0])}: leave it out")
    for cell in cells:
        assert cell.config, "an invalid cell raises its UsageError before any run begins"
    for row in comparison.run(cells, folder, jobs):
        print(f"{' '.join(map(str, row['key']))}: {_score(row):.4f}  gap {row['gap_rms'] or math.nan:.3g}", flush=True)
    keys = {cell.key for cell in cells}
    rows = [row for row in comparison.read(folder) if tuple(row["key"]) in keys]
    write_csv(rows, folder / "table.csv")
    table = markdown(rows)
    (folder / "table.md").write_text(table)
    plot(rows, folder / "plot.png")
    print(table)
    return 0


def _values(values: dict[str, Any], algorithm: str, workers: int, rule: Sequence[str]) -> dict[str, Any]:
    """A cell's values: of the algorithms' own options those that this one has; lr / delay for the algorithms that ask
    for it (Giladi et al. 2020), at a mean delay of N - 1.
    """
    from hogwild.algorithms import REGISTRY
    from hogwild.config import Config

    own = REGISTRY[algorithm].options()
    values = {name: value for name, value in values.items() if name in FIELDS or name in own}
    if algorithm not in rule or workers < 3:
        return values
    lr = Config.from_values({**values, "algorithm": algorithm}).lr
    return {**values, "lr": lr / (workers - 1)}


def _parser() -> Any:
    parser = flags.parser(
        "hogwild compare",
        "Compare algorithms under the virtual clock. Options of simulate apply too, an algorithm's own to it.",
    )
    grid = parser.add_argument_group("grid")
    grid.add_argument("--algorithms", type=_names, default=_names(ALGORITHMS), metavar="NAME,NAME")
    grid.add_argument("--clocks", type=lambda text: text.split(";"), default=[CLOCKS], metavar="CLOCK;CLOCK")
    grid.add_argument("--workers-list", type=_counts, default=_counts(WORKERS), metavar="N,N")
    grid.add_argument("--seeds", type=int, default=3, metavar="N", help="0, 1, ..., N-1")
    grid.add_argument("--lr-over-delay", type=_names, default=[], dest="delay_rule", metavar="NAME,NAME",
                      help="algorithms whose lr is divided by the mean delay N - 1")  # fmt: skip
    grid.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N", help="runs at a time")
    grid.add_argument("--directory", type=Path, default=Path("runs/compare"), metavar="DIR", help="results go here")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--workers-list {text}: numbers such as 1,4,16") from None
    if any(count < 1 for count in counts):
        raise UsageError(f"--workers-list {text}: every number must be at least 1")
    return counts


def _score(row: Mapping[str, Any]) -> float:
    found = next((value for name, value in row.items() if name.startswith("test_") and name != "test_loss"), None)
    return math.nan if found is None else float(found)


def _groups(rows: Rows) -> dict[tuple[str, str, int], list[Mapping[str, Any]]]:
    """(clock, algorithm, workers) -> its seeds, in the order in which they first appear."""
    groups: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["key"][2], row["key"][1])):
        algorithm, workers, clock, _ = row["key"]
        groups.setdefault((clock, algorithm, workers), []).append(row)
    return groups


def write_csv(rows: Rows, path: Path) -> None:
    """One line per run."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["algorithm", "workers", "clock", "seed", "lr", "score", "gap_rms", "delay_mean", "exit_reason"]
        )
        for row in sorted(rows, key=lambda row: [str(part) for part in row["key"]]):
            delay = (row["delay"] or {}).get("mean")
            writer.writerow([*row["key"], row["lr"], _score(row), row["gap_rms"], delay, row["exit_reason"]])


def markdown(rows: Rows) -> str:
    """Per clock a table of mean +- spread (sample standard deviation over seeds) of the score, and one of the gap."""
    groups = _groups(rows)
    lines = []
    for clock in dict.fromkeys(clock for clock, _, _ in groups):
        workers = sorted({count for c, _, count in groups if c == clock})
        algorithms = dict.fromkeys(algorithm for c, algorithm, _ in groups if c == clock)
        for title, cell in (("score", _score_cell), ("gap_rms, mean", _gap_cell)):
            lines += [f"### {clock}: {title}", "", f"| algorithm | {' | '.join(f'N = {count}' for count in workers)} |"]
            lines.append("|---" * (len(workers) + 1) + "|")
            for algorithm in algorithms:
                cells = [cell(groups.get((clock, algorithm, count), [])) for count in workers]
                lines.append(f"| {algorithm} | {' | '.join(cells)} |")
            lines.append("")
    return "\n".join(lines)


def _score_cell(rows: Sequence[Mapping[str, Any]]) -> str:
    scores = [score for score in map(_score, rows) if math.isfinite(score)]
    diverged = len(rows) - len(scores)
    if not scores:
        return "diverged" if rows else "-"
    spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{statistics.mean(scores):.4f}{spread}" + (f" ({diverged} diverged)" if diverged else "")


def _gap_cell(rows: Sequence[Mapping[str, Any]]) -> str:
    gaps = [row["gap_rms"] for row in rows if row["gap_rms"] is not None]
    return f"{statistics.mean(gaps):.2e}" if gaps else "-"


def plot(rows: Rows, path: Path) -> None:
    """Score over the number of workers, a line per algorithm, a panel per clock."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("the plot needs matplotlib: pip install 'hogwild[plot]' (the tables are written)") from None
    groups = _groups(rows)
    clocks = list(dict.fromkeys(clock for clock, _, _ in groups))
    figure = Figure(figsize=(6.5 * max(len(clocks), 1), 4.5), layout="constrained")
    for panel, clock in enumerate(clocks):
        axes = figure.add_subplot(1, len(clocks), panel + 1)
        for algorithm in dict.fromkeys(name for c, name, _ in groups if c == clock):
            points = [
                (count, statistics.mean(scores))
                for (c, name, count), runs in groups.items()
                if (c, name) == (clock, algorithm)
                and (scores := [score for score in map(_score, runs) if math.isfinite(score)])
            ]
            axes.plot(*zip(*points, strict=True), marker="o", label=algorithm)
        axes.set(xscale="log", xlabel="workers", ylabel="test score", title=clock)
        axes.set_xticks(sorted({count for c, _, count in groups if c == clock}))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)

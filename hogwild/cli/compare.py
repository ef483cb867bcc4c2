"""`hogwild compare`: algorithms x workers x clocks x values of an option x seeds in the simulator.

Writes a table, a CSV, a plot and a page with learning curves. A comparison that was interrupted or killed goes on:
cells with a result in the directory are not run again, and all files but the wall times have the same bytes in the end.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hogwild import system
from hogwild.cli import flags
from hogwild.cli.comparison_report import Report, score
from hogwild.cli.shell import Parser
from hogwild.config import FIELDS, Config, override
from hogwild.config.algorithm import options_of
from hogwild.config.checks import PROCESS_ONLY
from hogwild.errors import UsageError
from hogwild.files.writing import refuse_links, write_atomically
from hogwild.runs.directory import LINKS, is_run
from hogwild.text import say

ALGORITHMS = "ssgd,asgd,nag-asgd,staleness-aware,gap-aware,dana-slim,dana-zero,dana-ga,dc-asgd,shifted"
CLOCKS = "gamma"
WORKERS = "1,4,8,16,32,64"
OF_GRID = ("algorithm", "workers", "clock", "seed", "out", "name")  # options that the grid sets
UNUSED = {*OF_GRID, *PROCESS_ONLY, "resume", "ckpt", "overwrite", "quiet", "json"}  # options without an effect


class Variation(NamedTuple):
    """An option and its values in the grid."""

    option: str
    values: tuple[str, ...]


def main(argv: Sequence[str]) -> int:
    """Runs the missing cells, then writes table.md, table.csv, plot.png and report.html."""
    given = vars(parser(argv).parse(argv))
    names = ("algorithms", "clocks", "workers_list", "seeds", "jobs", "directory", "delay_rule", "vary", "tune")
    algorithms, clocks, workers, seeds, jobs, folder, rule, vary, tune = (given.pop(name) for name in names)
    varied = [variation.option for variation in (vary, tune) if variation]
    file, trust = given.pop("config"), given.pop("trust")
    if file is not None:
        given = override(flags.read_config(Path(file), trust), given)
    if taken := [name for name in OF_GRID if name in {*given, *varied}]:
        raise UsageError(
            f"{flags.flag(taken[0])} is part of the grid: use --algorithms, --workers-list, --clocks, --seeds"
        )
    if twice := [name for name in varied if name in given or varied.count(name) > 1]:
        raise UsageError(f"{flags.flag(twice[0])} has the values of --vary or --tune: give it once")
    if not (algorithms and clocks):
        raise UsageError("there is nothing to compare: name --algorithms and --clocks, or leave them out")
    for flag, count in (("--seeds", seeds), ("--jobs", jobs)):
        if count < 1:
            raise UsageError(f"{flag} {count}: it must be at least 1")
    if absent := [name for name in rule if name not in algorithms]:
        raise UsageError(f"--lr-over-delay {absent[0]} is none of the algorithms that are compared: leave it out")
    for variable in system.THREAD_VARIABLES:
        os.environ[variable] = "1"
    variants = math.prod(len(variation.values) for variation in (vary, tune) if variation)
    runs = len(algorithms) * len(workers) * len(clocks) * variants * seeds
    say(f"hogwild compare: {runs} runs of {', '.join(algorithms)}, {jobs} at a time -> {folder}")
    own = {name: options_of(name, FIELDS) for name in [*algorithms, *rule]}
    if lacking := [(a, o) for o in varied for a in algorithms if o not in {*FIELDS, *own[a]}]:
        raise UsageError(f"algorithm {lacking[0][0]} has no option {lacking[0][1]!r}, which is varied: leave one out")
    from hogwild.drivers import comparison
    from hogwild.drivers.simulated.clocks import parse as parse_clock
    from hogwild.report import comparison as comparison_page
    from hogwild.report.record import Record, showing
    from hogwild.runs.console import Console, Status

    for clock in clocks:
        parse_clock(clock, max(workers), 0, {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}; choose another --directory") from None
    refuse_links(folder, LINKS)
    values = {"eval_every": 1, **given, "out": str(folder / comparison.RUNS)}
    cells = [
        comparison.Cell(algorithm, count, clock, seed, tuple(its.items()), _names_of(variant))
        for clock in clocks
        for count in workers
        for algorithm in algorithms
        for variant in _variants(vary, tune)
        for its in [_values(override(values, variant), own[algorithm], algorithm, count, rule)]
        for seed in range(seeds)
    ]
    known = {name for algorithm in algorithms for name in own[algorithm]}
    if strange := [name for name in given if name not in {*FIELDS, *known}]:
        raise UsageError(f"none of {', '.join(algorithms)} has the option {flags.flag(strange[0])}: leave it out")
    for cell in cells:
        assert cell.config, "building the config raises the UsageError of an invalid cell before any run begins"
    comparison.require_same_options(cells, folder)
    with Console() as console:
        if count := comparison.unchecked(cells, folder):
            console.warn(
                f"{folder}: {count} results are of version 0.2.0 or older, which kept no options: they are shown "
                "as if they were made with these"
            )
        progress = Status(0, len(comparison.missing(cells, folder)), epoch=None, unit="runs")
        for count, row in enumerate(comparison.run(cells, folder, jobs), 1):
            console.info(f"{' '.join(map(str, row['key']))}: {score(row):.4f}  gap {row['gap_rms'] or math.nan:.3g}")
            console.update(replace(progress, done=count))
    done = {tuple(row["key"]): row for row in comparison.read(folder)}
    rows = [done[cell.key] for cell in cells]
    report = Report(rows, vary=vary.option if vary else None, tune=tune.option if tune else None)
    report.write_csv(folder / "table.csv")
    table = report.markdown()
    write_atomically(folder / "table.md", table)
    report.plot(folder / "plot.png")
    say(table)
    paths = [folder / comparison.RUNS / cell.name for cell in cells if cell.key in report.keys]
    if all(map(is_run, paths)):
        with showing(folder):
            page = comparison_page.write(list(map(Record.open, paths)))
        write_atomically(folder / "report.html", page)
        say(f"page: {folder / 'report.html'}")
    return 0


def _variants(*variations: Variation | None) -> Iterator[dict[str, str]]:
    """Every combination of one value per option."""
    given = [variation for variation in variations if variation]
    for values in itertools.product(*(variation.values for variation in given)):
        yield {variation.option: value for variation, value in zip(given, values, strict=True)}


def _names_of(variant: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{option}={value}" for option, value in variant.items())


def _values(
    values: dict[str, Any], own: Collection[str], algorithm: str, workers: int, rule: Sequence[str]
) -> dict[str, Any]:
    """The values of a cell. Options of algorithms are kept if this algorithm has them (`own`). For the algorithms
    selected for the 1 / delay rule (Giladi et al. 2020), lr is divided by the mean delay N - 1.
    """
    values = {name: value for name, value in values.items() if name in FIELDS or name in own}
    if algorithm not in rule or workers < 3:
        return values
    lr = Config.from_values({**values, "algorithm": algorithm}).lr
    return {**values, "lr": lr / (workers - 1)}


def parser(argv: Sequence[str] = ()) -> Parser:
    parser = flags.parser(
        "hogwild compare",
        "Compare algorithms under the virtual clock. Takes the options of simulate; an algorithm's own affect only it.",
        algorithms=_names(flags.early_flags(argv, "algorithms")["algorithms"] or ""),
        unused=UNUSED,
    )
    grid = parser.add_argument_group("grid")
    grid.add_argument("--algorithms", type=_names, default=_names(ALGORITHMS), metavar="NAME,NAME",
                      help=f"known ones, or your own: module:Class (default: {ALGORITHMS})")  # fmt: skip
    grid.add_argument(
        "--clocks",
        type=lambda text: _parts(text, ";"),
        default=[CLOCKS],
        metavar="CLOCK;CLOCK",
        help="virtual clocks, as of --clock (default: gamma)",
    )
    grid.add_argument(
        "--workers-list",
        type=_counts,
        default=_counts(WORKERS),
        metavar="N,N",
        help=f"numbers of workers (default: {WORKERS})",
    )
    grid.add_argument("--vary", type=_variation, metavar="OPTION=X,X",
                      help="values of an option, the columns of the table: period=1,4,16,64")  # fmt: skip
    grid.add_argument("--tune", type=_variation, metavar="OPTION=X,X",
                      help="values of an option, of which table and plot show the best: lr=0.1,0.03,0.01")  # fmt: skip
    grid.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0, 1, ..., N-1 (default: 3)")
    grid.add_argument("--lr-over-delay", type=_names, default=[], dest="delay_rule", metavar="NAME,NAME",
                      help="algorithms with lr divided by the mean delay N - 1")  # fmt: skip
    grid.add_argument(
        "--jobs",
        type=int,
        default=system.cores().usable,
        metavar="N",
        help="runs at a time (default: as many as cores)",
    )
    grid.add_argument(
        "--directory",
        type=Path,
        default=Path("runs/compare"),
        metavar="DIR",
        help="results go here (default: runs/compare)",
    )
    return parser


def _names(text: str) -> list[str]:
    return _parts(text, ",")


def _parts(text: str, separator: str) -> list[str]:
    """What stands between the separators, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(separator) if part.strip()))


def _variation(text: str) -> Variation:
    option, _, values = text.partition("=")
    variation = Variation(option.strip().lstrip("-").replace("-", "_"), tuple(_names(values)))
    if not variation.option or not variation.values:
        raise UsageError(f"--vary and --tune take an option and its values, such as lr=0.1,0.01: not {text!r}")
    return variation


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in _parts(text, ",")]
    except ValueError:
        raise UsageError(f"--workers-list {text}: numbers such as 1,4,16") from None
    if not counts or any(count < 1 for count in counts):
        raise UsageError(f"--workers-list {text}: every number must be at least 1")
    return list(dict.fromkeys(counts))

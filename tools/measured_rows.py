"""Writes hogwild/recommend/assets/rows.csv and docs/which-one.md from the tables in docs/results:

    python tools/measured_rows.py            after `hogwild reproduce choose-1 ... --out docs/results/reproduce`

Rows of choose-*.csv have times to a target; those of the older tables have scores at a fixed number of gradients.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hogwild import reproduce
from hogwild.recommend.page import page
from hogwild.recommend.rows import NOT_TUNED, PACKAGED, Measured, from_csv, to_csv
from hogwild.recommend.situation import EQUAL_SPEEDS
from hogwild.reproduce import output
from hogwild.reproduce.choose_table import bests, target

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "docs" / "results", ROOT / "docs" / "which-one.md"
NAMES = [f"choose-{number}" for number in range(1, 10)]
EQUAL = "gamma:cv=0.1"
CLUSTERS = {EQUAL: "same data, equal speeds", "gamma:cv=0.1,het=0.6": "same data, unequal speeds"}


def measured() -> list[Measured]:
    """All rows, those with times first."""
    timed = [row for name in NAMES if (path := RESULTS / "reproduce" / f"{name}.csv").exists() for row in _timed(path)]
    plain = [row for row in timed if row.latency == 0 and "slower" not in row.setting]
    variation = {row.clock: row.delay_cv for row in plain if row.delay_cv is not None}
    variation.setdefault(EQUAL, EQUAL_SPEEDS)
    variation |= {"round-robin": 0.0, "gamma": variation[EQUAL]}
    tuned = list(_tuned(variation))
    found = [*_clusters(variation, {row.workers for row in tuned}), *_label_split(variation), *_periods(variation)]
    return [*timed, *tuned, *found]


def claims() -> list[tuple[str, str, str, str]]:
    """(name, claim, measured, holds) of every experiment that was run."""
    found = []
    for name in NAMES:
        if (path := RESULTS / "reproduce" / f"{name}.csv").exists():
            figure = reproduce.find(name)
            link = f"[{name}](results/reproduce/{name}.md)"
            found.append((link, *output.summary(figure, output.read_csv(path, figure)[1])))
    return found


def _timed(path: Path) -> Iterator[Measured]:
    _, rows = output.read_csv(path, reproduce.find(path.stem))
    for setting, found in bests(rows).items():
        first = next(row for row in rows if row["setting"] == setting)
        what = target([row for row in rows if row["setting"] == setting])
        late = [best for name, best in found.items() if name in ("asgd", "nag-asgd ahead=0.0") and best.delay_mean]
        for name, best in found.items():
            yield Measured(
                source=f"reproduce/{path.name}", setting=setting, workers=first["workers"], clock=first["clock"],
                split=first["shard"] != "none", latency=float(first["latency"]),
                delay_cv=late[0].delay_sd / late[0].delay_mean if late else None, method=name, lr=best.lr,
                seeds=best.seeds, target=what, time=best.time, score=best.accuracy,
                bytes=best.bytes,
            )  # fmt: skip


def _scores(
    name: str, setting: Callable[[dict[str, str]], str | None], method: Callable[[dict[str, str]], str], score: str,
    values: Callable[[dict[str, str]], dict[str, Any]],
) -> Iterator[Measured]:  # fmt: skip
    """The rows of a table with scores: the best learning rate of each method in each setting, mean over the seeds."""
    groups: dict[tuple[str, int, str], dict[float, list[dict[str, str]]]] = {}
    with (RESULTS / name).open(newline="") as file:
        for line in csv.DictReader(file):
            if (where := setting(line)) is not None and line[score]:
                key = (where, values(line)["workers"], method(line))
                groups.setdefault(key, {}).setdefault(float(line["lr"]), []).append(line)
    for (where, _, named), at_lr in groups.items():
        means = {lr: statistics.fmean(float(line[score]) for line in lines) for lr, lines in at_lr.items()}
        lr = max(means, key=lambda lr: -math.inf if math.isnan(means[lr]) else means[lr])
        yield Measured(
            source=name, setting=where, method=named, lr=lr, seeds=len(at_lr[lr]), target="", time=None,
            score=None if math.isnan(means[lr]) else means[lr], bytes=None, latency=0.0, **values(at_lr[lr][0]),
        )  # fmt: skip


def _tuned(variation: dict[str, float]) -> Iterator[Measured]:
    def values(line: dict[str, str]) -> dict[str, Any]:
        cv = variation["gamma"]
        return {"workers": int(line["workers"]), "clock": "gamma", "split": False, "delay_cv": cv}

    def setting(line: dict[str, str]) -> str | None:
        return CLUSTERS[EQUAL] if int(line["workers"]) > 1 else None

    return _scores("tuned-fashion-mnist.csv", setting, lambda line: line["algorithm"], "accuracy", values)


def _clusters(variation: dict[str, float], tuned: set[int]) -> Iterator[Measured]:
    """Without the numbers of workers of equal speeds for which there are `tuned` rates."""

    def values(line: dict[str, str]) -> dict[str, Any]:
        clock = line["clock"]
        return {"workers": int(line["workers"]), "clock": clock, "split": False, "delay_cv": variation.get(clock)}

    def setting(line: dict[str, str]) -> str | None:
        clock, workers = line["clock"], int(line["workers"])
        return None if workers == 1 or (clock == EQUAL and workers in tuned) else CLUSTERS[clock] + NOT_TUNED

    found = _scores("comparison-fashion-mnist.csv", setting, lambda line: line["algorithm"], "score", values)
    return iter(sorted(found, key=lambda row: (row.setting, row.workers)))


def _label_split(variation: dict[str, float]) -> Iterator[Measured]:
    def values(line: dict[str, str]) -> dict[str, Any]:
        cv = variation["round-robin"]
        return {"workers": 5, "clock": "round-robin", "split": line["shard"] == "label", "delay_cv": cv}

    def setting(line: dict[str, str]) -> str:
        return f"{'split' if line['shard'] == 'label' else 'same'} data, workers in turn{NOT_TUNED}"

    return _scores("label-split-digits.csv", setting, lambda line: line["algorithm"], "worst_replica", values)


def _periods(variation: dict[str, float]) -> Iterator[Measured]:
    def values(line: dict[str, str]) -> dict[str, Any]:
        return {"workers": 4, "clock": "gamma", "split": False, "delay_cv": variation["gamma"]}

    def method(line: dict[str, str]) -> str:
        return f"{line['algorithm']} period={line['period']}"

    return _scores("elastic-periods.csv", lambda _: "same data, exchanges every period", method, "score", values)


def main() -> None:
    text = to_csv(measured())
    PACKAGED.parent.mkdir(exist_ok=True)
    PACKAGED.write_text(text)
    PAGE.write_text(page(from_csv(text), claims()))


if __name__ == "__main__":
    main()

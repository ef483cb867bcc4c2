"""docs/which-one.md: what `hogwild recommend` answers, for every measured setting, and what the literature claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hogwild.recommend.rows import Measured
from hogwild.recommend.situation import KNOWN, Asked, by_setting, ranked

HEAD = """# Which one when

Written by `python tools/measured_rows.py` from the tables in [results](results.md), as `hogwild recommend` is:

```sh
hogwild recommend --workers 8 --data-split yes --delay uniform:1:13    # the two methods to try first, and why
hogwild recommend --workers 16 --delay runs/my-run --bytes 8           # delays of a run; at most 8 bytes moved
```

All of it was measured in the simulator on small models, so it says who wins where, not by how much on your task. Each
method has the best of a list of learning rates for that number of workers, except where the situation says *rates not
tuned*: there it ran at one rate, the same for all numbers of workers. Time is virtual: 1 is the mean time of a
gradient, of workers that are not slowed down.

Where no row is near what is asked, `hogwild recommend` says so. Of several near settings it takes the nearest, and
counts as distance if neither ssgd nor asgd ran beside the others, if rates were not tuned, and if no times were
measured; with `--bytes`, before all, it takes one in which bytes were measured.

## The two to try first

| situation | workers | first | then | ssgd | asgd | measured in |
|---|---|---|---|---|---|---|
"""
CLAIMS = """
## What the literature says, and what came out

| | claim | measured | holds |
|---|---|---|---|
"""


def page(rows: Iterable[Measured], claims: Sequence[tuple[str, str, str, str]]) -> str:
    """The page. `claims`: (name of the experiment, claim, measured, holds)."""
    lines = [_line(inside) for inside in by_setting(rows)]
    said = [f"| {name} | {claim} | {measured} | {holds} |\n" for name, claim, measured, holds in claims]
    return HEAD + "".join(lines) + CLAIMS + "".join(said)


def _line(rows: Sequence[Measured]) -> str:
    row, order = rows[0], ranked(rows, Asked(rows[0].workers))
    known = [_result(next((one for one in order if one.algorithm == name), None)) for name in KNOWN]
    first = [f"{one.method}: {_result(one)}" for one in order[:2]]
    what = f"to a {row.target}" if row.target else "test accuracy"
    where = f"[{row.source.removesuffix('.csv')}](results/{row.source}), {what}, {_seeds(row)}"
    return f"| {row.setting} | {row.workers} | {' | '.join([*first, *known, where])} |\n"


def _result(row: Measured | None) -> str:
    if row is None:
        return ""
    if not row.target:
        return "diverged" if row.score is None else f"{row.score:.4f}"
    return "never" if row.time is None else f"{row.time:.1f}"


def _seeds(row: Measured) -> str:
    return "1 seed" if row.seeds == 1 else f"{row.seeds} seeds"

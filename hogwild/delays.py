"""Delay laws by name: the values of `--delay` in `hogwild stability` and in the simulator.

4, const:4        always 4
uniform:1:8       each of 1 ... 8 equally often
normal:8:1        discrete Gaussian around 8 with standard deviation 1 (default 1), on 1 ... 16
geometric:8       8 workers in random order: p_j = (1/8) (7/8)^j, mean 7
hist:FILE         a measured histogram: .csv (delay,count), .json, or a run with its metrics
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hogwild.errors import UsageError
from hogwild.files.reading import TABLE_BYTES, parse_json, read_tail, read_text, reading
from hogwild.text import quoted

SPECS = "4, const:4, uniform:1:8, normal:8:1, geometric:8, hist:FILE"
HISTOGRAM = "delay_histogram"
LARGEST = 100_000  # delay of any law: a simulation keeps so many models, theory so many probabilities
REMAINDER = 1e-12  # a geometric law is cut where less than this probability is left

Law = dict[int, float]
"""delay -> probability, by rising delay, without zeros, summing to 1."""


def parse(spec: str) -> Law:
    """The law named by `spec`. Raises UsageError with its fault."""
    kind, _, rest = spec.strip().partition(":")
    if kind == "hist":
        return _measured(spec, Path(rest))
    if kind.lstrip("+-").isdecimal() and not rest:
        kind, rest = "const", kind
    if kind not in _LAWS:
        raise UsageError(f"delay {quoted(spec)} is not known; it must be one of {SPECS}")
    law, form, needed, optional = _LAWS[kind]
    words = rest.split(":")
    if not len(needed) <= len(words) <= len(needed + optional):
        raise _refusal(spec, f"it must look like {form}")
    try:
        return law(*(number(word) for number, word in zip(needed + optional, words, strict=False)))
    except (ValueError, ArithmeticError) as error:
        raise _refusal(spec, str(error)) from None


def constant(delay: int) -> Law:
    """Always `delay`. Raises ValueError if it is negative or above LARGEST."""
    if delay < 0:
        raise ValueError("a delay is >= 0")
    _check_largest(delay)
    return {delay: 1.0}


def uniform(smallest: int, largest: int) -> Law:
    """Each integer from `smallest` to `largest` equally often. ValueError unless 0 <= smallest <= largest."""
    if not 0 <= smallest <= largest:
        raise ValueError("0 <= smallest <= largest is needed")
    _check_largest(largest)
    return dict.fromkeys(range(smallest, largest + 1), 1 / (largest - smallest + 1))


def normal(center: int, deviation: float = 1.0) -> Law:
    """p_j ~ P(j - 1/2 <= Z <= j + 1/2), Z normal around `center`, j = 1 ... 2 center.

    Source: fig. 8 of Giladi et al. 2020 (arXiv:1909.12340), there with deviation 1.
    Deviates: normalised; as printed in the paper the p_j sum to 0.62 for center 1 and to 0.994 for center 3. The mean
              lies a little above the center (1.39 for 1, 4.001 for 4), because j = 0 is left out.
    Raises:   ValueError unless center >= 1 and deviation > 0.
    """
    if center < 1 or not 0 < deviation < math.inf:
        raise ValueError("a center >= 1 and a deviation > 0 are needed")
    _check_largest(2 * center)

    def below(x: float) -> float:
        return 0.5 * math.erfc((center - x) / (deviation * math.sqrt(2)))

    return normalise({j: below(j + 0.5) - below(j - 0.5) for j in range(1, 2 * center + 1)})


def geometric(workers: int) -> Law:
    """p_j = (1/N) (1 - 1/N)^j for j = 0, 1, ...: the delay if each update comes from one of N workers at random.

    Cut where less than 1e-12 of the probability is left. Raises ValueError if N < 1.
    """
    if workers < 1:
        raise ValueError("at least 1 worker is needed")
    if workers == 1:
        return {0: 1.0}
    _check_largest(math.ceil(-math.log(REMAINDER) * (workers - 1)))
    stays = 1 - 1 / workers
    last = math.ceil(math.log(REMAINDER) / math.log(stays))
    return normalise({j: stays**j / workers for j in range(last)})


def normalise(weights: Mapping[int, float]) -> Law:
    """The weights divided by their sum. Raises ValueError if there is no weight, or if a weight or a delay is negative
    or not finite.
    """
    total = math.fsum(weights.values())
    if not 0 < total < math.inf or min(weights.values()) < 0:
        raise ValueError("the counts must be >= 0, and one of them > 0")
    if min(weights) < 0:
        raise ValueError(f"it has the negative delay {min(weights)}")
    _check_largest(max(weights))
    return {delay: weights[delay] / total for delay in sorted(weights) if weights[delay] > 0}


def mean(law: Mapping[int, float]) -> float:
    """E tau."""
    return math.fsum(delay * probability for delay, probability in law.items())


def _check_largest(delay: int) -> None:
    if delay > LARGEST:
        raise ValueError(f"its largest delay is {quoted(delay)}, and the limit is {LARGEST:,}")


def _measured(spec: str, path: Path) -> Law:
    """The law of a histogram file, or of the newest histogram in a run directory."""
    files = [path / name for name in ("summary.json", "metrics.jsonl")] if path.is_dir() else [path]
    for file in files:
        if os.path.lexists(file):
            with reading(f"delay {quoted(spec)}: {file}", "a histogram of delays", error=UsageError):
                if (found := _histogram(file, regular=file != path)) is not None:
                    return normalise(found)
    if not os.path.lexists(path):
        raise _refusal(spec, f"there is no {quoted(str(path))}")
    raise _refusal(spec, f"{path} holds no {HISTOGRAM}")


def _histogram(file: Path, *, regular: bool) -> Law | None:
    """`regular`: refuse a pipe, which may never end."""
    if file.suffix == ".jsonl":
        lines = read_tail(file, TABLE_BYTES, error=UsageError)[0].splitlines()
        found = (_named(parse_json(line)) for line in reversed(lines))
        return next((law for law in found if law is not None), None)
    text = read_text(file, TABLE_BYTES, error=UsageError, regular=regular)
    if file.suffix == ".csv":
        return _counts(row for row in csv.reader(text.splitlines()) if row)
    value = parse_json(text)
    return _named(value) if _is_named(value) else _plain(value)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and any(not _is_whole(key) for key in value)


def _named(value: dict[str, Any]) -> Law | None:
    """The histogram in a summary or in a line of metrics."""
    return _plain(value[HISTOGRAM]) if HISTOGRAM in value else None


def _plain(value: Any) -> Law:
    """{delay: count}, or a list of the counts of 0, 1, 2, ..."""
    if isinstance(value, dict):
        return _counts(value.items())
    if isinstance(value, list):
        return _counts(enumerate(value))
    raise ValueError("it must be {delay: count}, or a list of the counts of 0, 1, 2, ...")


def _counts(rows: Iterable[Any]) -> Law:
    """Rows (delay, count). A first row without numbers is a heading."""
    counts: Law = {}
    for number, row in enumerate(rows):
        if number == 0 and not _is_whole(row[0]):
            continue
        delay, count = row
        _check_largest(_whole(delay))
        counts[_whole(delay)] = counts.get(_whole(delay), 0.0) + float(count)
    if not counts:
        raise ValueError("it is empty")
    return counts


def _is_whole(word: object) -> bool:
    return isinstance(word, (int, str)) and str(word).strip().lstrip("+-").isdecimal()


def _whole(word: object) -> int:
    if not _is_whole(word):
        raise ValueError(f"{quoted(word)} is not an integer")
    return int(str(word))


def _refusal(spec: str, reason: str) -> UsageError:
    return UsageError(f"delay {quoted(spec)}: {reason}")


Numbers = tuple[Callable[[str], float], ...]

_LAWS: dict[str, tuple[Callable[..., Law], str, Numbers, Numbers]] = {
    "const": (constant, "const:DELAY", (_whole,), ()),
    "uniform": (uniform, "uniform:SMALLEST:LARGEST", (_whole, _whole), ()),
    "normal": (normal, "normal:CENTER[:DEVIATION]", (_whole,), (float,)),
    "geometric": (geometric, "geometric:WORKERS", (_whole,), ()),
}
"""name -> (law, its form, converters of the needed arguments, converters of the optional ones)."""

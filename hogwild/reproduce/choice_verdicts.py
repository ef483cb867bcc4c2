"""What came out of each question of choices.py, in one sentence of numbers, and whether the claim holds in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hogwild.reproduce.choose_table import Best, bests
from hogwild.reproduce.figure import Row, Verdict

NEAR = 0.005  # of accuracy
SOONER = 0.95  # times; less is noise of one seed


def unbiased(rows: Sequence[Row]) -> Verdict:
    """In every setting two methods beside asgd need less than half of ssgd's time, and asgd, at its best learning rate,
    ends less accurate than ssgd.
    """
    parts, holds = [], []
    for setting, found in bests(rows).items():
        asgd, ssgd = found.get("asgd"), found.get("ssgd")
        if asgd is None or ssgd is None:
            continue
        whole = ssgd.time or next(row["until"] for row in rows if row["setting"] == setting)
        times = {name: best.time / whole for name, best in found.items() if best is not ssgd and best.time}
        quick = [name for name, ratio in times.items() if ratio < 0.5 and name != "asgd"]
        holds.append(len(quick) >= 2 and asgd.accuracy < ssgd.accuracy - NEAR)
        parts.append(
            f"{setting}: ssgd {_time(ssgd)}, times of that {_numbers(times, ordered=True)}; "
            f"accuracy at the end: ssgd {_accuracy(ssgd)}, asgd {_accuracy(asgd)}"
        )
    return Verdict("; ".join(parts), bool(holds) and all(holds))


def price(rows: Sequence[Row]) -> Verdict:
    found = _only(rows)
    clipped = _time_of(found, "asgd clip=1.0")
    ratios = {name: _time_of(found, name) / clipped for name in ("ia2sgd", "ringleader", "asgd", "malenia")}
    text = f"asgd with clipping takes {clipped:.1f}; times of it: {_numbers(ratios)}"
    return Verdict(text, ratios["ia2sgd"] > 1.1 and ratios["ringleader"] > 1.1)


def look_ahead(rows: Sequence[Row]) -> Verdict:
    """The fastest factor of each momentum and number of workers, beside the limits of stability."""
    from hogwild.theory.stability import threshold

    parts, agree = [], []
    for setting, found in bests(rows).items():
        delay = next(row["workers"] for row in rows if row["setting"] == setting) - 1
        for name, rule in (("nag-asgd", "nesterov"), ("dana-slim", "dana")):
            times = {_value(method, "ahead"): best for method, best in found.items() if method.startswith(name)}
            if not times:
                continue
            fastest = min(times, key=lambda ahead: _order(times[ahead]))
            limits = {ahead: threshold(rule, delay, 0.9, 0.9, ahead=ahead) for ahead in times}
            largest = max(limits, key=lambda ahead: limits[ahead])
            agree.append(fastest == largest)
            gain = _seconds(times[0.0]) / _seconds(times[fastest]) if 0.0 in times else math.nan
            beside = f"{gain:.2f} times faster than 0" if gain < math.inf else "0 never comes there"
            parts.append(f"{name} {delay + 1}: {fastest:g} ({beside})")
    text = f"fastest factor: {'; '.join(parts)}; that of the largest limit in {sum(agree)} of {len(agree)}"
    return Verdict(text, all(agree))


def batch(rows: Sequence[Row]) -> Verdict:
    found = _only(rows)
    batches = {_value(name, "k"): best for name, best in found.items() if name.startswith("k-batch-sync")}
    best = min(batches, key=lambda k: _order(batches[k]))
    text = f"k-batch-sync is fastest at k = {best:g} ({_time(batches[best])}); all: {_all_times(found)}"
    return Verdict(text, best > 1 and _seconds(batches[best]) <= 1.1 * _time_of(found, "asgd clip=1.0"))


def consensus(rows: Sequence[Row]) -> Verdict:
    gains = {}
    for setting, found in bests(rows).items():
        pair = _time_of(found, "ad-psgd topology=ring"), _time_of(found, "acid topology=ring")
        gains[setting] = pair[0] / pair[1] if min(pair) < math.inf else math.nan
    losses = [f"{setting}: {_losses(found)}" for setting, found in bests(rows).items()]
    text = f"ad-psgd takes times of acid's time: {_numbers(gains)}; loss at the end: {'; '.join(losses)}"
    values = list(gains.values())
    return Verdict(text, all(gain >= 1.3 for gain in values) and values == sorted(values))


def local(rows: Sequence[Row]) -> Verdict:
    found = _only(rows)
    ordered = sorted(found, key=lambda name: _order(found[name]))
    first, others = ordered[:6], {name: found[name] for name in ("ssgd", "asgd") if name in found}
    text = f"the first of {len(found)}: {_all_times({name: found[name] for name in first})}; {_all_times(others)}"
    waits = first[0].startswith(("local-sgd", "diloco", "noloco", "ssgd"))
    return Verdict(text, not waits and not others.keys() & set(first))


def rates(rows: Sequence[Row]) -> Verdict:
    parts, holds = [], []
    for setting, found in bests(rows).items():
        for name in ("slowmo", "diloco"):
            best = {}
            for m in (0.0, 0.5, 0.9):
                mine = {
                    key: one
                    for key, one in found.items()
                    if key.startswith(name) and _value(key, "outer_momentum") == m
                }
                if mine:
                    best[m] = _value(min(mine, key=lambda key: _order(mine[key])), "outer_lr")
            parts.append(f"{setting}, {name}: " + ", ".join(f"{rate:g} at momentum {m:g}" for m, rate in best.items()))
            falls = list(best.values()) == sorted(best.values(), reverse=True)
            holds.append(falls and best.get(0.0, 1.0) >= 1)
    return Verdict(f"best outer rates: {'; '.join(parts)}", all(holds))


def overlap(rows: Sequence[Row]) -> Verdict:
    found = _only(rows)
    ordered = sorted(found, key=lambda name: _order(found[name]))
    waits = found.get("diloco period=32")
    text = f"diloco {_time(waits)}; in order: {_all_times({name: found[name] for name in ordered})}"
    return Verdict(text, waits is not None and _seconds(found[ordered[0]]) < SOONER * _seconds(waits))


def _only(rows: Sequence[Row]) -> Mapping[str, Best]:
    """The methods of an experiment with one setting."""
    [found] = bests(rows).values()
    return found


def _value(name: str, option: str) -> float:
    return next((float(part.partition("=")[2]) for part in name.split() if part.startswith(f"{option}=")), math.nan)


def _order(best: Best) -> tuple[float, float]:
    return _seconds(best), math.inf if best.loss is None else best.loss


def _seconds(best: Best) -> float:
    return math.inf if best.time is None else best.time


def _time_of(found: Mapping[str, Best], name: str) -> float:
    return _seconds(found[name]) if name in found else math.nan


def _time(best: Best | None) -> str:
    return "never" if best is None or best.time is None else f"{best.time:.1f}"


def _accuracy(best: Best | None) -> str:
    return "-" if best is None else f"{best.accuracy:.4f}"


def _all_times(found: Mapping[str, Best]) -> str:
    return ", ".join(f"{name} {_time(best)}" for name, best in found.items())


def _losses(found: Mapping[str, Best]) -> str:
    return ", ".join(f"{name.split()[0]} {best.loss:.3f}" for name, best in found.items() if best.loss is not None)


def _numbers(values: Mapping[str, float], ordered: bool = False) -> str:
    items = sorted(values.items(), key=lambda item: item[1]) if ordered else values.items()
    return ", ".join(f"{name} {value:.2f}" for name, value in items)

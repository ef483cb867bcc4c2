"""The tables of a measurement, with its machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.peers.ours import CONTROL, OURS
from bench.peers.rivals import CONTROLS, DECENT
from bench.samples import parse

WANTED = 5.0  # times faster than the fastest rival


def markdown(compact: Mapping[str, Any]) -> str:
    """The tables of a measurement that bench.samples.compact has compacted."""
    return "\n".join(_lines(parse(compact))) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    machine, end = found["machine"], found["load_at_end"]
    yield f"# One averaging step of {found['parameters']:,} parameters, against other packages"
    yield ""
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']} (gloo), {machine['date']}. Load average "
        f"{machine['load']:.1f} at the start, {end:.1f} at the end."
    )
    if machine["load"] > machine["cores"]:
        yield "The machine had other load: the times are too long, for all contestants in the same rounds."
    if not found["peers"][DECENT]:
        yield f"{DECENT} is not installed here and was left out."
    else:
        yield f"{DECENT} {found['peers'][DECENT]}."
    yield "bench/README.md defines a step."
    for run in found["runs"]:
        yield from ("", f"## {run['processes']} processes", "", *_times(run), "", *_ratios(run))


def _times(run: Mapping[str, Any]) -> Iterator[str]:
    rounds = next(iter(run["seconds"].values())).rounds
    yield f"Milliseconds per step, {rounds} rounds."
    yield ""
    yield "| contestant | median | best |"
    yield "|---|---|---|"
    for name, seconds in run["seconds"].items():
        yield f"| {name} | {1e3 * seconds.median:.2f} | {1e3 * seconds.min:.2f} |"


def _ratios(run: Mapping[str, Any]) -> Iterator[str]:
    """Median over the rounds of the ratio of the two figures of a round."""
    seconds = run["seconds"]
    rivals = [name for name in seconds if name not in OURS and name not in CONTROLS]
    yield f"Times faster than a rival, median over the rounds; at least {WANTED:g} was wanted."
    yield ""
    yield f"| ours | {' | '.join(rivals)} | {CONTROLS[-1]} |"
    yield "|---" * (len(rivals) + 2) + "|"
    for name in OURS:
        if name != CONTROL:
            cells = [f"{seconds[rival].over[name]:.1f}" for rival in (*rivals, CONTROLS[-1])]
            yield f"| {name} | {' | '.join(cells)} |"

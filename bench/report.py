"""python -m bench.report BENCH.json [NAME]: the tables of a run on stdout, and recorded in bench/results/NAME.*.

A quick run, or a run that other processes disturbed, is not recorded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench import samples
from bench.figures import Figures, PushRun, over
from bench.plots import draw
from bench.scale import FULL, SMOKE
from bench.targets import BARE, CHAIN, PUSH, RIVALS, targets

RESULTS = Path(__file__).with_name("results")
IN_CACHE, TWO_CORES = "16K", 1.8  # smallest gain of two processes over one on a machine without other load
RULES = {"add": "plain SGD (20 B/parameter)", "gap": "gap + shifted momentum (36 B/parameter)"}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("json", type=Path, help="the file of pytest --benchmark-json, or a recorded one")
    parser.add_argument("name", nargs="?", help="name of the files in bench/results (default: date and cores)")
    options = parser.parse_args(arguments)
    compact = samples.compact(json.loads(options.json.read_text()))
    figures = Figures.of(compact)
    machine = figures.machine
    name = options.name or f"{machine['date'][:10]}-cpu-{machine['cores']}-cores"
    text = "\n".join(tables(figures)) + "\n"
    print(text)
    if refusal := why_not(figures):
        print(f"not recorded: {refusal}", file=sys.stderr)
        return 1
    RESULTS.mkdir(exist_ok=True)
    pictures = draw(figures, RESULTS / name)
    (RESULTS / f"{name}.json").write_text(samples.text(compact) + "\n")
    links = "".join(f"\n![{picture.stem}]({picture.name})\n" for picture in pictures)
    (RESULTS / f"{name}.md").write_text(text + links)
    print(f"recorded: {RESULTS.name}/{name}.md, .json and {len(pictures)} plots", file=sys.stderr)
    return 0


def why_not(figures: Figures) -> str | None:
    """The reason for which this run may not be recorded, or None."""
    machine = figures.machine
    load, load_at_end, cores = machine["load"], machine["load_at_end"], machine["cores"]
    scale = SMOKE if machine["quick"] else FULL
    if missing := scale.benchmarks - figures.benchmarks:
        return f"{missing} of {scale.benchmarks} benchmarks are missing"
    if machine["quick"]:
        return "HOGWILD_BENCH=quick is too short to measure anything"
    if load > cores:
        return f"the load average was {load:.2f} at the start, on {cores} cores: wait until it is less"
    if load_at_end > cores + 1:
        return f"the load average was {load_at_end:.2f} at the end, of which at most {cores} is the benchmarks' own"
    for rule, size in figures.policies:
        if size == IN_CACHE and (gain := figures.private_gain(rule, size)) < TWO_CORES:
            return f"two processes that share nothing, in cache, were {gain:.2f} times as fast as one: cores are busy"
    return None


def tables(figures: Figures) -> Iterator[str]:
    """The report, line by line."""
    machine, commit = figures.machine, figures.commit
    changed = " with changes" if commit.get("dirty") else ""
    yield f"# Benchmarks, {machine['date'][:10]}\n"
    yield (
        f"{machine['cpu']}, {machine['cores']} cores ({machine['caches']}), {machine['memory_bytes'] / 2**30:.0f} GiB; "
        f"{machine['kernel']}; Python {machine['python']}, torch {machine['torch']}, hogwild {machine['hogwild']} "
        f"(commit {str(commit.get('id'))[:10]}{changed}, {machine['build']['isa_in_use']}, "
        f"{machine['build']['compiler']}); {machine['date']}; load average {machine['load']:.2f} at the start, "
        f"{machine['load_at_end']:.2f} at the end, which includes the benchmarks themselves."
    )
    yield "\nMedians of interleaved rounds, the least in brackets; one thread per process. bench/README.md explains.\n"
    rows = [
        (t.what, f"{t.measured:.2f}", f"{'<=' if t.at_most else '>='} {t.wanted:g}", "met" if t.is_met else "missed")
        for t in targets(figures)
    ]
    yield from section("Targets", ("", "measured", "wanted", ""), rows)
    for run in figures.pushes:
        yield from push_table(run)
    yield from rules_tables(figures)
    for rule, words in RULES.items():
        yield from policy_table(figures, rule, words)
    yield from sweep_table(figures)
    yield from pairs_table(figures)
    yield from trainer_table(figures)
    yield from simulator_table(figures)
    yield from norm_table(figures)
    yield from sparse_table(figures)


def push_table(run: PushRun) -> Iterator[str]:
    """One rule or mix at one size: kernels and rivals, then their byte bound and the cost of a call."""
    title = ", ".join(part for part in (run.group, run.variant, f"{run.size} parameters") if part)
    rows = []
    for line in run.lines.values():
        if line.kind in ("push", "rival"):
            times = run.times(line.name, run.ours.name)
            row = (f"{line.ns:.3f} ({line.least_ns:.3f})", f"{line.gbps:.1f}", f"{line.bound:.0%}", f"{times:.2f}")
            rows.append((line.name, *row))
    header = ("", "ns/parameter", "GB/s", "of the byte bound", "time over the first's")
    yield from section(title[0].upper() + title[1:], header, rows)
    streams = sorted((line for line in run.lines.values() if line.kind == "stream"), key=lambda line: -line.gbps)
    listing = ", ".join(f"{line.name} {line.gbps:.1f}" for line in streams)
    yield f"Byte bound: {run.bound.gbps:.1f} GB/s, the best of {listing}."
    calls = [line for line in run.lines.values() if line.kind == "call"]
    listing = ", ".join(f"{line.name} {line.seconds.median * 1e6:.1f} us" for line in calls)
    yield f"A call that touches nothing: {listing}."
    yield from (f"{name} is left out: {reason}." for name, reason in run.left_out.items())


def rules_tables(figures: Figures) -> Iterator[str]:
    """All fused rules at one size: bytes, rate, and the torch chain that each replaces."""
    for size in dict.fromkeys(run.size for run in figures.rules):
        rows = []
        for run in figures.rules:
            if run.size != size:
                continue
            push, chain = run.lines[PUSH], run.lines.get(CHAIN)
            bytes = (str(run.bytes), str(run.least_bytes))
            rate = (f"{push.ns:.3f} ({push.least_ns:.3f})", f"{push.gbps:.1f}", f"{run.bound.gbps:.1f}")
            torch = ("-", "-") if chain is None else (f"{chain.ns:.3f}", f"{run.times(CHAIN, PUSH):.2f}")
            rows.append((run.variant, *bytes, *rate, f"{push.bound:.0%}", *torch))
        header = (
            "", "B/parameter", "least", "ns/parameter", "GB/s", "byte bound, GB/s", "of the bound",
            "torch chain, ns/parameter", "chain over push",
        )  # fmt: skip
        yield from section(f"Fused rules, guard element, {size} parameters", header, rows)


def policy_table(figures: Figures, rule: str, words: str) -> Iterator[str]:
    """Access policies without compute: rates relative to one racing process, and lost updates."""
    for (key, size), info in figures.policies.items():
        if key != rule:
            continue
        per_s, rows = info["pushes_per_s"], []
        for name, rates in sorted(per_s.items(), key=lambda item: item[0].split(" x ")):
            access, processes = name.split(" x ")
            alone = "private memory x 1" if access == "private memory" else "racing x 1"
            worst = info["lost"][name].max if name in info["lost"] else None
            lost = "not counted" if worst is None else f"{worst:.1e}" if worst else "0"
            relative = (f"{over(per_s, name, alone):.2f}", f"{over(per_s, name, f'locked x {processes}'):.2f}")
            millions = f"{rates.median * info['n'] / 1e6:,.0f}"
            rows.append((access, processes, f"{rates.median:,.1f} ({rates.max:,.1f})", millions, *relative, lost))
        header = (
            "access", "processes", "pushes/s (best)", "M parameters/s", "over one process", "over one lock",
            "updates lost (worst round)",
        )  # fmt: skip
        yield from section(f"Access policies, no compute, {words}, {size}", header, rows)
        yield "Private memory is the control: two processes that share nothing but the memory bus.\n"


def sweep_table(figures: Figures) -> Iterator[str]:
    """Compute between pushes: measured beside the model."""
    if figures.sweep is None:
        return
    rows = []
    for point in figures.sweep["points"]:
        compute_s, step_s = point["compute_s"], point["step_s"]
        free, locked = 2 / (compute_s + step_s), min(2 / (compute_s + step_s), 1 / step_s)
        measured = [f"{point[name].median:,.0f}" for name in ("one", "racing", "striped", "locked")]
        gain = point["racing"].over["locked"]
        rows.append(
            (
                f"{compute_s / step_s:.2f}", f"{1 + compute_s / step_s:.2f}", *measured, f"{free:,.0f}",
                f"{locked:,.0f}", f"{gain:.2f}", f"{free / locked:.2f}",
            )
        )  # fmt: skip
    header = (
        "t_c/t_s", "P*", "one process", "racing", "striped", "one lock", "model lock-free", "model one lock",
        "racing / lock", "model",
    )  # fmt: skip
    title = f"Compute between pushes, {figures.sweep['n'] / 2**20:.0f} M parameters, 2 processes, pushes/s"
    yield from section(title, header, rows)
    yield "A lock costs when P > P* = 1 + t_c/t_s. t_c and t_s as one process alone measured them.\n"


def pairs_table(figures: Figures) -> Iterator[str]:
    """Random pairs: rate, skipped chunks, and the error of the sum."""
    if (info := figures.pairs) is None:
        return
    per_s, rows = info["pairs_per_s"], []
    for name, rates in per_s.items():
        giga = f"{rates.median * info['n'] / 1e9:.2f} ({rates.max * info['n'] / 1e9:.2f})"
        gain = f"{over(per_s, 'chunk locks, skip', name):.2f}"
        rows.append((name, giga, gain, f"{info['skipped'][name].max:.1%}", f"{info['drift'][name].max:.1e}"))
    header = ("", "G elements/s (best)", "skip over it", "skipped (worst round)", "error of the sum, rms (worst)")
    title = f"Pair averages, {info['replicas']} replicas of {info['n'] // 1024} K, 2 processes, random pairs"
    yield from section(title, header, rows)
    yield from (f"{name} is left out: {reason}." for name, reason in info["left_out"].items())


def trainer_table(figures: Figures) -> Iterator[str]:
    rows = []
    for model, info in figures.trainers.items():
        per_s = info["samples_per_s"]
        for name, rates in per_s.items():
            reached = f"{info['accuracy'][name].min:.2f}"
            rows.append(
                (
                    f"{model}, {info['data']}", name, f"{rates.median:,.0f} ({rates.max:,.0f})",
                    f"{over(per_s, name, 'plain loop, 2'):.2f}", f"{over(per_s, name, 'hogwild, 1'):.2f}", reached,
                )
            )  # fmt: skip
    header = ("", "processes", "samples/s (best)", "over the plain loop", "over one worker", "accuracy reached")
    yield from section("Trainer, batch 64, momentum 0.9", header, rows)


def simulator_table(figures: Figures) -> Iterator[str]:
    rows = []
    for model, info in figures.simulators.items():
        per_s = info["updates_per_s"]
        for name, rates in per_s.items():
            slower = over(per_s, "plain loop", name) - 1
            what = f"{model} ({info['parameters']:,} parameters), {info['data']}"
            rows.append((what, name, f"{rates.median:,.1f} ({rates.max:,.1f})", f"{slower:+.1%}"))
    header = ("", "workers", "updates/s (best)", "time over the plain loop's")
    yield from section("Simulator, batch 64, momentum 0.9, gamma clock", header, rows)


def norm_table(figures: Figures) -> Iterator[str]:
    rows = []
    for case, layers in figures.norms.items():
        for name, seconds in layers.items():
            ms = f"{seconds.median * 1e3:.2f} ({seconds.min * 1e3:.2f})"
            rows.append((case, name, ms, f"{over(layers, name, 'BatchNorm2d'):.2f}"))
    header = ("", "layer", "ms, forward and backward", "time over BatchNorm2d's")
    yield from section("Full Normalization", header, rows)


def sparse_table(figures: Figures) -> Iterator[str]:
    rows = []
    for point, info in figures.sparse.items():
        for name, seconds in info["seconds"].items():
            rival = RIVALS.get(name, name)
            bound = f"{over(info['seconds'], name, BARE):.2f}" if name == "SGD" and BARE in info["seconds"] else ""
            us = f"{seconds.median * 1e6:.1f} ({seconds.min * 1e6:.1f})"
            faster = f"{1 / over(info['seconds'], name, rival):.1f}"
            rows.append((point, name, us, f"{seconds.median / info['rows'] * 1e9:.0f}", f"{faster} ({rival})", bound))
    header = ("table", "rule", "us a push (best)", "ns a row", "times faster than torch", "time over the bare loop's")
    yield from section("Sparse push, one thread", header, rows)


def section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        return
    yield f"\n## {title}\n"
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


if __name__ == "__main__":
    sys.exit(main())

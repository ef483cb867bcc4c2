"""The benchmarks of a compact JSON file by kind: medians, bounds, ratios. The report and the plots read them here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.samples import Sample, parse

GIGA = 1e9


def over(contestants: Mapping[str, Sample], name: str, other: str) -> float:
    """Median over the rounds of the figure of one contestant divided by that of another (1 for itself)."""
    return 1.0 if name == other else contestants[name].over[other]


@dataclass(frozen=True)
class Line:
    """One contestant of a push benchmark. `bound` is its rate as a share of the best streaming rate."""

    name: str
    kind: str
    ns: float
    least_ns: float
    gbps: float
    bound: float
    seconds: Sample


@dataclass(frozen=True)
class PushRun:
    """All contestants of a push or of a mix at one size."""

    group: str
    variant: str  # variant of the rule: plain, heavy-ball, or empty
    size: str
    n: int
    lines: Mapping[str, Line]
    left_out: Mapping[str, str]  # contestant -> reason
    bytes: int = 0  # bytes per parameter of the first contestant
    least_bytes: int = 0  # smallest number of bytes that the rule needs, if it was counted

    @property
    def bound(self) -> Line:
        """The stream with the highest median rate."""
        return max((line for line in self.lines.values() if line.kind == "stream"), key=lambda line: line.gbps)

    @property
    def ours(self) -> Line:
        """The first of our kernels, with which the rivals are compared."""
        return next(line for line in self.lines.values() if line.kind == "push")

    def times(self, slow: str, fast: str) -> float | None:
        """The time of `slow` divided by that of `fast`; None if one is missing."""
        if slow not in self.lines or fast not in self.lines:
            return None
        return over({name: line.seconds for name, line in self.lines.items()}, slow, fast)

    def net_times(self, slow: str, fast: str, slow_call: str, fast_call: str) -> float | None:
        """The same ratio, without the cost of a call that touches no element."""
        if not {slow, fast, slow_call, fast_call} <= self.lines.keys():
            return None
        slow_s, fast_s, slow_call_s, fast_call_s = (
            self.lines[name].seconds.median for name in (slow, fast, slow_call, fast_call)
        )
        return (slow_s - slow_call_s) / (fast_s - fast_call_s)


@dataclass(frozen=True)
class Figures:
    """The benchmarks of one run, by kind."""

    machine: Mapping[str, Any]
    commit: Mapping[str, Any]
    pushes: Sequence[PushRun]
    rules: Sequence[PushRun]  # every fused rule; `variant` names it
    policies: Mapping[tuple[str, str], Mapping[str, Any]]  # (rule, size) -> extra_info
    sweep: Mapping[str, Any] | None
    pairs: Mapping[str, Any] | None
    trainers: Mapping[str, Mapping[str, Any]]  # model -> extra_info
    simulators: Mapping[str, Mapping[str, Any]]  # model -> extra_info
    norms: Mapping[str, Mapping[str, Sample]]  # shape, dtype, format -> layer -> seconds
    sparse: Mapping[str, Mapping[str, Any]]  # table and rows of a gradient -> extra_info
    timeline: float | None  # part of an mlp's gradient that its six changes of phase take

    @classmethod
    def of(cls, compact: Mapping[str, Any]) -> Figures:
        """The benchmarks in a file of pytest-benchmark that bench.samples.compact has compacted."""
        content = parse(compact)
        pushes: list[PushRun] = []
        rules: list[PushRun] = []
        policies, sweep, pairs, trainers, simulators, norms, sparse, timeline = {}, None, None, {}, {}, {}, {}, None
        for benchmark in content["benchmarks"]:
            info, marks = benchmark["extra_info"], (benchmark["param"] or "").split("-", 1)
            if "contestants" in info:
                (rules if "least_bytes" in info else pushes).append(_push_run(benchmark["group"], marks, info))
            elif "points" in info:
                sweep = info
            elif "pairs_per_s" in info:
                pairs = info
            elif "rule" in info:
                policies[info["rule"], marks[-1]] = info
            elif "simulator" in info:
                simulators[info["simulator"]] = info
            elif "norm" in info:
                norms[info["norm"]] = info["seconds"]
            elif "sparse" in info:
                sparse[info["sparse"]] = info
            elif "share_of_a_step" in info:
                timeline = float(info["share_of_a_step"])
            elif "model" in info:
                trainers[info["model"]] = info
            else:
                raise ValueError(f"{benchmark['name']} has recorded {', '.join(info)}, of which no report knows a kind")
        machine, commit = content["machine_info"], content["commit_info"]
        return cls(
            machine, commit, pushes, rules, policies, sweep, pairs, trainers, simulators, norms, sparse, timeline
        )

    @property
    def benchmarks(self) -> int:
        named = (self.pushes, self.rules, self.policies, self.trainers, self.simulators, self.norms, self.sparse)
        return sum(map(len, named)) + sum(one is not None for one in (self.sweep, self.pairs, self.timeline))

    def private_gain(self, rule: str, size: str) -> float:
        """The gain by a second process if the two share only the memory bus."""
        per_s = self.policies[rule, size]["pushes_per_s"]
        return float(per_s["private memory x 2"].over["private memory x 1"])

    def push(self, group: str, size: str) -> PushRun | None:
        return next((run for run in self.pushes if run.group.endswith(group) and run.size == size), None)


def _push_run(group: str, marks: Sequence[str], info: Mapping[str, Any]) -> PushRun:
    n = info["n"]
    rates = {name: c["bytes"] * n / c["seconds"].median / GIGA for name, c in info["contestants"].items()}
    best = max(rates[name] for name, c in info["contestants"].items() if c["kind"] == "stream")
    lines = {
        name: Line(
            name,
            c["kind"],
            ns=c["seconds"].median / n * GIGA,
            least_ns=c["seconds"].min / n * GIGA,
            gbps=rates[name],
            bound=rates[name] / best,
            seconds=c["seconds"],
        )
        for name, c in info["contestants"].items()
    }
    variant, bytes = marks[1] if len(marks) > 1 else "", next(iter(info["contestants"].values()))["bytes"]
    left_out, least_bytes = info.get("left_out", {}), info.get("least_bytes", 0)
    return PushRun(group, variant, marks[0], n, lines, left_out, bytes, least_bytes)

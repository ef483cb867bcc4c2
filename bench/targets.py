"""The targets of the project beside the measurements of a run. A target that was not measured is not listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Figures
from bench.samples import Sample

GAP_PUSH = "gap + shifted momentum"
ADAMW_PUSH = "AdamW with snapshot"
OVER_TORCH = {"1M": (1.2, 3.3), "16M": (1.3, 4.0)}  # wanted: times faster than torch's fused AdamW, than foreach
RIVALS = {"SGD": "torch SGD", "row Adagrad": "torch Adagrad", "Adagrad": "torch Adagrad", "Adam": "torch SparseAdam"}
BARE = "bare loop"  # over the same rows
SPARSE_OVER_TORCH = {"SGD": 2.5, "Adagrad": 5.0, "Adam": 8.0}  # wanted: times faster than their rivals
PUSH = "push, guard element"
CHAIN = "tuned torch chain"


@dataclass(frozen=True)
class Target:
    what: str
    measured: float
    wanted: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted


def targets(figures: Figures) -> Iterator[Target]:
    if large := figures.push(GAP_PUSH, "32M"):
        yield Target("gap + shifted push, 32 M: share of the byte bound", large.lines[PUSH].bound, 0.95)
        if (loop := large.times("AVX loop, streams only", PUSH)) is not None:
            yield Target("the same: speed over a bare loop's over the same five arrays", loop, 0.95)
        eager = large.times("eager torch", PUSH)
        assert eager is not None
        yield Target("gap + shifted push, 32 M: times faster than eager torch", eager, 6.0)
    if small := figures.push(GAP_PUSH, "16K"):
        net = small.net_times(PUSH, "AVX loop", "push of no element", "AVX loop of no element")
        if net is not None:
            yield Target("gap + shifted push, 16 K: time over the AVX loop's, calls left out", net, 1.3, at_most=True)
        whole = small.times(PUSH, "AVX loop")
        if whole is not None:
            yield Target("gap + shifted push, 16 K: time over the AVX loop's, calls included", whole, 1.3, at_most=True)
    for size, wanted in OVER_TORCH.items():
        if adamw := figures.push(ADAMW_PUSH, size):
            for form, least in zip(("fused", "foreach"), wanted, strict=True):
                times = adamw.times(f"torch AdamW {form}, copy_", PUSH)
                assert times is not None
                yield Target(f"AdamW push, {size[:-1]} M: times faster than torch {form} and copy_", times, least)
    for rule, words in (("add", "plain SGD"), ("gap", "gap + shifted")):
        if info := figures.policies.get((rule, "16M")):
            per_s = info["pushes_per_s"]
            memory = figures.private_gain(rule, "16M")
            for access in ("racing", "striped"):
                gain = per_s[f"{access} x 2"].over["locked x 2"]
                what = f"{words}, 16 M, 2 processes: {access} over one lock (private memory gains {memory:.2f})"
                yield Target(what, gain, 1.9 if access == "racing" else 1.0)
    if info := figures.trainers.get("lenet"):
        per_s = info["samples_per_s"]
        yield Target("lenet: 2 workers over 1", per_s["hogwild, 2"].over["hogwild, 1"], 1.9)
        yield from _over_the_loop("lenet", per_s, 1.0)
    if info := figures.trainers.get("mlp"):
        per_s = info["samples_per_s"]
        yield from _over_the_loop("mlp", per_s, 1.1)
    for model, info in figures.simulators.items():
        per_s, workers = info["updates_per_s"], info["workers"]
        over = per_s["plain loop"].over[f"simulator, {workers}"]
        yield Target(f"{model}: {workers} simulated workers, time over the plain loop's", over, 1.1, at_most=True)
    if figures.timeline is not None:
        what = "timeline: six changes of phase, part of the gradient of an mlp"
        yield Target(what, figures.timeline, 0.01, at_most=True)
    for case, layers in figures.norms.items():
        if "float32, contiguous" in case:
            times = layers["FullNorm2d"].over["BatchNorm2d"]
            yield Target(f"FullNorm2d, {case}: time over BatchNorm2d's", times, 1.2, at_most=True)
    for point, info in figures.sparse.items():
        for rule, least in SPARSE_OVER_TORCH.items():
            times = info["seconds"][RIVALS[rule]].over[rule]
            yield Target(f"sparse push, {point}: {rule}, times faster than {RIVALS[rule]}", times, least)


def _over_the_loop(model: str, per_s: dict[str, Sample], wanted: float) -> Iterator[Target]:
    """Targets of the trainer, with private snapshots and with reads of the shared parameters in place (as the loop)."""
    for contestant, how in (("hogwild, 2", "snapshots"), ("hogwild in place, 2", "in place")):
        gain = per_s[contestant].over["plain loop, 2"]
        yield Target(f"{model}: 2 workers over the plain loop, {how}", gain, wanted)

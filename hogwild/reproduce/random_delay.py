"""Figures 7 and 8 of Giladi et al. 2020: 1 / (largest stable curvature x lr) against the mean of a random delay.

The paper: the laws (uniform on 1 ... b, b up to 64; discrete Gaussian of deviation 1 around 1 ... 30) and eq. 19, the
edge at which the EXPECTED trajectory leaves the minimum.
Here: the Gaussian law is normalised (as printed it does not sum to 1), and single runs of the real algorithm file in
the simulator are added, with a delay drawn for every push. The edge of a single run can differ from that of the
expectation. Theory's mean-square edge, below which runs converge, is drawn too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hogwild import delays
from hogwild.reproduce.figure import Figure, Row, Verdict, line
from hogwild.reproduce.study import Study
from hogwild.reproduce.thresholds import PAPER

COLUMNS = ("law", "delay_mean", "threshold", "mean_square", "simulated", "simulated_low", "simulated_high")
SIMULATED = {"smoke": (2,), "tiny": (2, 4, 8, 16, 30), "paper": (1, 2, 4, 8, 16, 30, 64)}
LARGEST_SQUARE = 64
UPDATES = {"smoke": 800, "tiny": 10_000, "paper": 200_000}
SEQUENCES = {"smoke": 2, "tiny": 3, "paper": 10}
CLOSE = 0.1


@dataclass(frozen=True)
class Laws:
    """A family of delay laws with one number, which replaces {} in `spec`."""

    spec: str
    largest: int

    def compute(self, study: Study) -> list[Row]:
        from hogwild.reproduce.quadratic import edge
        from hogwild.theory.stability import mean_square_threshold, threshold

        rows: list[Row] = []
        for number in range(1, (4 if study.scale == "smoke" else self.largest) + 1):
            law = delays.parse(self.spec.format(number))
            found = {"law": self.spec.format(number), "delay_mean": delays.mean(law)}
            found |= {"threshold": threshold("none", law), "mean_square": mean_square_threshold("none", law)}
            rows.append(found | dict.fromkeys(("simulated", "simulated_low", "simulated_high")))
        chosen = [row for number, row in enumerate(rows, 1) if number in SIMULATED[study.scale]]
        seeds = range(study.seed, study.seed + SEQUENCES[study.scale])
        cases = [
            {"algorithm": "asgd", "options": {}, "workers": 1, "clock": row["law"], "near": row["threshold"],
             "updates": UPDATES[study.scale], "seed": seed}
            for row in chosen for seed in seeds
        ]  # fmt: skip
        edges = study.run(edge, cases)
        for number, row in enumerate(chosen):
            found_edges = [found for found in edges[number * len(seeds) : (number + 1) * len(seeds)] if found]
            if found_edges:
                low, high = min(found_edges), max(found_edges)
                mean = sum(found_edges) / len(found_edges)
                row |= {"simulated": mean, "simulated_low": low, "simulated_high": high}
        return rows


def verdict(rows: Sequence[Row]) -> Verdict:
    """1/k is linear in the mean delay, and single runs are near it."""
    slope, _, r2 = line([(row["delay_mean"], 1 / row["threshold"]) for row in rows])
    ratios = [row["simulated"] / row["threshold"] for row in rows if row["simulated"]]
    text = (
        f"1/k rises by {slope:.4f} per update of mean delay, R^2 {r2:.5f}; single runs leave the minimum at "
        f"{min(ratios):.3f} to {max(ratios):.3f} of the threshold of the expectation ({len(ratios)} laws)"
    )
    return Verdict(text, r2 > 0.99 and all(abs(ratio - 1) < CLOSE for ratio in ratios))


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """1 / k over the mean delay; bars are simulated runs."""
    means = [row["delay_mean"] for row in rows]
    axes.plot(means, [1 / row["threshold"] for row in rows], label="in expectation (eq. 19)")
    axes.plot(means, [1 / row["mean_square"] for row in rows], "--", label="in mean square")
    found = [row for row in rows if row["simulated"]]
    centers = [1 / row["simulated"] for row in found]
    bars = [
        [center - 1 / row["simulated_high"] for center, row in zip(centers, found, strict=True)],
        [1 / row["simulated_low"] - center for center, row in zip(centers, found, strict=True)],
    ]
    axes.errorbar([row["delay_mean"] for row in found], centers, bars, fmt="o", capsize=3, label="simulated runs")
    axes.set(xlabel="mean delay", ylabel="1 / (curvature x largest stable lr)")
    axes.legend()


CLAIM = "Also under a random delay, {}, 1/k is linear in the mean delay"
FIGURES = (
    Figure(
        name="fig7",
        source=f"{PAPER} 7",
        claim=CLAIM.format("uniform on 1 ... b"),
        columns=COLUMNS,
        compute=Laws("uniform:1:{}", 64).compute,
        verdict=verdict,
        plot=plot,
    ),
    Figure(
        name="fig8",
        source=f"{PAPER} 8",
        claim=CLAIM.format("discrete Gaussian of deviation 1"),
        columns=COLUMNS,
        compute=Laws("normal:{}:1", 30).compute,
        verdict=verdict,
        plot=plot,
    ),
)

"""Sizes and lengths of the benchmarks: full, or with HOGWILD_BENCH=quick just enough to show that all of them run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bench.rules import RULES


@dataclass(frozen=True)
class Scale:
    """Sizes are in parameters, `calls` per round; a round is one turn of every contestant."""

    push_sizes: Mapping[str, int]
    adaptive_sizes: Mapping[str, int]
    rule_sizes: Mapping[str, int]
    mix_sizes: Mapping[str, int]
    push_rounds: int
    pair_size: int
    pair_window_s: float
    pair_rounds: int
    policy_sizes: Mapping[str, int]
    policy_windows_s: Mapping[str, float]
    policy_rounds: int
    sweep_size: int
    sweep_ratios: tuple[float, ...]  # compute / step
    sweep_rounds: int
    sweep_window_s: float
    train_steps: Mapping[str, int]  # model -> batches per worker
    train_rounds: int
    simulator_steps: Mapping[str, int]  # model -> batches
    simulator_rounds: int
    norm_shape: tuple[int, int, int, int]  # [N, C, H, W]
    norm_rounds: int
    sparse_points: Mapping[str, tuple[int, int, int]]  # rows, dim, rows of a gradient
    sparse_pushes: int  # per turn
    sparse_rounds: int

    @property
    def benchmarks(self) -> int:
        """The number of benchmarks: at each size three comparisons and every fused rule of a push, AdamW, six mixes;
        two rules of the policies, the sweep, the pairs, the trainers, the simulators, four layers, the sparse pushes,
        the timeline.
        """
        pushes = (
            3 * len(self.push_sizes)
            + len(self.adaptive_sizes)
            + len(RULES) * len(self.rule_sizes)
            + 6 * len(self.mix_sizes)
        )
        whole = len(self.train_steps) + len(self.simulator_steps)
        return pushes + 2 * len(self.policy_sizes) + 1 + 1 + whole + 4 + len(self.sparse_points) + 1


FULL = Scale(
    push_sizes={"16K": 1 << 14, "1M": 1 << 20, "32M": 1 << 25},
    adaptive_sizes={"16K": 1 << 14, "1M": 1 << 20, "16M": 1 << 24},
    rule_sizes={"1M": 1 << 20, "32M": 1 << 25},
    mix_sizes={"16K": 1 << 14, "352K": 351_946, "16M": 1 << 24},  # the second: EASGD's net for CIFAR
    push_rounds=9,
    pair_size=1 << 16,
    pair_window_s=0.2,
    pair_rounds=5,
    policy_sizes={"16K": 1 << 14, "16M": 1 << 24},
    policy_windows_s={"16K": 0.1, "16M": 0.3},
    policy_rounds=3,
    sweep_size=1 << 22,
    sweep_ratios=(0.0, 0.25, 0.5, 1.0, 2.0, 4.0),
    sweep_rounds=3,
    sweep_window_s=0.2,
    train_steps={"lenet": 120, "mlp": 1500},
    train_rounds=3,
    simulator_steps={"lenet": 60, "mlp": 600},
    simulator_rounds=7,
    norm_shape=(64, 64, 28, 28),
    norm_rounds=30,
    sparse_points={
        "200 k x 64, k = 256": (200_000, 64, 256),
        "200 k x 64, k = 4096": (200_000, 64, 4096),
        "2 M x 64, k = 1024": (2_000_000, 64, 1024),
        "2 M x 64, k = 4096": (2_000_000, 64, 4096),
    },
    sparse_pushes=64,
    sparse_rounds=15,
)
SMOKE = Scale(
    push_sizes={"16K": 1 << 14},
    adaptive_sizes={"16K": 1 << 14},
    rule_sizes={"16K": 1 << 14},
    mix_sizes={"16K": 1 << 14},
    push_rounds=2,
    pair_size=1 << 14,
    pair_window_s=0.03,
    pair_rounds=1,
    policy_sizes={"16K": 1 << 14},
    policy_windows_s={"16K": 0.05},
    policy_rounds=1,
    sweep_size=1 << 16,
    sweep_ratios=(0.0, 1.0),
    sweep_rounds=1,
    sweep_window_s=0.05,
    train_steps={"mlp": 20},
    train_rounds=1,
    simulator_steps={"mlp": 20},
    simulator_rounds=1,
    norm_shape=(4, 8, 7, 7),
    norm_rounds=2,
    sparse_points={"1 k x 8, k = 32": (1000, 8, 32)},
    sparse_pushes=4,
    sparse_rounds=2,
)

QUICK = os.environ.get("HOGWILD_BENCH") == "quick"
SCALE = SMOKE if QUICK else FULL

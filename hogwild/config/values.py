"""The checks of single options: which values each may have, and in which words that is told."""

from __future__ import annotations

import re

from hogwild.config.schedules import SCHEDULES
from hogwild.options import Check
from hogwild.system import parse_cores
from hogwild.tasks.sharding import SHARDS, is_shard

ORDERS = ("shuffled", "sorted", "single-class")
AMP = ("none", "bf16")
WIRES = ("f32", "int8")

WORKERS_LIMIT = 65_536  # real ones and simulated ones
FACTOR_LIMIT = 1e6


def _at_least(low: float, words: str) -> Check:
    return (lambda value: value >= low), words


def _is_cores(text: str) -> bool:
    try:
        return text in ("none", "auto") or bool(parse_cores(text))
    except ValueError:
        return False


POSITIVE: Check = ((lambda value: value > 0), "a number > 0")
COUNT = _at_least(1, "an integer >= 1")
WORKERS: Check = ((lambda value: 1 <= value <= WORKERS_LIMIT), f"an integer >= 1, at most {WORKERS_LIMIT:,}")
NOT_NEGATIVE = _at_least(0, "a number >= 0")
SEED: Check = ((lambda value: 0 <= value < 1 << 63), "an integer, 0 <= seed < 2^63")
MASTER: Check = (
    (lambda text: re.fullmatch(r"auto|host|sharded|cuda:\d{1,3}", text) is not None), "auto, host, sharded or cuda:N"
)  # fmt: skip
SHARD: Check = (is_shard, SHARDS)
CORES: Check = (_is_cores, "none, auto or cores such as 0,2,4-7")
NO_DECAY: Check = (
    (lambda text: text == "none" or set(text.split(",")) <= {"bias", "norm"}), "none, bias, norm or bias,norm"
)  # fmt: skip
NAME: Check = ((lambda text: "/" not in text and not text.startswith(".")), "a directory name without '/'")
FACTORS: Check = (
    (lambda factors: all(worker >= 0 and 1 <= factor <= FACTOR_LIMIT for worker, factor in factors.items())),
    "WORKER:FACTOR with a factor from 1 to a million, such as 0:4",
)
MILESTONES: Check = (
    (lambda parts: all(0 < part < 1 for part in parts) and list(parts) == sorted(set(parts))),
    "rising fractions of the run between 0 and 1, such as 0.5,0.75",
)
RISING: Check = (
    (lambda epochs: all(epoch > 0 for epoch in epochs) and list(epochs) == sorted(set(epochs))),
    "rising numbers of epochs above 0, such as 30,60",
)
SCHEDULE: Check = (
    (lambda text: text in SCHEDULES or ":" in text), f"one of {', '.join(SCHEDULES)} or module:function"
)  # fmt: skip
PART: Check = ((lambda value: 0 <= value <= 1), "a number, 0 <= number <= 1")
FRACTION: Check = ((lambda value: 0 <= value < 1), "a fraction, 0 <= fraction < 1")

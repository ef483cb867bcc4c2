"""AdamW's kinds and SGD under growing delay: who keeps the quality that one worker reaches?

The paper: Hakimi et al. 2019 (arXiv:1907.11612) compare kinds of momentum for SGD under delay, and find that a
look-ahead by the workers' own momentum loses least. It has no adaptive rules; dana-slim is the default of AdamW here
because its linear theory has the largest threshold (docs/adaptive.md).
Here: N workers in turn, so that the delay is N - 1, for N = 1, 8 and 32; every rule has the best of its learning rates
at every N, by the mean of the seeds. All runs of a figure see as many batches of the same size. At tiny scale a
perceptron on 2,000 samples of Fashion-MNIST (digits if it is missing) for 504 batches of 32, and the character model
for 400 batches of 8 windows of 64 characters, b2 0.99; three seeds each. Quality is that of the last evaluation.
"""

from __future__ import annotations

from hogwild.reproduce.delayed import COLUMNS, Rules, Task
from hogwild.reproduce.figure import Figure

ADAM_LRS, SGD_LRS = (3e-4, 1e-3, 3e-3), (0.03, 0.1, 0.3)
RULES: Rules = {
    "adamw dana-slim": ({"algorithm": "adamw", "momentum_kind": "dana-slim"}, ADAM_LRS),
    "adamw dana": ({"algorithm": "adamw", "momentum_kind": "dana"}, ADAM_LRS),
    "adamw shifted": ({"algorithm": "adamw", "momentum_kind": "shifted"}, ADAM_LRS),
    "adamw heavy-ball": ({"algorithm": "adamw", "momentum_kind": "heavy-ball"}, ADAM_LRS),
    "sgd": ({"algorithm": "asgd"}, SGD_LRS),
    "sgd dana-slim": ({"algorithm": "dana-slim", "momentum": 0.9}, tuple(lr / 10 for lr in SGD_LRS)),
}
"""Momentum 0.9 has a tenth of the rates, which is the same effective rate."""
DEFAULT = "adamw dana-slim"
KINDS = tuple(rule for rule in RULES if rule.startswith("adamw"))


IMAGES = Task(
    RULES, DEFAULT, KINDS, None,
    {
        "smoke": {"samples": 160, "tests": 60, "model": "mlp", "batch_size": 16, "epochs": 1},
        "tiny": {"samples": 2000, "tests": 1000, "model": "mlp", "batch_size": 32, "epochs": 8, "every": 8.0},
        "paper": {"samples": 60_000, "tests": 10_000, "model": "mlp", "batch_size": 32, "epochs": 5},
    },
    {"smoke": 1, "tiny": 3, "paper": 3}, "test accuracy", larger_is_better=True,
)  # fmt: skip
TEXT = Task(
    RULES, DEFAULT, KINDS, "tinyshakespeare",
    {
        "smoke": {"samples": 16, "tests": 4, "model": "charlm", "batch_size": 4, "epochs": 1},
        "tiny": {"samples": 3200, "tests": 100, "model": "charlm", "batch_size": 8, "epochs": 1},
        "paper": {"samples": 15_000, "tests": 1700, "model": "charlm", "batch_size": 8, "epochs": 4},
    },
    {"smoke": 1, "tiny": 3, "paper": 3}, "test bits per character", larger_is_better=False,
    options={kind: {"beta2": 0.99} for kind in KINDS},
)  # fmt: skip
CLAIM = "Of AdamW's kinds dana-slim, the default, loses least under delay, {}"
SOURCE = "ours, after Hakimi et al. 2019"
FIGURES = tuple(
    Figure(name, SOURCE, CLAIM.format(what), COLUMNS, task.compute, task.verdict, task.plot, task.report)
    for name, what, task in (("delayed-rules", "images", IMAGES), ("delayed-text", "characters", TEXT))
)

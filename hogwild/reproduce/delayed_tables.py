"""Rules of tables under growing delay: which keep the error of a matrix factorisation that one worker reaches?

The paper: Niu et al. 2011 (arXiv:1106.5730) factorise a matrix with many workers by plain SGD; rows that few samples
share are seldom stale. Ratings of real people have hot rows: a row of every batch has the whole delay.
Here: N workers in turn, for N = 1, 8 and 32; every rule of tables has the best of its learning rates at every N, by the
mean of the seeds. Synthetic ratings of 20,000 users and items drawn by Zipf's law, rank 16, in batches of 256; noise
alone is an error of 0.3, the mean of all ratings one of 1.04. The offset is trained by asgd at lr 0.01. At tiny scale
two passes over the first 450,000 ratings, three seeds.
"""

from __future__ import annotations

from hogwild.reproduce.delayed import COLUMNS, Rules, Task
from hogwild.reproduce.figure import Figure

SGD_LRS, ADAGRAD_LRS = (0.3, 1.0, 3.0, 10.0), (0.03, 0.1, 0.3)
RULES: Rules = {
    "row-adagrad": ({"table_rule": "row-adagrad"}, ADAGRAD_LRS),
    "adagrad": ({"table_rule": "adagrad"}, ADAGRAD_LRS),
    "adam": ({"table_rule": "adam"}, (0.003, 0.01, 0.03)),
    "sgd": ({"table_rule": "sgd"}, SGD_LRS),
    "momentum": ({"table_rule": "momentum"}, tuple(lr / 10 for lr in SGD_LRS)),
}
"""Momentum 0.9 has a tenth of the rates, which is the same effective rate."""
COMMON = {"model": "mf", "algorithm": "asgd", "batch_size": 256, "lr": 0.01}
RATINGS = Task(
    RULES, "row-adagrad", tuple(RULES), "zipf_ratings",
    {
        "smoke": {**COMMON, "samples": 2048, "tests": 200, "epochs": 1},
        "tiny": {**COMMON, "samples": 450_000, "tests": 50_000, "epochs": 2, "every": 2.0},
        "paper": {**COMMON, "samples": 900_000, "tests": 100_000, "epochs": 3},
    },
    {"smoke": 1, "tiny": 3, "paper": 3}, "test RMSE", larger_is_better=False, rate="table_lr",
)  # fmt: skip
CLAIM = "Of the rules of tables row-adagrad, the default of adaptive algorithms, has the smallest error at delay 31"
FIGURES = (
    Figure(
        "delayed-tables", "ours, after Niu et al. 2011", CLAIM, COLUMNS, RATINGS.compute, RATINGS.verdict, RATINGS.plot,
        RATINGS.report,
    ),
)  # fmt: skip

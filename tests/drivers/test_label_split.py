"""Workers with two digits each on a ring: D² trains well, D-PSGD does not. The long form is in docs/results."""

from __future__ import annotations

import pytest

from experiments.label_split import UNIFORM, run


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_d2_has_the_lower_training_loss_where_workers_have_two_digits_each(seed: int):
    d2, d_psgd = (run(algorithm, 0.5, UNIFORM, "label", seed, rounds=300) for algorithm in ("d2", "d-psgd"))
    assert d2.train_loss < 0.5 * d_psgd.train_loss
    assert d2.worst_replica > d_psgd.worst_replica
    assert d2.train_loss < 0.05

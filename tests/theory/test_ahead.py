"""The look-ahead by another factor than the momentum: largest stable curvature x lr, dampened, m = 0.9."""

from __future__ import annotations

import pytest

from hogwild.theory.stability import threshold

M = 0.9
SHARED = {1: (1.0, 1.688578, 2.701562), 3: (0.347841, 0.406576, 0.479326), 7: (0.157520, 0.167722, 0.178603),
          31: (0.041791, 0.042370, 0.042948)}  # fmt: skip
PRIVATE = {1: 5.353718, 7: 0.954827, 31: 0.218545}
ASYNC_NAG = {3: 0.463707778, 7: 0.176380053, 31: 0.042832599}


@pytest.mark.parametrize("delay", SHARED)
def test_a_shared_momentum(delay: int):
    found = [threshold("nesterov", delay, M, M, ahead=ahead) for ahead in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(SHARED[delay], rel=0, abs=0.6e-6)


@pytest.mark.parametrize("delay", PRIVATE)
def test_a_private_momentum_gains_at_any_delay(delay: int):
    assert threshold("dana", delay, M, M, ahead=1.0) == pytest.approx(PRIVATE[delay], rel=0, abs=0.6e-6)


@pytest.mark.parametrize("delay", ASYNC_NAG)
def test_async_nag_is_nesterovs_look_ahead_of_a_shared_momentum(delay: int):
    assert threshold("nesterov", delay, M, M) == pytest.approx(ASYNC_NAG[delay], rel=0, abs=0.6e-9)
    assert threshold("nesterov", delay, M, M, ahead=M) == pytest.approx(threshold("nesterov", delay, M, M), rel=1e-12)


def test_without_momentum_it_helps_at_long_delays_only():
    assert threshold("nesterov", 1, ahead=1.0) == pytest.approx(0.618, rel=0, abs=0.6e-3)
    gains = {delay: threshold("nesterov", delay, ahead=1.0) / threshold("none", delay) for delay in (1, 2, 3, 4, 7)}
    assert [delay for delay, gain in gains.items() if gain < 1] == [1, 2, 3]
    assert gains[7] == pytest.approx(1.08, abs=0.006)


def test_a_look_ahead_of_a_rule_without_one_is_refused():
    with pytest.raises(ValueError, match="rule shifted does not look ahead"):
        threshold("shifted", 3, M, ahead=1.0)

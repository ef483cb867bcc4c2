"""Statistics for few seeds. Quantiles of a bootstrap are too narrow there, and no p value below 0.05 exists for fewer
than six pairs: with three seeds one can say that something was better in three of three, and not more.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

# 97.5 % quantiles of Student's t, for 1 to 30 degrees of freedom; then that of the normal distribution is close.
T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
MOST_FLIPS = 16  # pairs: 2^16 patterns of signs


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval, by Student's t; the half width is NaN for one value."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    quantile = T[len(values) - 2] if len(values) - 2 < len(T) else 1.96
    return mean, quantile * statistics.stdev(values) / math.sqrt(len(values))


def sign_flips(differences: Sequence[float]) -> float:
    """The exact p value of paired differences: how many of all patterns of signs give a sum as far from zero.

    Raises: ValueError for more than 16 pairs.
    """
    if len(differences) > MOST_FLIPS:
        raise ValueError(f"{len(differences)} pairs: at most {MOST_FLIPS} are tried in all patterns of signs")
    far = abs(math.fsum(differences)) * (1 - 1e-12)
    patterns = itertools.product((1, -1), repeat=len(differences))
    sums = [sum(sign * value for sign, value in zip(signs, differences, strict=True)) for signs in patterns]
    return sum(abs(total) >= far for total in sums) / len(sums)


def verdict(differences: Sequence[float]) -> str:
    """What the paired differences say, in words: larger is better."""
    if not differences:
        return "no seed in common"
    mean, half = interval(differences)
    better = sum(difference > 0 for difference in differences)
    text = f"better in {better} of {len(differences)}"
    if not math.isnan(half):
        text += f", {mean:+.3g} ± {half:.2g}"
    if 6 <= len(differences) <= MOST_FLIPS:
        text += f", p = {sign_flips(differences):.2g}"
    return text

"""The compiled kernels: push, mix, pair, wire, norm; and the control block. Only this package imports hogwild._C.

Every docstring states the mutated buffers and the possible races. Shapes, dtypes and devices are checked before the
address of a tensor is used.
"""

from hogwild.kernels.extension import ExtensionError as ExtensionError
from hogwild.kernels.extension import build_info as build_info
from hogwild.kernels.extension import use_isa as use_isa

# isort: split
# The extension comes first: its error explains why hogwild._C is missing.
from hogwild.kernels.exchange import Exchange as Exchange
from hogwild.kernels.mix import copy as copy
from hogwild.kernels.mix import count_nonfinite as count_nonfinite
from hogwild.kernels.mix import diffuse as diffuse
from hogwild.kernels.mix import weighted_sum as weighted_sum
from hogwild.kernels.norm import norm_backward as norm_backward
from hogwild.kernels.norm import norm_forward as norm_forward
from hogwild.kernels.pair import PairStats as PairStats
from hogwild.kernels.pair import pair_average as pair_average
from hogwild.kernels.placed import gpus as gpus
from hogwild.kernels.push import Push as Push
from hogwild.kernels.push import PushStats as PushStats
from hogwild.kernels.rows import SparsePush as SparsePush

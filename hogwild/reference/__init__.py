"""The NumPy oracle: pushes, averages and exchanges once more, plainly, in float64. The only deliberate second copy.

No vectors, no accumulators, no memory model. Tests and bench compare the kernels with it; nothing else uses it.
"""

from hogwild.reference.mix import admm as admm
from hogwild.reference.mix import blend as blend
from hogwild.reference.mix import deliver as deliver
from hogwild.reference.mix import diffuse as diffuse
from hogwild.reference.mix import drain as drain
from hogwild.reference.mix import elastic as elastic
from hogwild.reference.mix import send as send
from hogwild.reference.mix import weighted_sum as weighted_sum
from hogwild.reference.momentum import Array as Array
from hogwild.reference.momentum import Buffers as Buffers
from hogwild.reference.push import PushStats as PushStats
from hogwild.reference.push import push as push

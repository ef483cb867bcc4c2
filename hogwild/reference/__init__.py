"""The NumPy oracle: pushes, averages, exchanges and the 8-bit wire written plainly in float64, the only deliberate
second copy of the mathematics.

It has no vectorisation, no partial sums and no memory model. Only tests and benchmarks use it, to check the kernels.
"""

from hogwild.reference.arrays import Array as Array
from hogwild.reference.arrays import Buffers as Buffers
from hogwild.reference.mix import admm as admm
from hogwild.reference.mix import blend as blend
from hogwild.reference.mix import deliver as deliver
from hogwild.reference.mix import diffuse as diffuse
from hogwild.reference.mix import drain as drain
from hogwild.reference.mix import elastic as elastic
from hogwild.reference.mix import send as send
from hogwild.reference.mix import weighted_sum as weighted_sum
from hogwild.reference.push import PushStats as PushStats
from hogwild.reference.push import push as push
from hogwild.reference.rows import ReferenceSparsePush as ReferenceSparsePush
from hogwild.reference.wire import decode as decode
from hogwild.reference.wire import encode as encode

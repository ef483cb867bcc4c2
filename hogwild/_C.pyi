"""The compiled module (csrc/bindings.cpp, csrc/control_bindings.cpp). Addresses are integers; nothing is checked here."""

from collections.abc import Sequence
from typing import ClassVar, Final

STRIPE: Final[int]  # elements under one lock of Access.striped
build: Final[dict[str, object]]

def isa() -> str: ...
def use_isa(name: str) -> None: ...

class Dtype:
    float32: ClassVar[Dtype]
    bfloat16: ClassVar[Dtype]
    float64: ClassVar[Dtype]

class Penalty:
    none: ClassVar[Penalty]
    gap: ClassVar[Penalty]

class Momentum:
    none: ClassVar[Momentum]
    heavy_ball: ClassVar[Momentum]
    nesterov: ClassVar[Momentum]

class Access:
    racing: ClassVar[Access]
    atomic: ClassVar[Access]
    striped: ClassVar[Access]

class Guard:
    push: ClassVar[Guard]
    element: ClassVar[Guard]

class Rule:
    master: Dtype
    penalty: Penalty
    momentum_kind: Momentum
    access: Access
    guard: Guard
    momentum: float
    dampening: float
    torch_first_step: bool
    gap_decay: float
    gap_eps: float
    penalize_decay: bool
    def __init__(self) -> None: ...

class PushStats:
    """What one push saw. `applied` is False where Guard.PUSH refused it; then nothing was written."""

    @property
    def applied(self) -> bool: ...
    @property
    def nonfinite(self) -> int:
        """Gradient elements that were NaN or infinite."""
    @property
    def gap_sq(self) -> float:
        """sum (x - snapshot)^2, before the push."""
    @property
    def step_sq(self) -> float:
        """sum (lr direction)^2."""
    @property
    def recovered(self) -> int:
        """Stripe locks whose last holder had died."""

class CpuPush:
    def __init__(
        self,
        rule: Rule,
        x: int,
        snapshot: int,
        v: int,
        s: int,
        segments: Sequence[tuple[int, int]],
        stripes: int,
        n_stripes: int,
        /,
    ) -> None: ...
    def run(
        self,
        grads: Sequence[int],
        gradient: Dtype,
        lr: float,
        weight_decay: float,
        pushes: int,
        lr_max: float,
        first_step: bool,
        start: int,
        stop: int,
        stream: int,
        /,
    ) -> None: ...
    def stats(self) -> PushStats: ...

class CudaPush:
    def __init__(
        self, rule: Rule, x: int, snapshot: int, v: int, s: int, segments: Sequence[tuple[int, int]], device: int, /
    ) -> None: ...
    def run(
        self,
        grads: Sequence[int],
        gradient: Dtype,
        lr: float,
        weight_decay: float,
        pushes: int,
        lr_max: float,
        first_step: bool,
        start: int,
        stop: int,
        stream: int,
        /,
    ) -> None: ...
    def stats(self) -> PushStats: ...

def weighted_sum(
    dtype: Dtype,
    out: int,
    inputs: Sequence[int],
    weights: Sequence[float],
    start: int,
    stop: int,
    device: int,
    stream: int,
    /,
) -> None: ...
def copy(dtype: Dtype, out: int, source: int, start: int, stop: int, device: int, stream: int, /) -> None: ...
def count_nonfinite(dtype: Dtype, g: int, n: int, device: int, stream: int, /) -> int: ...

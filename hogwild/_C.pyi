"""The compiled module: csrc/*bindings.cpp. Addresses are integers; nothing is checked."""

import builtins
from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypedDict

from typing_extensions import NotRequired

STRIPE: Final[int]  # elements under one lock, in striped access and in a pair average
LEAST_GAP: Final[int]  # exponent of the first bin of Control.gaps
LOCK_BYTES: Final[int]  # distance between the locks of a set
build: Final[dict[str, object]]

def load_word(address: int) -> int: ...
def store_word(address: int, value: int) -> None: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...

class Rule:
    """The constants are listed in csrc/lists.h; TypeError for an unknown name. Choices are given by name; ValueError
    for any other than:

    master float32|float64, compensation none|constant|adaptive, penalty none|gap|gap_of_steps|norm_gap|sized_gap,
    unit v|g|step, access racing|atomic|striped|locked, guard push|element, momentum_kind as in csrc/stages/momenta.h.
    """

    def __init__(self, **constants: object) -> None: ...

class PushStats:
    """The statistics of one push. `applied` is False if Guard.PUSH refused it; then nothing was written."""

    @property
    def applied(self) -> bool: ...
    @property
    def nonfinite(self) -> int:
        """Gradient elements that were NaN or infinite."""
    @property
    def gap_sq(self) -> float:
        """sum (x - snapshot)^2, or the squared distance to the center, before the push."""
    @property
    def step_sq(self) -> float:
        """sum of squared steps, without those of an elastic exchange."""
    @property
    def grad_norm(self) -> float:
        """L2 norm of the scaled gradient before clipping; NaN under Guard.ELEMENT, which does not read the gradient
        beforehand.
        """
    @property
    def penalty(self) -> float:
        """Harmonic mean of G over the elements with a gradient: 1 / penalty is their mean weight. 1 without Gap."""
    @property
    def recovered(self) -> int:
        """The number of stripe locks with a dead holder."""

class GradientTable:
    """One gradient per segment: csrc/gradients.h. `tensor` is torch.Tensor, `device` -1 the CPU."""

    def __init__(self, tensor: type, numels: Sequence[int], master: str, device: int, /) -> None: ...
    def read(self, grads: Sequence[object], /) -> bool:
        """False if Python must check one of them, or if torch has no such interface."""
    def set(self, addresses: Sequence[int], dtype: str, /) -> None: ...

class ParameterWatch:
    """A module's parameters: csrc/parameter_watch.h. `held`: (dict, name, parameter) wherever a module holds one.
    A state is (address, is trained, torch's count of writes), the count 0 beyond the first `counted` parameters.
    """

    def __init__(
        self, tensor: type, held: Sequence[tuple[object, str, object]], parameters: Sequence[object], counted: int, /
    ) -> None: ...
    def look(self) -> None:
        """Remembers the states."""
    def same(self, with_writes: bool, /) -> bool:
        """Whether they still are so, and modules hold the same parameters as at first; without the count of writes,
        unless `with_writes`.
        """
    def seen(self) -> list[tuple[int, bool, int]]: ...
    def now(self) -> list[tuple[int, bool, int]]: ...
    def sums(self) -> list[int]:
        """Sums over the memory of the counted parameters, at their remembered addresses, on the CPU."""

class ModuleCopies:
    """A module's own buffers: csrc/module_copies.h. ValueError if one of them is not contiguous."""

    def __init__(
        self,
        tensor: type,
        held: Sequence[tuple[object, str, object]],
        dicts: Sequence[object],
        tensors: Sequence[object],
        /,
    ) -> None: ...
    def add(self, places: Sequence[int], /) -> int:
        """Where a worker's copies lie; returns their number for `write` and `read`."""
    def write(self, places: int, /) -> bool:
        """Copies the buffers to their places, on the CPU. False: they have changed, and nothing was done."""
    def read(self, places: int, /) -> bool: ...
    def is_unchanged(self) -> bool: ...

class CpuPush:
    """`buffers`: addresses by name, of the buffers in csrc/lists.h and gap_state; `groups`: factors of lr and of weight
    decay for each segment, or none; `stripes`: address and number of the locks. TypeError for an unknown name, and if a
    buffer that the stages use is missing.
    """

    def __init__(
        self,
        rule: Rule,
        buffers: dict[str, int],
        segments: Sequence[tuple[int, int]],
        groups: Sequence[tuple[float, float]],
        stripes: tuple[int, int],
        /,
    ) -> None: ...
    def run(
        self, table: GradientTable, grads: Sequence[object] | None, scalars: dict[str, Any], stream: int, /
    ) -> bool:
        """Reads the gradients into the table and pushes them; None: pushes those in the table. Scalars are named as in
        csrc/lists.h; TypeError if one is missing or unknown. False: Python must check a gradient, and nothing was done.
        """
    def run_among(
        self,
        table: GradientTable,
        grads: Sequence[object] | None,
        scalars: dict[str, Any],
        neighbours: Sequence[int],
        weights: Sequence[float],
        /,
    ) -> bool:
        """As `run`, after a mix with the flat buffers at `neighbours`."""
    def run_mean(self, inputs: Sequence[int], scalars: dict[str, Any], /) -> None:
        """Pushes the mean of gradients in flat buffers at these addresses. Scalars as in `run`."""
    def stats(self) -> PushStats: ...

class CpuDeposit:
    """Gradients into the flat buffer at address `x`, each into its segment (offset, numel); zeros where one is None."""

    def __init__(self, x: int, master: str, segments: Sequence[tuple[int, int]], /) -> None: ...
    def run(self, table: GradientTable, grads: Sequence[object] | None, keeps: bool, /) -> int | None:
        """Returns the count of elements that are not finite. `keeps`: if there are any, nothing is written. None:
        Python must check a gradient, and nothing was done.
        """

class CudaPush:
    """As CpuPush, on a CUDA device: run() enqueues, stats() waits."""

    def __init__(
        self,
        rule: Rule,
        buffers: dict[str, int],
        segments: Sequence[tuple[int, int]],
        groups: Sequence[tuple[float, float]],
        device: int,
        /,
    ) -> None: ...
    def run(
        self, table: GradientTable, grads: Sequence[object] | None, scalars: dict[str, Any], stream: int, /
    ) -> bool: ...
    def stats(self) -> PushStats: ...
    def capture(self, table: GradientTable, grads: Sequence[object] | None, stream: int, /) -> bool: ...
    def prepare(self, scalars: dict[str, Any], stream: int, /) -> None: ...
    def replayed(self, stream: int, /) -> None: ...
    @property
    def is_cooperative(self) -> bool: ...

class RowGradientTable:
    """Reads the sparse gradients of tables whose rows have `dims` elements; device -1 is the CPU."""

    def __init__(self, tensor: type, dims: Sequence[int], master: str, device: int, /) -> None: ...

class CpuRows:
    """Sparse pushes. `constants`, tables and scalars are named as in csrc/rows.h; each table has a name for messages.
    begin() takes (rows, values, count, dtype) of each gradient and groups it, ValueError for a row that does
    not exist; scan() returns the sum of squares and the count of non-finite elements; push() returns the fields of
    tables.SparseStats. The gradients must live until push() has returned.
    """

    def __init__(
        self,
        rule: Rule,
        constants: dict[str, object],
        tables: Sequence[tuple[str, dict[str, object]]],
        stripes: tuple[int, int],
        /,
    ) -> None: ...
    def begin(self, grads: Sequence[tuple[int, int, int, str] | None], stream: int, /) -> None: ...
    def read(self, table: RowGradientTable, grads: Sequence[object], stream: int, /) -> bool: ...
    def scan(self) -> tuple[float, int]: ...
    def push(self, scalars: dict[str, Any], /) -> tuple[bool, int, float, float, int, int, int, int, int]: ...
    def catch_up(self, scalars: dict[str, Any], /) -> None: ...

class CudaRows:
    """As CpuRows, on a CUDA device; every call waits for it."""

    def __init__(
        self,
        rule: Rule,
        constants: dict[str, object],
        tables: Sequence[tuple[str, dict[str, object]]],
        device: int,
        /,
    ) -> None: ...
    def begin(self, grads: Sequence[tuple[int, int, int, str] | None], stream: int, /) -> None: ...
    def read(self, table: RowGradientTable, grads: Sequence[object], stream: int, /) -> bool: ...
    def scan(self) -> tuple[float, int]: ...
    def push(self, scalars: dict[str, Any], /) -> tuple[bool, int, float, float, int, int, int, int, int]: ...
    def catch_up(self, scalars: dict[str, Any], /) -> None: ...

# The kernels below take one dict each, with the names in csrc/calls.h, csrc/mix.h and csrc/norm_call.h; TypeError for a
# missing or unknown name. The types of these dicts exist for type checkers only.

class _Place(TypedDict):
    device: int
    stream: int

class _Range(_Place):
    dtype: str
    start: int
    stop: int

class _WeightedSum(_Range):
    out: int
    inputs: Sequence[int]
    weights: Sequence[float]

class _Copy(_Range):
    out: int
    source: int

class _CountNonfinite(_Place):
    dtype: str
    g: int
    numel: int

class _PairAverage(_Range):
    a: int
    b: int
    weight: float
    locks_a: int
    locks_b: int
    n_locks: int
    waits: bool
    lag_a: NotRequired[int | None]
    lag_b: NotRequired[int | None]
    rest_a: NotRequired[float]
    rest_b: NotRequired[float]
    gain: NotRequired[float]

class _Exchange(_Range):
    kind: str
    access: str
    share: float
    lr: NotRequired[float]
    rho: NotRequired[float]
    stripes: int
    n_stripes: int
    x: int
    center: int
    memory: NotRequired[int]
    g: NotRequired[int]

class _Diffuse(_Range):
    out: int
    own: int
    correction: NotRequired[int]
    neighbours: Sequence[int]
    weights: Sequence[float]

class _WireEncode(TypedDict):
    x: int
    own: int
    packet: int
    n: int

class _WireDecode(TypedDict):
    packet: int
    own: int
    peer: int
    flux: int
    n: int

class _Norm(_Place):
    master: str
    input: str
    outer: int
    channels: int
    inner: int
    x: int
    weight: NotRequired[int]
    saved: int
    count: int
    alpha: float
    decay: float

class _NormForward(_Norm):
    bias: NotRequired[int]
    y: int
    mu: int
    nu: int
    eps: float

class _NormBackward(_Norm):
    g: int
    dx: NotRequired[int]
    weight_grad: int
    bias_grad: int
    mu_grad: int
    nu_grad: int

def weighted_sum(call: _WeightedSum, /) -> None: ...
def copy(call: _Copy, /) -> None: ...
def count_nonfinite(call: _CountNonfinite, /) -> int: ...
def pair_average(call: _PairAverage, /) -> tuple[int, int, int]: ...
def exchange(call: _Exchange, /) -> int:
    """kind: elastic|deliver|admm|send|drain|blend; stripes, n_stripes: address and number of the locks; memory and g
    where the kind uses them, else TypeError (csrc/mix.h). Returns the number of locks with a dead holder.
    """

def diffuse(call: _Diffuse, /) -> None: ...
def wire_encode(call: _WireEncode, /) -> None: ...
def wire_decode(call: _WireDecode, /) -> int:
    """Returns the number of elements of the flux that are not finite."""

def norm_forward(call: _NormForward, /) -> None: ...
def norm_backward(call: _NormBackward, /) -> None: ...

class Phase:
    """The phases of a worker (csrc/control.h)."""

    name: str
    STARTING: ClassVar[Phase]
    DATA: ClassVar[Phase]
    GRADIENT: ClassVar[Phase]
    UPDATE: ClassVar[Phase]
    BARRIER: ClassVar[Phase]
    PAUSED: ClassVar[Phase]
    DONE: ClassVar[Phase]
    LOCK: ClassVar[Phase]
    SLEEP: ClassVar[Phase]
    @property
    def value(self) -> int: ...
    __members__: ClassVar[dict[str, Phase]]

class Control:
    """The control block of a run (csrc/control.h)."""

    version: int
    def __init__(self, address: int, workers: int, stripes: int, create: bool) -> None: ...
    @staticmethod
    def bytes(workers: int, stripes: int) -> int: ...
    @property
    def workers(self) -> int: ...
    @property
    def stripes(self) -> int: ...
    @property
    def stripe_locks(self) -> int: ...
    @property
    def lr_max(self) -> float: ...
    @property
    def next(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def stopping(self) -> bool: ...
    def raise_lr_max(self, lr: float) -> float: ...
    def take(self, rank: int, takes_over: bool = False, ns: int | None = None) -> int: ...
    def claim(self, rank: int) -> bool: ...
    def disclaim(self, rank: int) -> None: ...
    def overtaken(self, rank: int) -> bool: ...
    def takes_over_at(self, rank: int) -> int | None: ...
    def complete(self, rank: int) -> None: ...
    def wait_for_work(self, rank: int, timeout_s: float, takes_over: bool = False) -> bool: ...
    def mark_dead(self, rank: int, timeout_s: float) -> bool: ...
    def outstanding(self) -> list[int]: ...
    def assign(self, next: int, total: int, again: Sequence[int]) -> None: ...
    def lease(self, first: int, count: int, more: bool) -> None: ...
    def number(self, ticket: int) -> int: ...
    @property
    def open(self) -> bool: ...
    def begin_push(self, rank: int, locked: bool) -> int: ...
    def end_push(
        self, rank: int, locked: bool, applied: bool, nonfinite: int, gap_sq: float, step_sq: float
    ) -> int: ...
    def count_push(self, rank: int, locked: bool, stats: PushStats) -> None: ...
    gathered: int
    def gather(self, rank: int, taken: bool, waits: bool, nonfinite: int) -> int: ...
    def exhausted(self) -> bool: ...
    def commit(self, rank: int) -> None: ...
    def end_gather(self, rank: int, locked: bool, gap_sq: float, step_sq: float) -> None: ...
    def awaits_update(self, rank: int) -> bool: ...
    def all_await(self) -> bool: ...
    def wait_update(self, rank: int, timeout_s: float) -> bool: ...
    def end_round(self, rank: int, commits: bool, nonfinite: int, step_sq: float) -> None: ...
    def lock_model(self, rank: int) -> None: ...
    def unlock_model(self) -> None: ...
    def begin_turn(self, rank: int, alone: bool) -> int: ...
    def end_turn(self, alone: bool) -> None: ...
    def alive(self, rank: int) -> bool: ...
    def pulled(self, rank: int) -> None: ...
    def count_exchange(self, rank: int, averaged: int, skipped: int, recovered: int) -> None: ...
    def set_pulled(self, rank: int, version: int) -> None: ...
    def pulled_version(self, rank: int) -> int: ...
    def record_loss(self, rank: int, loss: float, samples: int) -> None: ...
    def arrive(self, rank: int) -> int: ...
    def arrived(self, rank: int) -> int: ...
    def wait_barrier(self, rank: int, generation: int, timeout_s: float) -> bool: ...
    def participants(self, generation: int) -> list[int]: ...
    def join(self, rank: int, barriers_per_round: int, timeout_s: float) -> bool: ...
    def leave(self, rank: int) -> None: ...
    def close_gate(self, barriers_per_round: int) -> None: ...
    def drained(self) -> bool: ...
    def open_gate(self) -> None: ...
    def enter(self, rank: int, timeout_s: float) -> bool: ...
    def exit(self, rank: int) -> None: ...
    def stop(self) -> None: ...
    def lock_holders(self) -> list[tuple[str, int]]: ...
    origin_ns: int
    parameters: int
    def set_phase(self, rank: int, phase: Phase) -> None: ...
    def set_phase_at(self, rank: int, phase: Phase, ns: int) -> None: ...
    def timeline(self, rank: int, first: int) -> tuple[builtins.bytes, int, int]: ...
    def contribute(self, rank: int, yes: bool) -> None: ...
    def contributes(self, rank: int) -> bool: ...
    def steps(self, rank: int) -> int: ...
    def restore_steps(self, rank: int, steps: int) -> None: ...
    def completed(self, rank: int) -> int: ...
    def restore_completed(self, rank: int, completed: int) -> None: ...
    def stats(self, rank: int) -> dict[str, Any]: ...
    def totals(self, rank: int) -> dict[str, float]: ...
    def restore(self, rank: int, values: dict[str, float]) -> None: ...
    def delays(self, rank: int) -> list[int]: ...
    def restore_delays(self, rank: int, histogram: Sequence[int]) -> None: ...
    def gaps(self, rank: int) -> list[int]: ...
    def restore_gaps(self, rank: int, histogram: Sequence[int]) -> None: ...

class PlacedMemory:
    """csrc/placed_memory.h: (library of the driver, [(GPU, bytes)]), and for another process's the file descriptors."""

    def __init__(self, library: str, parts: Sequence[tuple[int, int]], descriptors: Sequence[int] = ...) -> None: ...
    @property
    def address(self) -> int: ...
    def share(self) -> list[int]: ...
    def allow(self, device: int) -> list[bool]: ...

def granularity(library: str, devices: Sequence[int]) -> int: ...
def gpus(library: str) -> list[dict[str, Any]]: ...
def as_dlpack(address: int, nbytes: int, device: int, owner: object) -> object: ...

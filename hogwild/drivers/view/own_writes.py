"""Whether a model's own code touches its parameters between two updates in a way that the run would lose.

Gradients are taken at parameters that lie in a buffer of the run. With `--read inplace` that is the master, and in
algorithms with replicas the worker's replica: what the model or the caller's loop writes there holds, and races with
the other workers as any write does. Any other buffer (a snapshot, the quotient of sgp) is computed anew by the next
update: what is written there is refused. Tables, and parameters that are not trained, lie in shared memory for the
whole run, where writes hold.

Found at the next step, always: a parameter that was replaced, that was frozen or unfrozen, whose `data` lie elsewhere,
or that was written by an operation that torch counts (clamp_, copy_, load_state_dict, max_norm). A write past torch's
count (`p.data.clamp_()`) shows in a sum over the memory: found if it happens in one of the first FIRST steps, or in a
step whose number is a multiple of EVERY.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import UsageError
from hogwild.kernels.modules import parameter_watch
from hogwild.shared.embeddings import tables_of
from hogwild.shared.layout import frozen, trainable

FIRST, EVERY = 3, 64
WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}  # of so many bytes
HOLD = (
    "x",
    "replica",
)  # an update goes on from these, and from buffers with locks; other points are computed from them
REMEDY = (
    'the next update throws away. Give read="inplace" (--read inplace), or train replicas (algorithm local-sgd, '
    "easgd, ...): there such writes hold"
)


@dataclass(slots=True)
class Place:
    """A buffer at which gradients are taken. `loses`: what other code writes there is lost."""

    loses: bool
    steps: int = 0  # that were begun there


class OwnWrites:
    """Watches the parameters of `module`: `bound` when they get another place, `begin` before the next gradient, and
    `check` after it.

    Costs about 0.1 us a parameter tensor and step; a sum over all elements twice in the steps named above.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._trained = trainable(module)
        others = [*frozen(module).values(), *tables_of(module).values()]  # writes there hold
        self._full_names = {id(parameter): name for name, parameter in module.named_parameters()}
        self._names = [self._full_names[id(parameter)] for parameter in (*self._trained, *others)]
        self._owned = [
            (owner._parameters, name, parameter)
            for owner in module.modules()
            for name, parameter in owner._parameters.items()
            if parameter is not None
        ]
        self._watch = parameter_watch(module, self._trained, others)
        self._places: dict[int, Place] = {}  # by address
        self._here: Place | None = None
        self._sums: list[int] | None = None

    def bound(self, view: WorkerView, at: Tensor) -> None:
        """The module's parameters have been bound to `at` [n].

        UsageError if it is thrown away and an embedding of the model writes to its trained weight (max_norm).
        """
        address = at.data_ptr()
        if address not in self._places:
            declared = view.buffers.declared
            holding = [name for name in declared if name in HOLD or declared[name].locks]
            loses = all(view.buffers[name].data_ptr() != address for name in holding)
            if loses:
                self._require_no_max_norm()
            self._places[address] = Place(loses)
        self._here = self._places[address]
        self._watch.look()

    def begin(self) -> None:
        """The next gradient is taken. Nothing else has written to the parameters since `bound`, or the last `check`."""
        here = self._here
        assert here is not None, "parameters are bound before a gradient is taken"
        looks = here.loses and (here.steps < FIRST or here.steps % EVERY == 0)
        self._sums = self._sum() if looks else None
        here.steps += 1

    def check(self) -> None:
        """UsageError, in one line that names the parameter, if something was done to one since `begin`."""
        if self._here is None:
            return
        if not self._watch.same(self._here.loses):
            self._refuse_change(self._here.loses)
        if self._sums is not None and (sums := self._sum()) != self._sums:
            _refuse_write(self._names[next(k for k, before in enumerate(self._sums) if sums[k] != before)])

    def _refuse_change(self, loses: bool) -> None:
        for parameters, name, parameter in self._owned:
            if parameters.get(name) is not parameter:
                raise UsageError(
                    f"the model's parameter {self._full_names[id(parameter)]} was replaced while the run goes on: "
                    "the run trains the old one; write into it instead (copy_, load_state_dict)"
                )
        for name, before, after in zip(self._names, self._watch.seen(), self._watch.now(), strict=True):
            _compare(name, before, after if loses else (*after[:2], before[2]))

    def _sum(self) -> list[int]:
        """Of the words of each trained parameter: of integers, so it does not depend on their order."""
        if not self._trained or self._trained[0].is_cpu:
            return self._watch.sums()
        sums = [_words(p.detach().reshape(-1)).sum() for p in self._trained]
        return [int(value) for value in torch.stack(sums).tolist()]

    def _require_no_max_norm(self) -> None:
        for name, layer in self._module.named_modules():
            if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) and layer.max_norm and layer.weight.requires_grad:
                raise UsageError(
                    f"the model's {type(layer).__name__} {name} has max_norm={layer.max_norm:g}: its forward pass "
                    f"writes to its weight, in a private copy that {REMEDY}"
                )


def _words(flat: Tensor) -> Tensor:
    """The memory of `flat` as integers: of 8 bytes, which torch adds fastest, if it has whole ones."""
    size = flat.element_size()
    return flat.view(torch.int64 if flat.numel() * size % 8 == 0 else WORDS[size])


def _compare(name: str, before: tuple[int, bool, int], after: tuple[int, bool, int]) -> None:
    if before[1] != after[1]:
        what, still = ("unfrozen", "frozen") if after[1] else ("frozen", "trained")
        raise UsageError(
            f"the model's parameter {name} was {what} while the run goes on: requires_grad counts as it is when the "
            f"run begins; leave it {still}, or begin another run"
        )
    if before[0] != after[0]:
        raise UsageError(
            f"the data of the model's parameter {name} no longer are the memory of the run ({name}.data = ...): write "
            "into them instead (copy_, load_state_dict)"
        )
    if before[2] != after[2]:
        _refuse_write(name)


def _refuse_write(name: str) -> None:
    raise UsageError(
        f"the model's parameter {name} was written by other code than the optimizer, in a private copy that {REMEDY}"
    )

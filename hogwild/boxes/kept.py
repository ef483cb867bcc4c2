"""What a box keeps in its checkpoints beside its model: how far the run is, its counters, and the state of the text.

The links of a resumed run are new: no exchange is in progress on either side. What a text has written belongs to the
same moment as the model (PairExchange.enter). An owner of a part of the center keeps all of the center, so another
number of boxes may go on with it: each new owner has what it last knew of its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from hogwild.boxes.ledger import Ledger
from hogwild.boxes.made import Made
from hogwild.boxes.memory import COUNTS, BoxMemory
from hogwild.buffers import Scope
from hogwild.drivers.checkpoints.fitting import require_types
from hogwild.errors import CheckpointError
from hogwild.files.reading import reading
from hogwild.shared.world import World

OTHER = "it belongs to another run or another version: resume with the run's own checkpoints"


@dataclass(frozen=True)
class Kept:
    """`start`: the hash of the model with which the run began. `made`: ranges of tickets. `counts`: the counters of
    BoxMemory. Of a text: its `exchanges` and `steps`, and its shared buffers and those of this box by name.
    """

    start: int
    made: list[list[int]]
    joins: int
    counts: dict[str, int]
    exchanges: int = 0
    steps: int = 0
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, start: int, made: Made, joins: int, memory: BoxMemory, text: World | None) -> Kept:
        """A copy. The caller has drained the gate, or no courier is alive."""
        counts = {name: memory.counted(name) for name in COUNTS}
        ranges = [list(part) for part in made.ranges]
        if text is None:
            return cls(start, ranges, joins, counts)
        buffers = {name: tensor.clone() for name, tensor in _buffers(text, memory.box).items()}
        exchanges = Ledger(memory.ledger(memory.box), 0).applied
        return cls(start, ranges, joins, counts, exchanges, text.control.steps(memory.box), buffers)

    def plain(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    @reading("the state of a box in the checkpoint", "one of a run of boxes", error=CheckpointError, remedy=OTHER)
    def from_plain(cls, values: Mapping[str, Any]) -> Kept:
        require_types(dict(values), cls)
        return cls(**values)

    @reading("the state of a box in the checkpoint", "one of this run", error=CheckpointError, remedy=OTHER)
    def write_to(self, memory: BoxMemory, text: World | None) -> None:
        """Writes it into the memory of a box whose courier is not started yet."""
        memory.count(**self.counts)
        if text is None:
            return
        for name, tensor in _buffers(text, memory.box).items():
            if self.buffers[name].shape != tensor.shape:
                raise ValueError(f"{name} has {len(self.buffers[name])} elements, not {len(tensor)}")
            tensor.copy_(self.buffers[name])
        text.control.restore_steps(memory.box, self.steps)
        Ledger(memory.ledger(memory.box), 0).skip_to(self.exchanges)


def _buffers(text: World, box: int) -> dict[str, Tensor]:
    shared = {name: buffer.scope is Scope.SHARED for name, buffer in text.buffers.items() if buffer.saved}
    return {name: text.arena.tensor(name, 0 if is_shared else box) for name, is_shared in shared.items()}

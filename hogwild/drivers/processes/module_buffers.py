"""One worker's module buffers (BatchNorm statistics): published with its updates, taken back with refused ones.

A gradient that is not applied because it is not finite, or that was given up or gathered too late, leaves no trace: the
buffers go back to what was published before its batch. Buffers that all workers share (Full Normalization with
`--norm-state shared`) cannot: the others have gone on from them.
"""

from __future__ import annotations

from torch import Tensor, nn

from hogwild.shared.own_buffers import OwnBuffers
from hogwild.shared.world import World


class ModuleBuffers:
    """Those of worker `rank`. `settle` is called for each update, inside the gate."""

    def __init__(self, world: World, module: nn.Module, rank: int) -> None:
        self._world, self._module, self._rank = world, module, rank
        self._own = OwnBuffers(world, module)
        self._before: dict[str, Tensor] = {}  # the pending push: what had been published then

    def settle(self, *, keeps: bool, pending: bool) -> None:
        """Publishes the buffers, or, unless the gradient `keeps` its trace, reads what was published last.

        `pending`: it is not known yet whether the gradient is refused; then `take_back` may follow.
        """
        if not keeps:
            self._own.recall(self._rank)
            return
        if pending:
            self._before = self._own.published(self._rank)
        self._own.publish(self._rank)

    def take_back(self) -> None:
        """The push that was pending is refused. The batch that has been computed since, from buffers that had seen the
        refused one, leaves no trace in them either; its gradient is used.
        """
        for name, tensor in self._module.named_buffers():
            if not self._world.is_shared(name):
                tensor.detach().copy_(self._before[name])
        self._own.publish(self._rank)

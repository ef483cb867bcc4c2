"""Messages relayed along a tree: each is a sum of models, and how many they are.

Slot s of a worker is its s-th neighbour in the tree: `relay{s}` is the message to it, `in{s}` the last one from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from hogwild.algorithms.base import MODEL, REPLICA, SHARED, WORKER, Buffer, Place, Scope, View, option
from hogwild.topology.trees import TREES, links

MOST = max(TREES.values())
BEGINS = MOST  # in `sent`, after the counts: whether the worker begins, or begins again
STATE = {
    "sent": Buffer(Scope.REPLICA, size=MOST + 1, dtype="float64"),
    "came": Buffer(Scope.WORKER, size=MOST, dtype="float64"),
}
"""How many models are in the messages sent, and in those that came."""


def tree_option() -> str:
    help = "what joins the workers; binary: shorter ways, up to 3 neighbours"
    return option("chain", help, choices=tuple(TREES))


def buffers(tree: str) -> Mapping[str, Buffer]:
    """The models, and the buffers of the relay on that tree."""
    slots = range(TREES[tree])
    models = {"x": SHARED, "replica": MODEL}
    return {**models, **STATE, **{f"relay{s}": REPLICA for s in slots}, **{f"in{s}": WORKER for s in slots}}


class Relay:
    """The messages of one worker. Between `send` and what reads it lies a barrier, and another one after that."""

    def __init__(self, w: View, tree: str) -> None:
        self.w, self.tree, self.slots = w, tree, range(TREES[tree])
        self.sent, self.came = w.buffer("sent"), w.buffer("came")
        self.members: list[int] | None = None
        self.sent[BEGINS] = w.steps > 0  # it was away

    def send(self) -> None:
        """To each neighbour: the own model and the sum of the last messages from the others; how many these are."""
        for s in self.slots:
            others = [t for t in self.slots if t != s]
            self.w.combine(f"relay{s}", {"replica": 1, **{f"in{t}": 1 for t in others}})
            self.sent[s] = 1 + sum(float(self.came[t]) for t in others)

    def is_cut(self) -> bool:
        """Whether a worker has come, gone or been away since the last round: the relay then begins again."""
        before, self.members = self.members, self.w.present
        away = any(self.w.buffer(("sent", j))[BEGINS] for j in self.members)
        return bool(away) or before not in (None, self.members)

    def receive(self) -> tuple[list[Place], int]:
        """The messages that have come from the neighbours, and of how many models they are together."""
        present = self.w.present
        linked = links(self.tree, present.index(self.w.rank), len(present))
        for s, (j, back) in enumerate(linked):
            self.w.combine(f"in{s}", {(f"relay{back}", present[j]): 1})
            self.came[s] = self.w.buffer(("sent", present[j]))[back]
        return [f"in{s}" for s in range(len(linked))], int(self.came[: len(linked)].sum())

    def begin(self) -> None:
        """No message has come."""
        self.sent[BEGINS] = 0
        self.came.zero_()
        for s in self.slots:
            self.w.combine(f"in{s}", {"replica": 0})

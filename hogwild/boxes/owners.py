"""Algorithms with a center between boxes: each box owns a part of it.

An exchange of a box is a call of every owner at once, each with its part of one vector:

    easgd           s, the snapshot         c' = c + alpha (s - c)                    answer: c
    downpour        s - base                c' = c + (s - base)                       answer: c'
    async-diloco    delta = base - s        its outer step with the part of delta     answer: x'

An owner keeps its last answer to each box with the number of the call, and gives it again if the call is made again
over another link, or by another courier: a call counts once. Calls of a box that was started anew have other numbers.
A part whose owner cannot be reached is left to the next box that can: it goes on from the answer that it had last.
Without any, the part is left out of this exchange, and what the box did there is in the next one.
Deviates: the momentum and the count of async-diloco are an owner's own, and begin anew when another takes over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hogwild.boxes.link import CALL, REPLY, Link
from hogwild.boxes.peer import Peer
from hogwild.kernels import copy
from hogwild.shared.world import World

Part = tuple[int, int]
Step = Callable[[Part, Tensor, Tensor], None]
"""What an owner does for a box: the part, what it has sent, and room for the answer."""


class Owners:
    """The owners as box `box` sees them, itself among them. `answers` [boxes, n]: the last answers, and `numbers`
    [boxes boxes]: of which call, by box and part; both in shared memory. `steps`: by box. `lock` is held
    while the center is written. `enter` is called when the others have answered: then this box writes.
    """

    def __init__(
        self, world: World, box: int, peers: Sequence[Peer], parts: Sequence[Part], answers: Sequence[Tensor],
        numbers: Tensor, steps: Sequence[Step], enter: Callable[[], None],
    ) -> None:  # fmt: skip
        self._box, self._peers, self._parts = box, {peer.number: peer for peer in peers}, parts
        self._center = world.arena.tensor("x")
        self._answers, self._numbers, self._steps, self._enter = answers, numbers, steps, enter
        self.lock = threading.Lock()
        self.number = 0  # of the calls of the exchange in progress
        self._others: list[Part] = []  # the parts that other boxes have answered in it
        self._own: list[Part] = []  # those that are left to this box

    def exchange(self, sent: Tensor, room: Tensor) -> list[Part]:
        """Calls all owners with `sent` [n]; their answers are in `room` [n]. Returns the parts that were answered."""
        self._others, self._own = [], []
        threads = []
        for share, part in enumerate(self._parts):
            if part[0] < part[1]:
                threads.append(threading.Thread(target=self._call, args=(share, part, sent, room), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join()
        self._enter()
        with self.lock:
            for part in self._own:
                self._steps[self._box](part, sent[slice(*part)], room[slice(*part)])
        return sorted([*self._others, *self._own])

    def _call(self, share: int, part: Part, sent: Tensor, room: Tensor) -> None:
        boxes = len(self._parts)
        for owner in (*range(share, boxes), *range(share)):
            if owner == self._box:
                self._own.append(part)
                return
            if self._peers[owner].call(self.number * boxes + share, sent[slice(*part)], room[slice(*part)]):
                self._others.append(part)
                return

    def serve(self, link: Link, box: int, call: int) -> None:
        """Answers a call of another box. RuntimeError if the link is cut: the box calls again."""
        part = self._parts[call % len(self._parts)]
        values = torch.empty_like(self._center[slice(*part)])
        link.fetch(values, CALL)
        answer = self._answers[box][slice(*part)]
        with self.lock:
            place = self._numbers[box * len(self._parts) + call % len(self._parts)]
            if int(place) != call:
                self._steps[box](part, values, answer)
                place.fill_(call)
            kept = answer.clone()
        link.send(kept, REPLY)

    def note(self, room: Tensor) -> None:
        """What others own of the center is in `room`: this box goes on from there if it must take one over."""
        with self.lock:
            for part in self._others:
                copy(self._center[slice(*part)], room[slice(*part)])

"""A round of boxes: each gets the snapshots of all others, and all agree whose count.

A thread per other box waits until both are in the round, and swaps snapshots with it; over a link that is made anew it
does so again. Keys of torchrun's store say who has whose snapshot, and who is a member:

    round/r/has/b    the boxes of which b has the snapshot, written once it has those of all that it waits for
    round/r          the members, written once, by the lowest box that waits for no other: those that all of them have

A box waits for those that have a link and work. One that is not a member, or that does not have what others have
agreed on (it was cut off), is told by `poll`, and goes on with the center of a member.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from hogwild.boxes.header import Flag
from hogwild.boxes.link import Link
from hogwild.boxes.peer import Peer
from hogwild.boxes.rendezvous import Rendezvous

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

KEY = "round"
POLL_S = 0.002


class Gathering:
    """`snapshot` [n]: of this box, unchanged while a round goes on. `rooms`: box -> [n], for its snapshot."""

    def __init__(
        self, peers: Sequence[Peer], rendezvous: Rendezvous, snapshot: Tensor, rooms: Mapping[int, Tensor]
    ) -> None:
        self._peers, self._rendezvous, self._box = peers, rendezvous, rendezvous.box
        self._snapshot, self._rooms = snapshot, rooms
        self._store: Store | None = None
        self._number: int | None = None
        self._has: set[int] = set()
        self._has_told = self._is_behind = False
        self._threads: list[threading.Thread] = []

    def begin(self, number: int) -> None:
        """Round `number`: this box's snapshot is complete."""
        for thread in self._threads:
            thread.join()
        self._number, self._has = number, {self._box}
        self._has_told = self._is_behind = False
        self._threads = [threading.Thread(target=self._swap, args=(peer, number), daemon=True) for peer in self._peers]
        for thread in self._threads:
            thread.start()

    def poll(self) -> tuple[list[int], bool] | None:
        """The members, and whether this box has all of their snapshots; None while they are not known. Then the round
        is over here. RuntimeError if the store is gone.
        """
        store = self._client()
        awaited = {peer.number for peer in self._peers if _is_awaited(peer)}
        key = f"{KEY}/{self._number}"
        if not self._has_told and awaited <= self._has:
            store.set(f"{key}/has/{self._box}", _text(self._has))
            self._has_told = True
        if self._has_told and self._box == min(awaited | {self._box}) and not store.check([key]):
            told = [f"{key}/has/{j}" for j in sorted(awaited | {self._box})]
            if store.check(told):
                members = set.intersection(*(_boxes(store.get(name)) for name in told))
                store.compare_set(key, "", _text(members))
                self._forget(store)
        is_behind = self._is_behind  # asked for first: a box is ahead only once this round is decided
        if store.check([key]):
            members = _boxes(store.get(key))
        elif is_behind:
            members = set()
        else:
            return None
        self._number = None
        return sorted(members), members <= self._has

    def _forget(self, store: Store) -> None:
        """The keys of the round before the last."""
        old = f"{KEY}/{(self._number or 0) - 2}"
        for name in (old, *(f"{old}/has/{j}" for j in range(self._rendezvous.boxes))):
            store.delete_key(name)

    def _swap(self, peer: Peer, number: int) -> None:
        told: Link | None = None  # the link over which the other box was told
        done: Link | None = None
        while self._number == number:
            link = peer.link if _is_awaited(peer) else None
            if link is not None and link is not told:
                peer.tell_round(link, number)
                told = link
            if link is not None and peer.round > number:
                self._is_behind = True
            elif link is not None and peer.round == number and link is not done:
                try:
                    link.swap(self._snapshot, self._rooms[peer.number])
                    done = link
                    size = self._snapshot.nbytes
                    peer.exchange.memory.count(bytes_sent=size, bytes_received=size)
                    self._has.add(peer.number)
                except RuntimeError:
                    told = None
            time.sleep(POLL_S)

    def _client(self) -> Store:
        if self._store is None:
            self._store = self._rendezvous.store()
        return self._store


def _is_awaited(peer: Peer) -> bool:
    return peer.is_up and Flag.BEGUN in peer.seen.flags and Flag.FINISHED not in peer.seen.flags


def _text(boxes: set[int]) -> str:
    return ",".join(map(str, sorted(boxes)))


def _boxes(text: bytes) -> set[int]:
    return {int(part) for part in text.decode().split(",")}

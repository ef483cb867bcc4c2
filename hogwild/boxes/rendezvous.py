"""How boxes find one another: torchrun's environment, its store, and one gloo group of two boxes per link.

    keys of the store     incarnation/b   how often box b was started
                          ask/i-j         a token by the higher box i, which the lower box j takes away
                          answer/i-j      the same token, by box j: now both make the group
                          link/token/...  gloo's own

A group is only made after both sides were seen, since its constructor waits for the other one for the whole time-out.
Every thread has a client of the store of its own: a call that waits blocks all users of its client.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hogwild.errors import UsageError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from hogwild.boxes.link import Group

STORE_S = 60.0
PREFIX = "hogwild"


@dataclass(frozen=True)
class Rendezvous:
    """Box `box` of `boxes`, and the address of the store that torchrun serves. `patience_s`: for a connection to it,
    which torch tries about twice as long, and for an answer.
    """

    box: int
    boxes: int
    host: str
    port: int
    patience_s: float = STORE_S

    @classmethod
    def of_environment(cls) -> Rendezvous | None:
        """The place of this process in a run of boxes, by the environment that torchrun makes; None without it."""
        if "WORLD_SIZE" not in os.environ:
            return None
        try:
            boxes, box = int(os.environ["WORLD_SIZE"]), int(os.environ.get("RANK", "0"))
            found = cls(box, boxes, os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        except (KeyError, ValueError) as error:
            raise UsageError(f"the environment of torchrun is not complete ({error}): start the run with it") from None
        if not 0 <= box < boxes:
            raise UsageError(f"RANK is {box} and WORLD_SIZE {boxes}: start the run with torchrun")
        return found

    def store(self) -> Store:
        """A new client of the store. RuntimeError if it does not answer in time."""
        from torch._C._distributed_c10d import PrefixStore, TCPStore

        client = TCPStore(self.host, self.port, None, False, timedelta(seconds=self.patience_s))
        return PrefixStore(PREFIX, client)


class Handshake:
    """Makes the group with box `peer`, again and again: a link that was cut is a new group. `timeout_s`: that of every
    operation of the group, so the time after which a silent box counts as gone.
    """

    def __init__(self, rendezvous: Rendezvous, store: Store, peer: int, timeout_s: float) -> None:
        self.store, self.timeout_s = store, timeout_s
        self.is_high = rendezvous.box > peer
        pair = f"{max(rendezvous.box, peer)}-{min(rendezvous.box, peer)}"
        self._ask, self._answer = f"ask/{pair}", f"answer/{pair}"
        self._token, self._asked_at = "", 0.0

    def attempt(self) -> Group | None:
        """The group, in which the lower of both boxes has rank 0. None if the other box is not there yet, at once.
        RuntimeError if the store is gone, or the other box did not come to the group.
        """
        from torch._C._distributed_c10d import PrefixStore, ProcessGroupGloo

        token = self._agreed()
        if token is None:
            return None
        prefix = PrefixStore(f"link/{token}", self.store)
        group: Any = ProcessGroupGloo(prefix, int(self.is_high), 2, timedelta(seconds=self.timeout_s))
        return group  # type: ignore[no-any-return]  # torch's stub leaves send and recv out

    def _agreed(self) -> str | None:
        """The token that both boxes know."""
        if not self.is_high:
            if not self.store.check([self._ask]):
                return None
            token = self.store.get(self._ask).decode()
            self.store.delete_key(self._ask)
            self.store.set(self._answer, token)
            return token
        if not self._token or time.monotonic() - self._asked_at > self.timeout_s:  # the other one may have died with it
            self._token, self._asked_at = uuid.uuid4().hex, time.monotonic()
            self.store.set(self._ask, self._token)
        if not self.store.check([self._answer]) or self.store.get(self._answer).decode() != self._token:
            return None
        token, self._token = self._token, ""
        return token

"""The ledger of a link: which exchanges a box has applied, so that both sides apply each of them exactly once.

In exchange k of a link, both boxes take a snapshot of their model, send it, and add half of the difference of the two
snapshots. A link may be cut, and the process that exchanges may be killed, at any point. So a side keeps its snapshot
until it knows that the other one has applied the exchange, and what both have applied is compared when they meet again:

    another incarnation    the box was started anew: both sides forget the exchanges so far
    both applied the same  a snapshot that was taken is forgotten: nothing has happened
    one is ahead by one    it sends its snapshot again, and the other one, which has its own of that exchange, applies

This module has no transport: the ledger is a few numbers, in shared memory or in a list.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

WORDS = 4
_ABOUT, _APPLIED, _TAKEN, _PHASE = range(WORDS)


class Words(Protocol):
    """[WORDS] integers: a list, or a tensor in shared memory."""

    def __getitem__(self, index: int, /) -> object: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class Phase(IntEnum):
    """TAKEN: this side's snapshot of the next exchange is complete. ADDING: so is the flux, which is being added: what
    is left of it must be added, and it must not be computed again.
    """

    IDLE = 0
    TAKEN = 1
    ADDING = 2


class Recovery(Enum):
    """What a side does when the boxes meet: nothing, or send its kept snapshot, or receive that of the other side and
    apply. FORGET: the other box, or this one, is a new incarnation.
    """

    FORGET = "forget"
    NOTHING = "nothing"
    SEND = "send"
    RECEIVE = "receive"


class Account(NamedTuple):
    """What a side says of itself when the boxes meet. `about`: the incarnation of the other box that `applied` counts
    exchanges with.
    """

    incarnation: int
    about: int
    applied: int


class LedgerError(RuntimeError):
    """The two sides contradict each other by more than one exchange."""


class Ledger:
    """One side of a link. `incarnation`: this box's own. All changes are single stores, in an order that leaves a valid
    ledger if the process is killed between two of them.
    """

    def __init__(self, words: Words, incarnation: int) -> None:
        self._words = words
        self._incarnation = incarnation

    def _get(self, index: int) -> int:
        return int(self._words[index])  # type: ignore[call-overload, no-any-return]

    @property
    def applied(self) -> int:
        """The number of exchanges that this side has applied."""
        return self._get(_APPLIED)

    @property
    def phase(self) -> Phase:
        return Phase(self._get(_PHASE))

    @property
    def account(self) -> Account:
        return Account(self._incarnation, self._get(_ABOUT), self.applied)

    def take(self, k: int) -> None:
        """The snapshot of exchange k is complete. The caller has seen that the other side has applied k - 1, so the
        snapshot of k - 1, which this one replaces, is no longer needed.
        """
        if k != self.applied + 1 or self.phase is Phase.ADDING:
            raise LedgerError(f"exchange {k} of a link that has applied {self.applied} ({self.phase.name})")
        self._words[_TAKEN] = k
        self._words[_PHASE] = Phase.TAKEN

    def add(self) -> None:
        """The flux of the exchange that was taken is complete, and will be added now."""
        self._words[_PHASE] = Phase.ADDING

    def apply(self) -> None:
        """The flux has been added."""
        self._words[_APPLIED] = self._get(_TAKEN)
        self._words[_PHASE] = Phase.IDLE

    def skip_to(self, applied: int) -> None:
        """This side goes on behind that exchange: what it had taken is dropped."""
        self._words[_PHASE] = Phase.IDLE
        self._words[_APPLIED] = self._words[_TAKEN] = applied

    def meet(self, theirs: Account) -> Recovery:
        """Compares both sides on a new link; both come to corresponding results. The caller has finished what was
        ADDING. LedgerError if they differ by more than one exchange.
        """
        own = self.account
        if theirs.incarnation != own.about or theirs.about != own.incarnation:
            self._words[_PHASE] = Phase.IDLE
            self._words[_APPLIED] = self._words[_TAKEN] = 0
            self._words[_ABOUT] = theirs.incarnation
            return Recovery.FORGET
        ahead = own.applied - theirs.applied
        if ahead == 0:
            self._words[_PHASE] = Phase.IDLE
            return Recovery.NOTHING
        if ahead == 1:
            return Recovery.SEND
        if ahead == -1 and self.phase is Phase.TAKEN:
            return Recovery.RECEIVE
        raise LedgerError(f"this box has applied {own.applied} exchanges of a link, the other one {theirs.applied}")

"""One other box, as the courier sees it: a thread that connects to it, answers it, and does the exchanges with it.

OFFER(k) -> ACCEPT(k) | BUSY. A box is in one exchange at a time; one that is asked meanwhile says BUSY, and the
exchange is skipped. So nobody waits, and there is no deadlock. Two OFFERs that cross on one link are one exchange: each
side has sent its own before it saw the other's. No data travels before both know, since a send cannot be taken back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from torch import Tensor

from hogwild.boxes.exchange import PairExchange
from hogwild.boxes.header import Flag, Header, Kind, Part
from hogwild.boxes.ledger import Ledger, LedgerError, Recovery
from hogwild.boxes.link import CALL, CENTER, MODEL, REPLY, Link
from hogwild.boxes.own import Own, Seen
from hogwild.boxes.rendezvous import Handshake, Rendezvous
from hogwild.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RETRY_S = 0.2
CALL_S = 0.005
BEATS = 4  # headers in one time-out, on a link without other traffic
CUT = (RuntimeError, ValueError)  # an exchange that cannot go on; a LedgerError is one


class Peer(threading.Thread):
    """Box `number`. Its link may be cut and made again at any time, also with another incarnation of the box; `is_up`
    says whether there is one. `has_left`: the last one ended with BYE. `tell(event, text)` reports up, joined (up, as a
    new incarnation), lost, left (at its end), gone (before it), stopped (and so must this box) and refused (it
    does not fit).
    """

    def __init__(
        self,
        number: int,
        rendezvous: Rendezvous,
        own: Own,
        exchange: PairExchange,
        ledger: Ledger,
        timeout_s: float,
        tell: Callable[[str, str], None],
    ) -> None:
        super().__init__(name=f"box {number}", daemon=True)
        self.number, self.own, self.exchange, self.ledger = number, own, exchange, ledger
        self.seen = Seen()
        self.round = -1  # in which the other box is
        self.has_left = False
        self._rendezvous, self._timeout_s, self._tell = rendezvous, timeout_s, tell
        self._is_over, self._down_since = False, time.monotonic()
        self._link: Link | None = None
        self._mutex = threading.Lock()  # of what is posted, and of the two fields below
        self._has_offered = False
        self._answered = threading.Event()
        self._calling = threading.Lock()  # one call at a time

    @property
    def link(self) -> Link | None:
        return self._link

    @property
    def is_up(self) -> bool:
        return self._link is not None

    @property
    def is_gone(self) -> bool:
        """Whether the box has left, or has had no link for longer than the time-out."""
        return self.has_left or time.monotonic() - self._down_since > self._timeout_s

    # ---- the courier's main thread --------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Offers an exchange and waits until it is done or refused; not longer than the time-out of the link. False if
        nothing was offered, since the box is in another exchange or the link is down.
        """
        with self._mutex:
            if self._link is None or not self.exchange.busy.acquire(blocking=False):
                return False
            self._has_offered = True
            self._answered.clear()
            self._link.post(self._header(Kind.OFFER, self.ledger.applied + 1))
        self._answered.wait()
        self.exchange.busy.release()
        return True

    def announce(self, kind: Kind = Kind.PING) -> None:
        """Tells the other box the flags of this one."""
        with self._mutex:
            if self._link is not None:
                self._link.post(self._header(kind))

    def fetch(self, room: Tensor, what: Part = Part.MODEL) -> bool:
        """Receives the other box's model [n], or its statistics, into `room`. False if the link is down."""
        link = self._link
        if link is None:
            return False
        try:
            link.post(self._header(Kind.GET, what))
            link.fetch(room, MODEL)
        except RuntimeError:
            return False
        return True

    def tell_round(self, link: Link, number: int) -> None:
        """Tells the other box that this one is in that round."""
        link.post(self._header(Kind.ROUND, number))

    def call(self, number: int, values: Tensor, answer: Tensor) -> bool:
        """Calls the other box as an owner, over the next link if one is cut. False if it is gone, or has not begun."""
        with self._calling:
            while (self.is_up or not self.is_gone) and not self._is_over:
                link = self._link
                if link is not None and Flag.BEGUN not in self.seen.flags:
                    return False
                try:
                    if link is not None:
                        link.post(self._header(Kind.CALL, number))
                        link.send(values, CALL)
                        link.fetch(answer, REPLY)
                        self.exchange.memory.count(bytes_sent=values.nbytes, bytes_received=answer.nbytes)
                        return True
                except RuntimeError:
                    pass  # the thread of the link finds it out too
                time.sleep(CALL_S)
        return False

    def take_center(self, rooms: Sequence[Tensor]) -> bool:
        """Receives the other box's center. False if the link is down."""
        link = self._link
        try:
            if link is not None:
                link.post(self._header(Kind.CENTER))
                for room in rooms:
                    link.fetch(room, CENTER)
        except RuntimeError:
            return False
        return link is not None

    def leave(self) -> None:
        """Says BYE, and waits a little until it is sent. The thread ends with the link."""
        self._is_over = True
        self.announce(Kind.BYE)
        if (link := self._link) is not None:
            link.close()

    # ---- its own thread -------------------------------------------------------------------------------------------

    def run(self) -> None:
        handshake: Handshake | None = None
        while not self._is_over:
            try:
                handshake = handshake or Handshake(
                    self._rendezvous, self._rendezvous.store(), self.number, self._timeout_s
                )
                group = handshake.attempt()
            except RuntimeError:
                handshake = group = None  # the store is gone, or the other box was killed on its way here
            if group is None:
                time.sleep(RETRY_S)
                continue
            self._talk(Link(group, lambda: self._header(Kind.PING), self._timeout_s / BEATS))
            del group  # with the last reference to it, its connection closes

    def _talk(self, link: Link) -> None:
        """Until the link is cut, or the other box leaves."""
        try:
            self._meet(link)
            self._serve(link)
        except UsageError as error:
            link.close()  # the other box needs the HELLO of this one to refuse it, too
            self._tell("refused", str(error))
        except CUT as error:
            self._lose(str(error))
        finally:
            self._set_down(link)

    def _header(self, kind: Kind, k: int = 0) -> Header:
        facts = self.own.facts if kind is Kind.HELLO else None
        return Header(kind, k, self.own.versions.version, self.own.flags, self.ledger.account, facts)

    def _meet(self, link: Link) -> None:
        """Compares facts and ledgers, and repairs what a cut has left; then the link is up."""
        is_new = False
        while True:
            link.post(self._header(Kind.HELLO))
            theirs = link.receive()
            if theirs.kind is not Kind.HELLO or theirs.facts is None:
                raise ValueError(f"a link that begins with {theirs.kind.name}")
            self.own.facts.require_same(theirs.facts, self.number)
            self.seen = Seen(theirs.version, theirs.flags)
            recovery = self.ledger.meet(theirs.account)
            is_new |= recovery is Recovery.FORGET
            self.exchange.recover(link, self.ledger, self.number, recovery)
            if recovery is Recovery.NOTHING:  # on both sides
                break
        self.exchange.wire.reset(self.exchange.memory.own(self.number), self.exchange.memory.peer(self.number))
        self.has_left, self.round = False, -1
        with self._mutex:
            self._link = link
        self._tell("joined" if is_new else "up", "")

    def _serve(self, link: Link) -> None:
        while not self.has_left:
            header = link.receive()
            self.seen = Seen(header.version, header.flags)
            self._answer(link, header)

    def _answer(self, link: Link, header: Header) -> None:
        if header.kind is Kind.OFFER:
            self._consider(link, header)
        elif header.kind is Kind.ACCEPT:
            if not self._has_offered:
                raise ValueError("an answer without an offer")
            self._run(link, header)
            self._end_offer()
        elif header.kind is Kind.BUSY:
            self.exchange.memory.count(exchanges_refused=1)
            self._end_offer()
        elif header.kind is Kind.GET:
            link.send(self._part(header.k), MODEL)
        elif header.kind is Kind.ROUND:
            self.round = header.k
        elif header.kind is Kind.CALL and self.own.text is not None:
            self.own.text.serve(link, self.number, header.k)
        elif header.kind is Kind.CENTER and self.own.text is not None:
            self.own.text.send_center(lambda tensor: link.send(tensor, CENTER))
        elif header.kind is Kind.BYE:
            self.has_left = True
            how = "left" if Flag.FINISHED in header.flags else "gone"
            self._tell("stopped" if Flag.STOPPED in header.flags else how, "")

    def _part(self, what: int) -> Tensor:
        """What a GET asks for."""
        memory = self.exchange.memory
        if what == Part.STATISTICS:
            return memory.statistics(memory.box)
        with self.exchange.busy if what == Part.MODEL_AT_REST else contextlib.nullcontext():
            return self.exchange.x.clone()

    def _consider(self, link: Link, header: Header) -> None:
        """An offer: crosses with one of this box, is accepted, or refused."""
        with self._mutex:
            crosses = self._has_offered
            accepts = not crosses and self.exchange.busy.acquire(blocking=False)
            if not crosses:
                link.post(self._header(Kind.ACCEPT if accepts else Kind.BUSY, header.k))
        if crosses:
            self._run(link, header)
            self._end_offer()
        elif accepts:
            try:
                self._run(link, header)
            finally:
                self.exchange.busy.release()

    def _run(self, link: Link, header: Header) -> None:
        if header.k != self.ledger.applied + 1 or header.account.applied != self.ledger.applied:
            raise LedgerError(f"exchange {header.k} of a link that has applied {self.ledger.applied}")
        self.exchange.run(link, self.ledger, self.number, header.version)

    def _end_offer(self) -> None:
        with self._mutex:
            self._has_offered = False
        self._answered.set()

    def _lose(self, why: str) -> None:
        if self._link is not None:
            self.exchange.memory.count(links_lost=1)
            self._tell("lost", why)

    def _set_down(self, link: Link) -> None:
        with self._mutex:
            self._link = None
            self._down_since = time.monotonic()
        self._end_offer()
        link.close()

"""The headers with which two boxes talk: 16 integers, before and instead of data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import torch
from torch import Tensor

from hogwild.boxes.ledger import Account
from hogwild.errors import UsageError

WORDS = 16
FORMAT = 3  # of headers and packets; a change is a new number
_BEFORE_FACTS = 8


class Kind(IntEnum):
    """HELLO opens a link. OFFER begins an exchange, and is answered with ACCEPT or BUSY; two that cross are one
    exchange. GET asks for a part of the box, `k`. PING says that the box is alive; BYE
    that it leaves the run. ROUND says that the box is in round `k`; CALL is its call `k` to the owner of a part of the
    center; CENTER asks for the center.
    """

    HELLO = 1
    OFFER = 2
    ACCEPT = 3
    BUSY = 4
    GET = 5
    PING = 6
    BYE = 7
    ROUND = 8
    CALL = 9
    CENTER = 10


class Part(IntEnum):
    """What GET asks for: the model, also in the midst of an exchange or not; the statistics of its normalization, which
    are there once the box has finished.
    """

    MODEL = 0
    MODEL_AT_REST = 1
    STATISTICS = 2


class Flag(IntFlag):
    """The state of a box. READY: its workers are about to start. BEGUN: they have started. FINISHED: they have ended,
    and it begins no exchange any more. AVERAGED: it has the mean of all boxes. STOPPED: it ends early, and so must all.
    RESUMED: it goes on from a checkpoint of the run.
    """

    BEGUN = 1
    FINISHED = 2
    AVERAGED = 4
    STOPPED = 8
    READY = 16
    RESUMED = 32


@dataclass(frozen=True)
class Facts:
    """What must be the same in all boxes of a run. `options`, `start`: hashes of the options and of the initial model,
    63 bits.
    """

    format: int
    boxes: int
    elements: int
    wire: int
    options: int
    start: int

    def require_same(self, theirs: Facts, box: int) -> None:
        """UsageError, in one line, that names the first difference."""
        for name, words in _WORDS.items():
            here, there = getattr(self, name), getattr(theirs, name)
            if here != there:
                raise UsageError(f"box {box} {words.format(here=here, there=there)}")


_WORDS = {
    "format": "runs another version of hogwild (format {there}, here {here}): install the same in all boxes",
    "boxes": "was started for {there} boxes and this one for {here}: give all the same --nnodes and --nproc-per-node",
    "elements": "has a model of {there:,} elements and this one {here:,}: give all boxes the same model",
    "wire": "has another --between-wire: give all boxes the same",
    "options": "was started with other options: give all boxes the same command, but for --node-rank",
    "start": "begins with another initial model: give all boxes the same --seed, data and versions of torch",
}


@dataclass(frozen=True)
class Header:
    """`k`: the exchange. `version`: updates of the box's model. `account`: of the ledger of this link; its `about` is
    only valid in a HELLO, as are the facts.
    """

    kind: Kind
    k: int
    version: int
    flags: Flag
    account: Account
    facts: Facts | None = None

    def pack(self) -> Tensor:
        """[WORDS] int64."""
        facts = list(vars(self.facts).values()) if self.facts is not None else []
        words = [self.kind, self.k, self.version, self.flags, *self.account]
        words += [0] * (_BEFORE_FACTS - len(words)) + facts
        return torch.tensor(words + [0] * (WORDS - len(words)), dtype=torch.int64)

    @classmethod
    def unpack(cls, words: Tensor) -> Header:
        """ValueError for what no box sends."""
        kind, k, version, flags, *rest = words.tolist()
        facts = Facts(*rest[4:10]) if kind == Kind.HELLO else None
        return cls(Kind(kind), k, version, Flag(flags), Account(*rest[:3]), facts)

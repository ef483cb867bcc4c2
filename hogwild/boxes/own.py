"""What the threads of a courier know of their own box, and of the other ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from hogwild.boxes.header import Facts, Flag
from hogwild.boxes.link import Link
from hogwild.shared.control import Versions


class Own(Protocol):
    """What a peer needs to know of its own box."""

    facts: Facts
    flags: Flag
    versions: Versions

    @property
    def text(self) -> Serving | None:
        """None: boxes exchange in pairs."""


class Serving(Protocol):
    """What a box with a text between boxes answers (hogwild.boxes.text)."""

    def serve(self, link: Link, box: int, call: int) -> None: ...
    def send_center(self, send: Callable[[Tensor], None]) -> None: ...


@dataclass
class Seen:
    """What the other box has said of itself last."""

    version: int = 0
    flags: Flag = field(default_factory=lambda: Flag(0))

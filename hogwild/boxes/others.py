"""The other boxes of a run, as the parent of a box hears of them from its courier: which are there, and faults."""

from __future__ import annotations

import time

from hogwild.boxes.handle import CourierHandle
from hogwild.drivers.processes.trainer import Trainer
from hogwild.errors import DivergedError, TooFewWorkersError, UsageError
from hogwild.shared.control import Tickets

FAULTS = {
    "lost": ("link_lost", "the link to box {} is cut: {}"),
    "joined": ("box_joined", "box {} has joined"),
    "gone": ("box_gone", "box {} has ended early"),
}
LINKS = ("up", "joined", "lost", "left", "gone")  # what the journal says of the link to another box


class Others:
    """Reports them to the driver of this box, and stops it if they do not fit, have stopped, or are too few."""

    def __init__(self, driver: Trainer, courier: CourierHandle) -> None:
        self._driver, self._courier, self._config = driver, courier, driver.config
        self._tickets: Tickets = driver.world.control
        self._up: set[int] = set()
        self._down_since: dict[int, float] = {}  # the boxes that have been up and are not
        self._few_since: float | None = None

    @property
    def boxes(self) -> int:
        """Those that can be reached, this one included."""
        return 1 + len(self._up)

    def gone(self) -> list[int]:
        """The boxes that have been down for longer than a link may be silent."""
        limit = time.monotonic() - self._config.between_timeout
        return [box for box, since in list(self._down_since.items()) if since < limit]

    def courier_died(self, line: str) -> None:
        self._up.clear()
        self._driver.report.fault("courier_died", f"{line}; the workers go on, the next courier starts")

    def on_link(self, number: int, event: str, text: str) -> None:
        """What the courier tells of its link to a box (hogwild.boxes.peer)."""
        if event in LINKS and self._courier.has_begun:
            self._driver.report.journal.event("box", event=event, box=number)
        if event in ("up", "joined"):
            self._up.add(number)
            self._down_since.pop(number, None)
        elif event != "refused":
            self._up.discard(number)
            self._down_since.setdefault(number, time.monotonic())
        if event == "refused" and not self._courier.has_begun:
            self._driver.stop(UsageError, text)
        elif event == "refused":
            self._driver.report.fault("box_refused", text)
        elif event == "stopped":
            self._driver.stop(DivergedError, f"box {number} has stopped: see its log")
        elif event in FAULTS and self._courier.has_begun:
            reason, line = FAULTS[event]
            self._driver.report.fault(reason, line.format(number, text), box=number)

    def require_enough(self) -> None:
        """Stops the run when there have been fewer boxes than --min-boxes for longer than a link may be silent."""
        now, least = time.monotonic(), self._config.min_boxes
        if self.boxes >= least or not self._courier.has_begun or self._tickets.stopping:
            self._few_since = None
        elif self._few_since is None:
            self._few_since = now
        elif now - self._few_since > self._config.between_timeout:
            self._driver.stop(TooFewWorkersError, f"{self.boxes} boxes left, --min-boxes is {least}: stopping")

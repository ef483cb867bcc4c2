"""The signals that end a run. They may come to the parent alone or to all processes of a command, as a terminal,
`timeout` and service managers send them: the parent ends the run in order, and its other processes leave them to it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_S = 0.5  # `timeout` and service managers send a signal twice, to the process and to its group


class Interrupts:
    """A context in which `on_first(name)` is called at the first signal; a second one raises KeyboardInterrupt.

    A second SIGTERM or SIGHUP within REPEAT_S of the first signal is a part of it. A SIGHUP that is ignored (nohup)
    stays ignored. Outside the main thread it installs no handler: Python handles signals in the main thread only.
    """

    def __init__(self, on_first: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_first = on_first
        self._clock = clock
        self._before: dict[signal.Signals, object] = {}
        self._first_at: float | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in heard()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
            self._on_first(signal.Signals(number).name)
        elif number == signal.SIGINT or now - self._first_at > REPEAT_S:
            raise KeyboardInterrupt


def heard() -> tuple[signal.Signals, ...]:
    """The signals that end a run of this process."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(number for number in SIGNALS if number != signal.SIGHUP or not is_ignored)


def leave_to_parent() -> None:
    """The signals have no effect on this process any more, a worker that was started while they were blocked. Processes
    that it starts, with or without exec, end by SIGTERM and SIGHUP as usual.
    """
    ended_by = (signal.SIGTERM, signal.SIGHUP)
    masks: list[set[int | signal.Signals]] = []

    def before_fork() -> None:  # Python drops signals that come while it forks, unless they are blocked
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ended_by))

    def after_fork() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def in_child() -> None:
        for number in ended_by:
            signal.signal(number, signal.SIG_DFL)
        after_fork()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in ended_by:
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which exec would keep
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=in_child)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

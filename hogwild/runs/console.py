"""What a run says while it runs: progress and warnings on stderr, results on stdout. Only the parent has a console."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType

from tqdm import tqdm

from hogwild.text import printable, say

TERMINAL_INTERVAL_S = 0.2
LOG_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Status:
    """Where a run is: `done` of `total` samples (None: it has no end), or `unit`. `metric` names the score (accuracy,
    bits_per_char). What is None or NaN is not shown.
    """

    done: int
    total: int | None
    epoch: float | None = 0.0
    loss: float | None = None
    score: float | None = None
    metric: str = "score"
    samples_per_s: float | None = None
    delay_mean: float | None = None
    delay_p95: float | None = None
    lr: float | None = None
    edge: float | None = None  # curvature x lr over its threshold
    workers_alive: int | None = None
    boxes: int | None = None  # that can be reached, this one included
    exchanges: int | None = None  # with other boxes
    lag: float | None = None  # mean distance of two boxes' versions at an exchange
    sent_per_s: float | None = None  # bytes
    unit: str = "samples"
    doing: str = ""  # what else is being done, as an evaluation

    def headline(self) -> str:
        head = self.unit if self.epoch is None else f"epoch {self.epoch:.3g}"
        return f"{head}, {self.doing}" if self.doing else head

    def whole_line(self, seconds: float) -> str:
        """`epoch 1.5: 500 of 1 k samples in 12 s, 12 s left, loss 0.031, ...`"""
        of = "" if self.total is None else f" of {thousands(self.total)}"
        head = "" if self.epoch is None and not self.doing else f"{self.headline()}: "
        parts = [f"{head}{thousands(self.done)}{of} {self.unit} in {seconds:.0f} s"]
        if self.total is not None and 0 < self.done < self.total:
            parts.append(f"{seconds * (self.total - self.done) / self.done:.0f} s left")
        parts += self.line().split("  ")
        return ", ".join(part for part in parts if part)

    def line(self) -> str:
        """`loss 0.031  accuracy 0.958  70.7 k samples/s  delay 1.0 p95 1  lr 0.1  workers 2`, as far as it is known."""
        parts = []
        for value, text in (
            (self.loss, "loss {:.4g}"),
            (self.score, self.metric + " {:.4g}"),
            (self.samples_per_s, "{} samples/s"),
            (self.delay_mean, "delay {:.1f}"),
            (self.delay_p95, "p95 {:.0f}"),
            (self.lr, "lr {:.3g}"),
            (self.edge, "edge {:.2g}"),
            (self.workers_alive, "workers {}"),
            (self.boxes, "boxes {}"),
            (self.exchanges, "exchanges {}"),
            (self.lag, "lag {:.3g}"),
            (self.sent_per_s, "sends {} bytes/s"),
        ):
            if value is not None and value == value:
                parts.append(text.format(thousands(value) if "/s" in text else value))
        return "  ".join(parts)


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # no thread beside the supervisor


_Bar.set_lock(threading.RLock())  # the default is a multiprocessing lock, that is a named semaphore


class _Lines:
    """Progress as whole lines, for a file: one every LOG_INTERVAL_S, and the last state."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._began = self._written = time.monotonic()
        self._last: Status | None = None

    def update(self, status: Status) -> None:
        self._last, now = status, time.monotonic()
        if now - self._written >= LOG_INTERVAL_S:
            self._flush(now)

    def close(self) -> None:
        self._flush(time.monotonic())

    def _flush(self, now: float) -> None:
        if self._last is not None:
            self._write(self._last.whole_line(now - self._began))
        self._last, self._written = None, now


def is_watched() -> bool:
    """Whether somebody looks at the output now: a terminal or a notebook."""
    return sys.stderr.isatty() or in_notebook()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class Console:
    """The one place that writes to the terminal during a run.

    A terminal and a notebook get a bar that moves; a file gets whole lines, one every LOG_INTERVAL_S. With `json` only
    the JSON object goes to stdout and everything else to stderr; with `quiet` only warnings are shown. `log` gets every
    line as well (RunDirectory.log). `shows_prints`: whether lines that workers print are shown (`echo`).
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        json: bool = False,
        log: Callable[[str], None] | None = None,
        shows_prints: bool = False,
    ) -> None:
        self.quiet = quiet
        self.json = json
        self.log = log
        self.shows_prints = shows_prints
        self._bar: _Bar | None = None
        self._lines: _Lines | None = None
        self._doing = ""
        self._last: Status | None = None

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Shows inside the block that the process is at that, too."""
        self._show_doing(what)
        try:
            yield
        finally:
            self._show_doing("")

    def _show_doing(self, what: str) -> None:
        self._doing = what
        if self._last is not None:
            self.update(self._last)

    def update(self, status: Status) -> None:
        """Shows `status`: moves the bar, or writes a line if it is time for one."""
        if self.quiet:
            return
        self._last = status
        status = replace(status, doing=self._doing)
        with _unheard_is_no_error():
            if not is_watched():
                self._lines = self._lines or _Lines(self._write_progress)
                self._lines.update(status)
                return
            if self._bar is None:
                self._bar = self._open(status)
            self._bar.total = status.total
            self._bar.set_description_str(status.headline(), refresh=False)
            self._bar.set_postfix_str(status.line(), refresh=False)
            self._bar.update(status.done - self._bar.n)

    def echo(self, line: str) -> None:
        """A line that a worker has printed; its log has it already."""
        with _unheard_is_no_error():
            _Bar.write(printable(line), file=sys.stderr if self.json else sys.stdout)
            sys.stdout.flush()

    def warn(self, message: str) -> None:
        self._write(f"hogwild: warning: {message}", to_stderr=True)

    def info(self, message: str) -> None:
        """A line for the user; with `json` on stderr, with `quiet` only in the log."""
        if self.quiet:
            if self.log:
                self.log(message)
        else:
            self._write(message, to_stderr=self.json)

    def result(self, text: str) -> None:
        """The answer of the command, on stdout whatever else is switched off."""
        self.close()
        with _unheard_is_no_error():
            say(text)

    def close(self) -> None:
        """End the bar with its last state. May be called again."""
        self._last = None
        if self._bar is not None:
            with _unheard_is_no_error():
                self._bar.refresh()
                self._bar.close()
            self._bar = None
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _write_progress(self, line: str) -> None:
        _Bar.write(line, file=sys.stderr)
        sys.stderr.flush()

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: str, *, to_stderr: bool) -> None:
        line = printable(line)
        with _unheard_is_no_error():
            _Bar.write(line, file=sys.stderr if to_stderr else sys.stdout)
            sys.stdout.flush()
        if self.log:
            self.log(line)

    @staticmethod
    def _open(status: Status) -> _Bar:
        return _Bar(
            desc=status.headline(),
            postfix=status.line(),
            total=status.total,
            initial=status.done,
            unit=status.unit,
            unit_scale=True,
            file=sys.stderr if sys.stderr.isatty() else sys.stdout,  # a notebook shows stderr as a fault
            mininterval=TERMINAL_INTERVAL_S,
            miniters=0,
            dynamic_ncols=sys.stderr.isatty(),
            bar_format="{desc} |{bar:12}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}",
        )


@contextlib.contextmanager
def _unheard_is_no_error() -> Iterator[None]:
    """A run goes on when its terminal is gone (`| head`, a closed window, a full disk): log.txt has every line.

    A stream that takes nothing any more becomes /dev/null.
    """
    try:
        yield
    except OSError:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def thousands(value: float) -> str:
    """`812`, `70.7 k`, `1.20 M`."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.3g}"

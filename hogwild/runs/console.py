"""What a run says while it runs: one bar and warnings on stderr, results on stdout. Only the parent has a console."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from tqdm import tqdm

from hogwild.text import printable, say

TERMINAL_INTERVAL_S = 0.2
LOG_INTERVAL_S = 10.0


@dataclass(frozen=True)
class Status:
    """Where a run is. `metric` names the score (accuracy, bits_per_char); NaN or None is not shown."""

    samples: int
    total_samples: int
    epoch: float = 0.0
    loss: float | None = None
    score: float | None = None
    metric: str = "score"
    samples_per_s: float | None = None
    delay_mean: float | None = None
    delay_p95: float | None = None
    lr: float | None = None
    edge: float | None = None  # curvature x lr over its threshold
    workers_alive: int | None = None

    def headline(self) -> str:
        return f"epoch {self.epoch:.3g}"

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
        ):
            if value is not None and value == value:
                parts.append(text.format(thousands(value) if "samples/s" in text else value))
        return "  ".join(parts)


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # no thread beside the supervisor


_Bar.set_lock(threading.RLock())  # the default is a multiprocessing lock, that is a named semaphore


class Console:
    """The one place that writes to the terminal during a run.

    With `json` only the JSON object goes to stdout and everything else to stderr; with `quiet` only warnings are shown.
    `log` gets every line as well (RunDirectory.log).
    """

    def __init__(self, *, quiet: bool = False, json: bool = False, log: Callable[[str], None] | None = None) -> None:
        self.quiet = quiet
        self.json = json
        self.log = log
        self._bar: _Bar | None = None

    def update(self, status: Status) -> None:
        """Move the bar to `status`."""
        if self.quiet:
            return
        with _unheard_is_no_error():
            if self._bar is None:
                self._bar = self._open(status)
            self._bar.total = status.total_samples
            self._bar.set_description_str(status.headline(), refresh=False)
            self._bar.set_postfix_str(status.line(), refresh=False)
            self._bar.update(status.samples - self._bar.n)

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
        if self._bar is not None:
            with _unheard_is_no_error():
                self._bar.refresh()
                self._bar.close()
            self._bar = None

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
            total=status.total_samples,
            initial=status.samples,
            unit="samples",
            unit_scale=True,
            file=sys.stderr,
            mininterval=TERMINAL_INTERVAL_S if sys.stderr.isatty() else LOG_INTERVAL_S,
            miniters=0,
            dynamic_ncols=True,
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

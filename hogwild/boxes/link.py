"""A link: headers and data between this box and one other, over a gloo group of the two.

gloo sends when the other side receives, cannot be asked whether it has, and its receive cannot be ended from outside.
So headers are sent in order by a thread of their own, and one thread, the caller's, receives. Whatever fails raises
RuntimeError, in both directions, within the group's time-out; then the link is gone.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from hogwild.boxes.header import WORDS, Header, Kind

HEADERS, DATA, MODEL, CENTER, CALL, REPLY = range(6)  # tags
FLUSH_S = 1.0


class Work(Protocol):
    """An operation of gloo in progress."""

    def wait(self) -> object:
        """RuntimeError if it fails, or takes longer than the group's time-out."""


class Group(Protocol):
    """A gloo group of two ranks."""

    def rank(self) -> int: ...
    def send(self, tensors: list[Tensor], rank: int, tag: int, /) -> Work: ...
    def recv(self, tensors: list[Tensor], rank: int, tag: int, /) -> Work: ...


class Link:
    """Over `group`, which this link owns. While nothing else is sent, `beat` gives a header every `beat_s` seconds."""

    def __init__(self, group: Group, beat: Callable[[], Header], beat_s: float) -> None:
        self._group, self._peer = group, 1 - group.rank()
        self._beat, self._beat_s = beat, beat_s
        self._headers: queue.SimpleQueue[Header | None] = queue.SimpleQueue()
        self._sent = threading.Event()  # all headers, behind `close`
        threading.Thread(target=self._send_headers, name="headers", daemon=True).start()

    def post(self, header: Header) -> None:
        """Sends a header, in the order of the calls. Never waits."""
        self._headers.put(header)

    def receive(self) -> Header:
        """Waits for a header. ValueError for one that no box sends."""
        words = torch.zeros(WORDS, dtype=torch.int64)
        self._group.recv([words], self._peer, HEADERS).wait()
        return Header.unpack(words)

    def swap(self, packet: Tensor, room: Tensor) -> None:
        """Sends a packet and receives the other side's into `room`, at the same time."""
        works = [self._receive(room, DATA), self._send(packet, DATA)]
        for work in works:
            work.wait()

    def send(self, data: Tensor, tag: int) -> None:
        """Sends `data`, for which the other side waits."""
        self._send(data, tag).wait()

    def fetch(self, room: Tensor, tag: int) -> None:
        """Waits for data."""
        self._receive(room, tag).wait()

    def close(self) -> None:
        """Waits a little until all headers are sent, and ends that thread."""
        self._headers.put(None)
        self._sent.wait(FLUSH_S)

    def _send(self, data: Tensor, tag: int) -> Work:
        return self._group.send([data], self._peer, tag)

    def _receive(self, room: Tensor, tag: int) -> Work:
        return self._group.recv([room], self._peer, tag)

    def _send_headers(self) -> None:
        try:
            while True:
                try:
                    header = self._headers.get(timeout=self._beat_s)
                except queue.Empty:
                    header = self._beat()
                if header is None:
                    break
                self._send(header.pack(), HEADERS).wait()
                if header.kind is Kind.BYE:
                    break
        except RuntimeError:
            pass  # the thread that receives finds it out too
        self._sent.set()

"""What the Trace Event Format of Chromium asks for, as far as our traces use it."""

from __future__ import annotations

import json
from typing import Any

FIELDS = {"M": {"name", "args"}, "X": {"name", "tid", "ts", "dur"}, "C": {"name", "ts", "args"},
          "i": {"name", "tid", "ts", "s"}, "s": {"name", "cat", "id", "tid", "ts"},
          "f": {"name", "cat", "id", "tid", "ts", "bp"}}  # fmt: skip


def checked(text: str) -> list[dict[str, Any]]:
    """The events of a trace, after a check that they are what the format asks for: slices of a thread nest, arrows
    have two ends, which lie in slices and in this order, and every thread has a name.
    """
    document = json.loads(text)
    assert document["displayTimeUnit"] in ("ms", "ns")
    events: list[dict[str, Any]] = document["traceEvents"]
    slices: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        assert FIELDS[event["ph"]] | {"ph", "pid"} <= event.keys(), event
        assert event.get("ts", 0) >= 0
        assert event["ph"] != "C" or all(isinstance(value, (int, float)) for value in event["args"].values())
        if event["ph"] == "X":
            assert event["dur"] >= 0
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for inside in slices.values():
        open_until: list[float] = []
        for begin, end in sorted(inside, key=lambda part: (part[0], -part[1])):
            while open_until and open_until[-1] <= begin + 1e-3:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-3, "two slices of a thread cross"
            open_until.append(end)
    named = {(event["pid"], event.get("tid")) for event in events if event["name"] == "thread_name"}
    assert slices.keys() <= named
    arrows: dict[int, list[dict[str, Any]]] = {}
    for event in (event for event in events if event["ph"] in "sf"):
        arrows.setdefault(event["id"], []).append(event)
        where = slices[event["pid"], event["tid"]]
        assert any(begin <= event["ts"] <= end for begin, end in where), "an arrow that ends nowhere"
    for ends in arrows.values():
        assert [event["ph"] for event in ends] == ["s", "f"]
        assert ends[0]["ts"] <= ends[1]["ts"]
    return events

"""The results as tables and as a picture: GB/s against the number of parameters."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.gpu.targets import Row, copy_of, targets

YARDSTICK = copy_of(36)
DRAWN = ("gap", "gap, atomic", "heavy ball", "plain", "torch SGD, fused", "eager torch", YARDSTICK)
MICRO = 1e6


def write(results: Mapping[str, Any], folder: Path, is_dry: bool = False) -> None:
    """Write report.md, and roofline.png if matplotlib is installed and a push was measured."""
    rows = [row for result in results.values() for row in result["rows"]]
    has_picture = draw(rows, folder / "roofline.png")
    text = "\n".join(lines(results, rows, is_dry)) + ("\n\n![roofline](roofline.png)\n" if has_picture else "\n")
    (folder / "report.md").write_text(text)


def lines(results: Mapping[str, Any], rows: list[Row], is_dry: bool) -> Iterator[str]:
    yield "# A dry run: no figure below is a measurement\n" if is_dry else "# GPU benchmarks\n"
    yield from _facts(rows)
    yield "\n| must be shown | wanted | measured | |\n| --- | ---: | ---: | --- |"
    for target in targets([] if is_dry else rows):
        measured = "-" if target.measured is None else f"{target.measured:.4g}"
        sign = "<=" if target.at_most else ">="
        yield f"| {target.what} | {sign} {target.wanted:g} | {measured} | {target.verdict} |"
    yield "\n| part | | s |\n| --- | --- | ---: |"
    for name, result in results.items():
        reason = f" ({result['reason']})" if "reason" in result else ""
        yield f"| {name} | {result['status']}{reason} | {result['seconds']:.1f} |"
    for group in dict.fromkeys(row["group"] for row in rows if row["group"] != "facts"):
        yield f"\n## {group}\n"
        yield from _table([row for row in rows if row["group"] == group])
    for name, result in results.items():
        if result["status"] not in ("done", "left out") or name == "tests":
            yield f"\n## Last words of {name}\n\n```\n{result.get('tail', '').strip()}\n```"


def _facts(rows: list[Row]) -> Iterator[str]:
    found = {row["name"]: row for row in rows if row["group"] == "facts"}
    if "device" not in found:
        yield "The device is not known, because the part that records it did not run."
        return
    device, host = found["device"], found["host"]
    yield (
        f"{device['gpu']}; torch {device['torch']}, CUDA {device['torch_cuda']}; MPS running: "
        f"{'yes' if device['mps'] else 'no'}; host {host['cpu']}, {host['cores']} cores; {host['date']}.\n"
    )
    if device.get("nvidia_smi"):
        yield ", ".join(f"{key} {value}" for key, value in device["nvidia_smi"].items()) + ".\n"
    yield (
        "GB/s counts each stream once per read and once per write; device time of calls in a row, the host ahead; "
        "medians of interleaved rounds. docs/gpu.md defines the counts."
    )


def _table(rows: list[Row]) -> Iterator[str]:
    if "seconds" in rows[0]:
        yield "| n | | us | us, cold | host us | B | GB/s | of a copy of as many bytes |"
        yield f"| ---: | --- |{' ---: |' * 6}"
        for row in rows:
            cold = "" if row["cold_s"] is None else f"{row['cold_s'] * MICRO:.1f}"
            name = row["name"] + (" (host-bound)" if row["is_starved"] else "")
            device_us, host_us = statistics.median(row["seconds"]) * MICRO, row["host_s"] * MICRO
            yield (
                f"| {row['n']:,} | {name} | {device_us:.1f} | {cold} | {host_us:.1f} | {row['bytes']} | "
                f"{row['gbps']:,.0f} | {row['of_copy']:.1%} |"
            )
        return
    keys = [key for row in rows for key in row if key not in ("group", "name")]
    columns = list(dict.fromkeys(keys))
    yield f"| | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}"
    for row in rows:
        yield f"| {row['name']} | {' | '.join(_cell(row.get(key)) for key in columns)} |"


def _cell(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(part, (int, float)) for part in value):
        return f"{statistics.median(value):.4g}"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return text.replace("|", "/").replace("\n", " ")


def draw(rows: list[Row], file: Path) -> bool:
    """Draw the picture. Returns False if there is no measured push, or no matplotlib."""
    pushes = [row for row in rows if row["group"] == "push" and row["name"] in DRAWN]
    if not pushes:
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    for name in DRAWN:
        points = sorted((row["n"], row["gbps"]) for row in pushes if row["name"] == name)
        if points:
            style = "--" if name == YARDSTICK else "-"
            axes.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=name)
    axes.set(xscale="log", xlabel="parameters", ylabel="GB/s, every stream counted once per read and per write")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
    return True

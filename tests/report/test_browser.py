"""Pages in Chromium: no violation that axe-core knows, nothing cut or written over, in both themes, wide and on a
phone.

Screenshots are left in build/screenshots, and how long each page took to its second frame, in ms.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from test_box_pages import box
from test_timelines import DATA, GRADIENT, SLEEP, UPDATE, WAITING, fault, recorded
from written_runs import ended, evaluation, make, train

from hogwild.report import comparison, runs
from hogwild.report.record import records

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.executable() is None, reason="no Chromium on the PATH"),
    pytest.mark.skipif(not browser.AXE.exists(), reason=f"axe-core is not there: {browser.INSTALL_AXE}"),
]
PICTURES = Path(__file__).parents[2] / "build/screenshots"
WIDTHS = (1200, 400)
ALGORITHMS = ("ssgd", "asgd", "gap-aware", "dana-slim", "shifted", "dc-asgd")
LABELS = """
[...document.querySelectorAll("figure > svg")].flatMap(svg => {
  const texts = [...svg.querySelectorAll("text")].filter(text => getComputedStyle(text).display != "none");
  const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect(), text.classList.contains("mark")]);
  const name = svg.querySelector("title").textContent, wrong = [];
  boxes.forEach(([text, box, mark], index) => {
    if (box.left < -0.5 || box.right > innerWidth + 0.5) wrong.push(`${name}: ${text} is cut`);
    boxes.slice(index + 1).forEach(([other, its, marks]) => {
      const across = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      if (!mark && !marks && across > 1 && down > 2) wrong.push(`${name}: ${text} is over ${other}`);
    });
  });
  return wrong;
})
"""
AXE_RUN = """
axe.run().then(found => found.violations.map(one => `${one.id}: ${one.help}: ${one.nodes[0].html.slice(0, 200)}`))
"""


def steady(path: Path, workers: int, steps: int, slow: int | None = None) -> None:
    """A timeline of steps of about 2 ms."""
    noise, tracks = random.Random(1), {}
    for rank in range(workers):
        at, changes = 0.0, []
        for _ in range(steps if rank != slow else steps // 5):
            for phase, seconds in ((DATA, 0.1e-3), (GRADIENT, 1.4e-3), (UPDATE, 0.3e-3), (WAITING, 0.1e-3)):
                changes.append((at, phase, rank))
                at += seconds * noise.uniform(0.7, 1.6)
            if rank == slow:
                changes.append((at, SLEEP, rank))
                at += 7e-3
        tracks[rank] = [*changes, (at, 6, 0)]
    recorded(path, tracks)


def one(folder: Path) -> str:
    path = make(
        folder / "2026-11-30_09-34-30_digits_asgd",
        [*(train(k, 2.3 / k**0.6, time=k / 100) for k in range(1, 200)),
         *(evaluation(k, 1 - 0.9 / k**0.5) | {"time": k / 100} for k in range(9, 200, 9)),
         *(ended(rank, 99, data=0.1, gradient=1.4, update=0.3, waiting=0.1) for rank in range(2))],
        {"gap_histogram": {str(k): 2 ** -abs(k + 9) for k in range(-17, -3)},
         "row_delay_histogram": {"0": 900, "1": 300, "2": 111, "4": 17, "8": 2}},
    )  # fmt: skip
    steady(path, 2, 900)
    return runs.write(records([path]))


def with_faults(folder: Path) -> str:
    path = make(
        folder / "straggler",
        [*(train(k, 2.3 / k**0.4, time=k / 100) for k in range(1, 200)), fault(3, 0.7), fault(None, 1.1),
         *(ended(rank, 9 if rank == 2 else 99, gradient=1.4, sleep=6.0 * (rank == 2), update=0.3) for rank in range(8)),
         fault(5, 1.5)],
        workers=8,
    )  # fmt: skip
    steady(path, 8, 3000, slow=2)
    return runs.write(records([path]))


def compared(folder: Path) -> str:
    noise = np.random.default_rng(2)
    for place, algorithm in enumerate(ALGORITHMS):
        for workers in (1, 4, 8, 16, 32):
            for seed in range(3):
                end = 0.97 - 0.004 * place * workers**0.6 + 0.01 * noise.normal()
                failed = algorithm == "asgd" and workers == 32 and seed
                rises = [evaluation(k, end * (1 - 0.8 / k**0.7)) for k in range(1, 21)]
                make(
                    folder / f"grid/runs/{algorithm}-{workers}-{seed}",
                    [*rises[:9], evaluation(10, None)] if failed else rises,
                    {"exit_reason": "diverged"} if failed else {},
                    algorithm=algorithm, workers=workers, seed=seed, clock="gamma",
                )  # fmt: skip
    return comparison.write(records([folder / "grid"]))


def of_boxes(folder: Path) -> str:
    for number in range(2):
        box(number, folder / "two", began=1e9 + 2.5 * number)
    return runs.write(records([folder / "two"]))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.mark.parametrize("write", [one, with_faults, compared, of_boxes], ids=lambda write: write.__name__)
def test_a_page_can_be_read(write, chromium: browser.Browser, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text(write(tmp_path))
    assert page.stat().st_size < 2_000_000
    PICTURES.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for dark in (False, True):
            name = f"{write.__name__}-{width}-{'dark' if dark else 'light'}"
            chromium.open(page, width=width, dark=dark)
            chromium.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
            took = chromium.value("performance.now()")
            (PICTURES / f"{name}.ms").write_text(f"{took:.0f} ms, {page.stat().st_size / 1000:.0f} kB\n")
            chromium.picture(PICTURES / f"{name}.png")
            assert chromium.value("document.documentElement.scrollWidth") == width, f"{name} is wider than its window"
            assert chromium.value(LABELS) == [], name
            chromium.value(browser.AXE.read_text() + ";0")
            assert chromium.value(AXE_RUN) == [], name
    assert chromium.errors == []

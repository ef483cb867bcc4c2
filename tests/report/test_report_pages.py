"""Pages of runs: they parse, need nothing from elsewhere, are the same for the same runs, and hide nothing."""

from __future__ import annotations

import json
import math
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from written_runs import CURVE, WORKERS, ended, evaluation, make, train

from hogwild.cli.report import main
from hogwild.report import comparison, runs
from hogwild.report.chart import COLOURS, DARK, DARK_DIM, DIM
from hogwild.report.record import Record, Values, records
from hogwild.runs.journal import without_repeats
from hogwild.text import printable

RUN_BYTES, COMPARISON_BYTES = 200_000, 1_000_000


def body(text: str) -> ET.Element:
    """The page as a tree: all of it is well-formed XML but for the tags of its head."""
    return ET.fromstring(re.sub(r".*?(<body>.*</body>).*", r"\1", text, flags=re.DOTALL))


def grid(folder: Path, **given: object) -> list[Record]:
    """Three algorithms at two numbers of workers, with three seeds each."""
    for algorithm in ("asgd", "ssgd", "gap-aware"):
        for workers in (2, 16):
            for seed in range(3):
                end = 0.9 - 0.01 * seed - (0.3 if (algorithm, workers) == ("asgd", 16) else 0)
                make(
                    folder / f"runs/{algorithm}-{workers}-{seed}", [evaluation(k, end * k / 29) for k in (9, 19, 29)],
                    algorithm=algorithm, workers=workers, seed=seed, clock="gamma", **given,
                )  # fmt: skip
    return records([folder])


def test_a_page_is_whole_small_and_needs_nothing(tmp_path: Path):
    page = runs.write(records([make(tmp_path / "a")]))
    body(page)
    for foreign in ("http", "src=", "@import", "<script", "url("):
        assert foreign not in page
    assert len(page.encode()) < RUN_BYTES
    assert page == runs.write(records([tmp_path / "a"]))
    many = comparison.write(grid(tmp_path / "grid"))
    body(many)
    assert len(many.encode()) < COMPARISON_BYTES


def test_every_figure_is_named_and_described(tmp_path: Path):
    for page in (runs.write(records([make(tmp_path / "a")])), comparison.write(grid(tmp_path / "grid"))):
        tree = body(page)
        figures = [svg for svg in tree.iter("svg") if svg.get("role") == "img"]
        assert len(figures) > 4
        ids = [node.get("id") for node in tree.iter() if node.get("id")]
        assert len(ids) == len(set(ids))
        for svg in figures:
            title, text = (
                next(node for node in svg if node.get("id") == name) for name in svg.attrib["aria-labelledby"].split()
            )
            assert title.text
            assert text.text


def test_what_a_run_says_is_text(tmp_path: Path):
    hostile = '<img src=x onerror="1">&\x1b[2J\u202e'
    events = [*CURVE, {"kind": "fault", "time": 1.0, "reason": hostile, "message": hostile, "worker": 0}]
    page = runs.write(records([make(tmp_path / "<b>", events, {"exit_reason": hostile})]))
    body(page)
    assert "<img" not in page
    assert "&lt;img" in page
    assert printable(page) == page, "no character turns the text around or speaks to a terminal"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "card"), [((*COLOURS, DIM), "#f6f8fa"), ((*DARK, DARK_DIM), "#161b22")], ids=["light", "dark"]
)
def test_colours_can_be_read_on_their_card(colours: tuple[str, ...], card: str):
    """WCAG asks for a contrast of 4.5."""
    for colour in colours:
        bright, dark = sorted((luminance(colour), luminance(card)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, colour


# ---- what is shown --------------------------------------------------------------------------------------------------


def test_lines_that_a_resumed_run_made_again_are_shown_once(tmp_path: Path):
    before = [train(k, 9.0) for k in range(1, 21)]
    after = [train(k, 1.0) for k in range(11, 31)]
    curve = Record.open(make(tmp_path / "a", [*before, *after])).curve("train_loss", "updates")
    assert curve == [(k, 9.0 if k < 11 else 1.0) for k in range(1, 31)]


def test_repeated_lines_are_left_out_in_one_pass():
    """The same lines as one scan for each place to which a run went back."""
    r = random.Random(4)
    for _ in range(50):
        kinds = ("train", "train", "eval", "fault")
        lines = [{"kind": r.choice(kinds), "updates": r.choice([None, *range(6)]), "n": n} for n in range(30)]
        expected: list[Values] = []
        last: dict[object, float] = {}
        for line in lines:
            kind, at = line["kind"], math.nan if line["updates"] is None else line["updates"]
            if kind != "fault":
                if last.get(kind, at) > at:
                    expected = [e for e in expected if e["kind"] != kind or e["updates"] is None or e["updates"] < at]
                last[kind] = at
            expected.append(line)
        assert without_repeats(lines) == [e for e in lines if e in expected]


def test_runs_of_one_seed_are_all_shown(tmp_path: Path):
    """Processes make different runs of the same seed."""
    ends = [0.5 + 0.05 * k for k in range(7)]
    found = [Record.open(make(tmp_path / str(k), [evaluation(9, end)])) for k, end in enumerate(ends)]
    page = comparison.write(found)
    assert "The best mean test accuracy is 0.65" in page
    assert ", ".join(f"{end:.4g}" for end in ends) in page


def test_a_diverged_run_is_named_and_its_line_breaks(tmp_path: Path):
    events = [train(1, 2.0), train(2, 3.0), train(3, None), *WORKERS]
    page = runs.write(records([make(tmp_path / "a", events, {"exit_reason": "diverged", "lr": 0.7})]))
    assert "a has diverged" in page
    assert "try a lower learning rate than 0.7" in page
    body(page)


def test_delays_of_rows_are_shown_by_the_powers_of_two_that_they_begin_with(tmp_path: Path):
    counts = {"0": 5, "1": 2, "4": 1}
    page = runs.write(records([make(tmp_path / "a", summary={"row_delay_histogram": counts})]))
    figure = page.partition("<figcaption>Row delays")[2].partition("</figure>")[0]
    assert re.findall(r"<title>a, ([^<]*)</title>", figure) == ["0: 0.625", "1: 0.25", "4-7: 0.125"]
    places = [float(left) for left in re.findall(r'<path d="M([\d.]+) 1000V', figure)]
    assert places[2] - places[1] == pytest.approx(2 * (places[1] - places[0]), abs=0.2), "2-3 has no row, but a place"
    assert "<figcaption>Row delays" not in runs.write(records([make(tmp_path / "b")]))


def test_every_column_of_a_table_has_a_name(tmp_path: Path):
    for page in (runs.write(records([make(tmp_path / "a")])), comparison.write(grid(tmp_path / "grid"))):
        assert all(head.text for head in body(page).iter("th"))


def test_an_interval_without_a_push_is_no_divergence(tmp_path: Path):
    page = runs.write(records([make(tmp_path / "a", [train(1, 2.0), train(2, 1.0), train(3, None)])]))
    assert "a ends at 1." in page


@pytest.mark.parametrize(
    "events", [[], [train(4, 1.25)], [train(k, None) for k in range(9)]], ids=["none", "one", "NaN"]
)
def test_what_has_no_curve_is_said_in_words(tmp_path: Path, events: list[dict[str, object]]):
    page = runs.write(records([make(tmp_path / "a", events, {"delay_histogram": {}})]))
    tree = body(page)
    drawn = [svg[0].text for svg in tree.iter("svg") if svg.get("role") == "img"]
    assert drawn == (["Gap"] if len(events) == 9 else [])
    assert ("a: 1.25, the only value recorded." in page) is (len(events) == 1)
    assert "No push with a delay was counted." in page


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path):
    text = json.dumps(train(1, 2.0)) + "\n" + json.dumps(train(2, 1.0)) + '\n{"kind": "tra'
    assert len(Record.open(make(tmp_path / "a", lines=text)).curve("train_loss")) == 2


def test_two_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path):
    paths = [make(tmp_path / "one/a"), make(tmp_path / "other/a"), make(tmp_path / "b")]
    assert [run.name for run in records(paths)] == [str(paths[0]), str(paths[1]), "b"]


def test_only_options_that_differ_are_compared(tmp_path: Path):
    pair = [make(tmp_path / "a", lr=0.1), make(tmp_path / "b", lr=0.2)]
    page = runs.write(records(pair))
    (table,) = re.findall(r"<caption>What differs</caption>(.*?)</table>", page)
    assert re.findall(r'scope="row">(\w+)<', table) == ["lr"]


def test_the_advice_is_what_presses_most(tmp_path: Path):
    def of(name: str, events: list[dict[str, object]], **summary: object) -> str:
        return "".join(
            re.findall(r'class="advice">(.*?)</p>', runs.write(records([make(tmp_path / name, events, summary)])))
        )

    assert of("sound", CURVE) == ""
    slow = [ended(0, 90, gradient=9.0), ended(1, 80, gradient=9.0), ended(2, 9, gradient=9.0)]
    assert of("slow", slow).startswith("Worker 2 made 9 pushes, and the median is 80")
    assert "wait for each other 50 %" in of("waiting", [ended(0, 9, gradient=1.0, waiting=1.0)] * 2)
    assert of("lost", slow, refused=9, dropped=1).startswith("10 gradients were not used, 25.6 % of all")
    edge = [{"kind": "edge", "time": 1.0, "updates": k, "ratio": 0.4 * k} for k in (1, 2, 3)]
    assert of("edge", [*edge, *slow]).startswith("The learning rate is 1.20 times the largest stable one")
    assert of("all", [*edge, *slow], exit_reason="diverged").startswith(
        "The loss is no longer finite at a mean delay of 1.5"
    )


# ---- comparisons ----------------------------------------------------------------------------------------------------


def test_a_comparison_shows_every_seed_and_what_is_better(tmp_path: Path):
    found = grid(tmp_path)
    groups = comparison.groups(found)
    assert {(group.name, group.panel, len(group.runs)) for group in groups} == {
        (name, f"N = {workers}, gamma", 3) for name in ("asgd", "ssgd", "gap-aware") for workers in (2, 16)
    }
    assert len({(group.name, group.look) for group in groups}) == 3, "an algorithm has one colour"
    page = comparison.write(found)
    assert "better in 3 of 3, +0.3" in page
    assert "0.9, 0.89, 0.88" in page
    assert " p = " not in page
    assert "The best mean test accuracy is 0.89, of asgd at N = 2, gamma." in page


def test_diverged_runs_are_counted_and_not_averaged_away(tmp_path: Path):
    grid(tmp_path)
    path = tmp_path / "runs/ssgd-2-0/summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"exit_reason": "diverged"}))
    page = comparison.write(records([tmp_path]))
    assert "1 of 18 runs diverged." in page
    assert "diverged, 0.89, 0.88" in page


def test_groups_are_named_by_what_is_varied_and_not_by_what_follows(tmp_path: Path):
    for algorithm, lr in (("asgd", 0.1), ("asgd", 0.2), ("ssgd", 0.3)):
        for seed in range(3):
            make(tmp_path / f"{algorithm}-{lr}-{seed}", algorithm=algorithm, lr=lr, seed=seed)
    assert [group.name for group in comparison.groups(records([tmp_path]))] == ["asgd, lr 0.1", "asgd, lr 0.2", "ssgd"]


def test_medians_of_curves_with_different_places():
    one, other, third = [(0, 0.0), (10, 10.0)], [(0, 2.0), (5, 7.0), (10, 12.0)], [(2, 3.0), (8, 9.0)]
    found = comparison.median([one, other, third])
    assert found[0] == (2, 3.0)
    assert found[-1] == (8, 9.0)
    assert all(abs(y - x - 1) < 1e-9 for x, y in found)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, out = make(tmp_path / "a"), tmp_path / "page.html"
    assert main([str(run), "-o", str(out)]) == 0
    assert out.read_text() == runs.write(records([run]))
    assert main([str(run), "-o", str(out)]) == 2
    assert "exists: choose another name with -o, or --overwrite" in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "-o", str(out), "--overwrite"]) == 2
    assert "is neither a run directory nor a folder with runs" in capsys.readouterr().err
    grid(tmp_path / "grid")
    assert main([str(tmp_path / "grid"), "-o", str(out), "--overwrite"]) == 0
    assert "18 runs compared" in out.read_text()

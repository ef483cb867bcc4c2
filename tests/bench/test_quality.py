"""The page of the examples' quality: what is read of a program's output, and the verdicts."""

from __future__ import annotations

import pytest

from bench import quality

GIVEN = [
    # task, program, seed, quality, updates, cpu_s, start_s
    ("char_gpt", "hogwild", 0, 2.40, 600, 31, 7),
    ("char_gpt", "hogwild", 1, 2.44, 600, 33, 7),
    ("char_gpt", "plain", 0, 2.39, 600, 26, 6),
    ("char_gpt", "plain", 1, 2.43, 600, 26, 6),
    ("a3c_cartpole", "hogwild", 0, 480, 2000, 10, 5),
    ("a3c_cartpole", "plain", 0, 450, 2000, 9, 5),
]


def rows(*given: tuple[object, ...]) -> list[quality.Row]:
    return [
        dict(zip(quality.COLUMNS, map(str, (task, program, 2, *rest)), strict=True)) for task, program, *rest in given
    ]


def test_the_last_number_of_a_name_is_read():
    text = "updates 20, test loss 3.1\nupdates 600, test loss 2.25\nlatest loss 9\n"
    assert quality.printed(text, "test loss") == 2.25
    assert quality.printed(text, "updates") == 600
    assert quality.printed(text, "loss 2") is None


def test_the_page_compares_means_with_the_spread():
    text = quality.page(rows(*GIVEN))
    assert "| a3c_cartpole | 2 | mean length | 480 (480) | 450 (450) | -30 | 0 | yes |" in text
    assert (
        "| char_gpt `--updates 600 --write 1` | 2 | test loss | 2.42 (2.4, 2.44) | 2.41 (2.39, 2.43) | 0.01 | 0.028 |"
        " yes |" in text
    )
    assert "| char_gpt | 2 | 32, 26 | 24, 30 | 0.80 |" in text  # 1200 updates in 50 s, in 40 s
    assert "a seed is below 195 in a3c_cartpole." in text


def test_runs_with_other_numbers_of_workers_have_lines_of_their_own():
    alone = [{**row, "workers": "1", "quality": "470"} for row in rows(*GIVEN) if row["task"] == "a3c_cartpole"]
    lines = [line for line in quality.page([*rows(*GIVEN), *alone]).splitlines() if line.startswith("| a3c")]
    assert [line.split(" | ")[1] for line in lines] == ["1", "2"] * 2
    assert "| 470 (470) | 470 (470) |" in lines[0]


@pytest.mark.parametrize(("task", "value"), [("char_gpt", 2.46), ("a3c_cartpole", 194)])
def test_what_is_worse_by_more_than_the_spread_or_below_what_is_wanted_is_said(task: str, value: float):
    changed = [
        (name, program, seed, value if (name, program) == (task, "hogwild") else old, *rest)
        for name, program, seed, old, *rest in GIVEN
    ]
    lines = [line for line in quality.page(rows(*changed)).splitlines() if line.startswith(f"| {task} ")]
    assert lines[0].endswith("| no |")

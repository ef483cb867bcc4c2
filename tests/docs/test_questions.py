"""A stranger's ten questions, and the pages that answer them: each is two clicks from the first page at most."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_pages import FENCE, LINK, README, ROOT, anchors

HOME = ROOT / "docs/README.md"
QUESTIONS = {
    "Is it safe": "faq.md#is-it-safe-that-workers-write-without-locks",
    "optimizer.step": "faq.md#can-i-call-optimizerstep-in-a-worker",
    "all the data": "faq.md#does-every-worker-see-all-the-data",
    "one thread": "faq.md#why-does-each-worker-have-one-thread",
    "DistributedDataParallel": "faq.md#why-not-distributeddataparallel",
    "races cost": "faq.md#what-do-races-cost",
    "reproduce": "faq.md#can-i-reproduce-a-run",
    "Which algorithm": "choosing.md#how-large-is-the-delay",
    "learning rate": "usage.md#learning-rate-and-delay",
    "my own model": "library.md#what-may-be-given",
}


def links(page: Path) -> dict[str, str]:
    """The text of each link of the page -> where it leads."""
    text = FENCE.sub("", page.read_text())
    return dict(re.findall(r"\[([^\]]+)\]\(([^()\s]+)\)", text))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_within_two_clicks(question: str):
    (goal,) = (link for text, link in links(HOME).items() if question in text)
    assert goal == QUESTIONS[question]
    page, _, anchor = goal.partition("#")
    assert anchor in anchors(HOME.parent / page)
    assert "docs/README.md" in LINK.findall(README.read_text())


def test_there_are_ten():
    home = HOME.read_text().partition("## Ten questions")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\d+\. ", home, re.MULTILINE)) == len(QUESTIONS) == 10

"""The pages of the site, put together without its toolchain: every link and anchor leads somewhere there too."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from test_pages import FENCE, LINK, ROOT, anchors


@pytest.fixture(scope="module")
def assemble() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools/docs_site")
        yield importlib.import_module("assemble")


@pytest.fixture(scope="module")
def pages(assemble: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "docs"
    assemble.assemble(folder)
    return folder


def test_every_link_leads_to_a_page_or_file_of_the_site(pages: Path):
    for page in pages.rglob("*.md"):
        if page.is_relative_to(pages / "source"):
            continue  # a file of the repository in a code block
        for link in LINK.findall(FENCE.sub("", page.read_text())):
            if link.startswith("https://"):
                continue
            path, _, fragment = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.is_file(), f"{page.relative_to(pages)}: {link}"
            assert target.is_relative_to(pages), f"{page.relative_to(pages)}: {link}"
            assert not fragment or fragment in anchors(target), f"{page.relative_to(pages)}: {link}"


def test_every_page_of_the_navigation_is_there_and_every_page_of_docs_is_in_it(pages: Path):
    text = re.sub(r"!!python\S* ", "", (ROOT / "mkdocs.yml").read_text())
    nav = set(named(yaml.safe_load(text)["nav"]))
    assert {name for name in nav if not (pages / name).is_file()} == set()
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md", "algorithms.md"} <= nav
    assert {f"algorithms/{page.name}" for page in (pages / "algorithms").glob("*.md")} <= nav


def named(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [name for part in (nav.values() if isinstance(nav, dict) else nav) for name in named(part)]


def test_algorithms_have_a_page_per_family_with_their_tests(pages: Path):
    page = (pages / "algorithms/stale-gradients-on-one-shared-model.md").read_text()
    assert page.startswith("# Stale gradients on one shared model\n")
    section = page.partition("\n## `gap-aware`\n")[2].partition("\n## ")[0]
    assert "[test_gap_aware](../source/tests/algorithms/test_gap_aware.py.md), *Gap-Aware: no gap" in section
    assert "[hogwild/algorithms/stale/gap_aware.py](../source/hogwild/algorithms/stale/gap_aware.py.md)" in section
    index = (pages / "algorithms/index.md").read_text()
    assert "[`gap-aware`](stale-gradients-on-one-shared-model.md#gap-aware)" in index
    assert "### " not in index


def test_docstrings_and_plots_take_the_place_of_their_names(assemble: ModuleType):
    text = assemble.shown("<!-- reference: hogwild.fit -->\n\n[![a](b.svg)](c.html)\n[d](e.html)")
    assert text.startswith('::: hogwild.fit\n\n<iframe src="c.html"')
    assert text.endswith("[d](e.html)")


def test_lists_and_tables_below_a_paragraph_get_the_empty_line_that_they_need(assemble: ModuleType):
    text = "one:\n- a\n  more\n- b\n\n**two**\n| t |\n|---|\n```sh\nx\n- y\n```\n| u |\n2026 is\n1. c\n2. d\n"
    parts = assemble.shown(text).split("\n\n")
    assert parts[:4] == ["one:", "- a\n  more\n- b", "**two**", "| t |\n|---|\n```sh\nx\n- y\n```"]
    assert parts[4:] == ["| u |\n2026 is", "1. c\n2. d\n"]


def test_a_dead_link_is_an_error(assemble: ModuleType, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text("[there](other.md)")
    with pytest.raises(ValueError, match=r"docs/page\.md links to other\.md"):
        assemble.assemble(tmp_path / "site", tmp_path)

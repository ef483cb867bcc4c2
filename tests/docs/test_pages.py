"""The first page is short, all links have targets, and the generated pages match the registries."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hogwild.algorithms import REGISTRY
from hogwild.algorithms.stale import shifted
from hogwild.buffers import SHARED, SNAPSHOT, Buffer, Scope
from hogwild.cli import listing, pages

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "bench/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    "run": "pip install -c constraints.txt -e . && python -m hogwild.train",
    "test": "pip install -c constraints.txt -e '.[test]' && python -m pytest -n auto",
}


def test_the_first_page_is_short():
    text = README.read_text()
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 1200


@pytest.mark.parametrize("name", COMMANDS)
def test_marked_commands_can_be_taken_from_the_first_page(name: str):
    """Extracted with shell tools: only the first block of sh after the marker."""
    extract = f"sed -n '/<!-- {name} command -->/,/```$/p' README.md | sed -n '/```sh/,/```$/p' | grep -v '```'"
    found = subprocess.run(["sh", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == COMMANDS[name] + "\n"
    assert README.read_text().count(f"<!-- {name} command -->") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not fragment or fragment in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The link fragments of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs/README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index


@pytest.mark.parametrize(
    ("page", "argv"),
    [("algorithms", ["--markdown"]), ("options", ["options", "--markdown"])],
    ids=lambda part: str(part),
)
def test_generated_pages_are_current(page: str, argv: list[str], capsys: pytest.CaptureFixture[str]):
    assert listing.main(argv) == 0
    path = ROOT / f"docs/{page}.md"
    current = path.read_text() == capsys.readouterr().out
    assert current, f"write it again: hogwild list {page} --markdown > docs/{page}.md"


def test_the_first_page_names_every_algorithm():
    text = README.read_text()
    families = text[text.index("| family |") : text.index("## Your own model")]
    names = set(re.findall(r"[\w-]+", families))
    assert set(REGISTRY) <= names
    assert f" {len(REGISTRY)} algorithms " in text


def test_pages_of_names_alone_are_refused(capsys: pytest.CaptureFixture[str]):
    assert listing.main(["models", "--markdown"]) == 2
    assert "algorithms or options, not of models" in capsys.readouterr().err


def test_a_docstring_becomes_paragraphs_and_equations():
    docstring = """A title
that goes on.

    x <- x - lr g

        + wd x
1. This is no list.
Source: A 2020 (arXiv:2001.00001).
Deviates: in
nothing.
"""
    text = "\n".join(pages.prose(docstring))
    assert text.split("\n\n") == [
        "A title that goes on.",
        "```text\nx <- x - lr g",
        "    + wd x\n```",
        "1. This is no list.",
        "*Source*: A 2020 ([arXiv:2001.00001](https://arxiv.org/abs/2001.00001)).",
        "*Deviates*: in nothing.\n",
    ]


def test_memory_is_of_the_buffers_as_large_as_the_model():
    buffers = [SHARED, SNAPSHOT, Buffer(Scope.SHARED, size=3), Buffer(Scope.REPLICA, dtype="float64")]
    assert pages._memory(buffers) == "Memory in float32: 4 bytes a parameter, and 12 more per worker."


@pytest.mark.parametrize("page", [README, ROOT / "docs/usage.md"], ids=lambda page: page.name)
def test_python_of_the_pages_is_python(page: Path):
    blocks = [code for language, code in FENCE.findall(page.read_text()) if language == "python"]
    assert blocks
    for code in blocks:
        ast.parse(code)


def test_the_algorithm_of_the_first_page_is_one(monkeypatch: pytest.MonkeyPatch):
    """The code of the first page is `shifted` without two options, and needs the imports of that file."""
    (code,) = [code for language, code in FENCE.findall(README.read_text()) if "(Algorithm)" in code]
    real, module = REGISTRY["shifted"], ModuleType("first_page")
    imports = Path(shifted.__file__).read_text().partition("@dataclass")[0]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(imports + code, module.__dict__)
    shown = module.ShiftedMomentum
    assert shown().keeps() == real().keeps()
    assert (shown.name, shown.summary) == (real.name, real.summary)
    assert set(shown.options()) < set(real.options())


def test_python_m_hogwild_is_the_command_line(tmp_path: Path):
    command = [sys.executable, "-m", "hogwild"]
    version = subprocess.run([*command, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (version.returncode, version.stdout.split()[0]) == (0, "hogwild")
    wrong = subprocess.run([*command, "trian"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("hogwild: error: unknown command 'trian'")

"""The examples are not longer than the same training in plain PyTorch, as docs/examples.md says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.plain import lines

ROOT = Path(__file__).parents[2]
OWN_ALGORITHM = 40
SMALL = {
    "a3c_cartpole": (("--updates", "40"), r"games [1-9]\d*, mean length \d+ of 500"),
    "char_gpt": (("--updates", "40", "--batch-size", "16", "--write", "20"), r"test loss [012]\.\d+\n.{20}"),
    "cifar_resnet": (("--coloured", "400", "--width", "4", "--batch-size", "20", "--epochs", "2"), r"average 0\.[\d]+"),
    "matrix_factorisation": (("--epochs", "1", "--batch-size", "4096"), r"best for user \d+: items( \d+){5}"),
}


def test_an_example_is_not_longer_than_its_plain_alternative():
    for name in lines.EXAMPLES:
        alternative = lines.plain(name)
        assert lines.example(name) <= (OWN_ALGORITHM if alternative is None else alternative), name


def test_the_page_has_the_counts():
    table = (ROOT / "docs/examples.md").read_text()
    found = dict(re.findall(r"examples/(\w+)\.py\) (\| \d+ \| \d* ?\|)", table))
    assert found == {
        name: f"| {lines.example(name)} | {'' if (plain := lines.plain(name)) is None else f'{plain} '}|"
        for name in lines.EXAMPLES
    }


def test_lines_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A plain program has its own lines, and the definitions that it takes from the example with all that they use."""
    for folder in ("examples", "bench/plain"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "examples/one.py").write_text(
        '"""Two\nlines."""\nimport x\n\nA, B = 1, 2\nC = [\n    # a comment\n    B,\n]\n\n'
        '@x.y\ndef f():\n    """One."""\n    return g()\n\n\ndef g():\n    return C\n\n\ndef other():\n    f()\n'
    )
    (tmp_path / "bench/plain/one.py").write_text("import x\nfrom examples.one import f\n\nf()\n")
    monkeypatch.setattr(lines, "ROOT", tmp_path)
    assert lines.example("one") == 12
    assert lines.plain("one") == 2 + 3 + 2 + 3 + 1
    assert lines.plain("two") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_plain_alternative_runs(name: str, tmp_path: Path):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 500)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOGWILD_DATA": str(tmp_path)}
    given, expected = SMALL[name]
    command = [sys.executable, "-m", f"bench.plain.{name}", *given]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(expected, done.stdout, re.DOTALL), done.stdout


def test_every_plain_alternative_is_tried():
    assert [name for name in lines.EXAMPLES if lines.plain(name) is not None] == sorted(SMALL)

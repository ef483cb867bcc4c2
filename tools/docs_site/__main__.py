"""Builds the documentation site: python tools/docs_site

It needs neither torch nor the compiled module: pip install -c constraints.txt zensical mkdocstrings-python ruff

The pages are put together in build/docs, and mkdocs.yml says how they become site/index.html and the other files. Every
warning is an error: dead links and anchors, docstrings that cannot be read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from assemble import ROOT, assemble


def main() -> int:
    pages = ROOT / "build/docs"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.rmtree(ROOT / "site", ignore_errors=True)
    assemble(pages)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, end="")
    return done.returncode or int("warning" in done.stdout.lower())


if __name__ == "__main__":
    sys.exit(main())

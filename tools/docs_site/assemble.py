"""The pages of the documentation site, put together from the Markdown of the repository.

The Markdown files are written to be read where they lie: a link leads to a file of the repository. The site has only
what is in its own folder, so every link is turned into one between pages of the site:

- a page of docs/ stays where it is, and a README becomes the index of its folder;
- docs/algorithms.md becomes one page per family, algorithms/stale-gradients-on-one-shared-model.md and so on, and each
  section names the tests of its algorithms;
- Markdown outside docs/ that a page links to becomes a page, and a source file a page that shows it;
- a folder leads to its README, and any other file is copied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from evidence import with_tests

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()([^()\s]+)(\))")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".h": "cpp", ".cpp": "cpp", ".cu": "cpp", ".cuh": "cpp", ".sh": "sh", "": "sh"}
SUFFIXES = (".md", ".svg", ".png", ".csv", ".html", ".css")
"""Of the files of docs/ that are on the site."""
ALGORITHMS = "docs/algorithms.md"
DECISIONS = "docs/adr/README.md"
REFERENCE = re.compile(r"<!-- reference: ([\w.]+) -->")
PARAGRAPH = r"^(?!\s|\||[-*] |\d+\. |#|<).*\n"
LIST_OR_TABLE = r"(?=[-*] |1\. |\|)"
DIAGRAM = re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\(([^)]*\.html)\)")

Pages = dict[str, str]
"""Path on the site -> Markdown."""


def assemble(folder: Path, root: Path = ROOT) -> None:
    """Writes all pages and files of the site into `folder`, which does not exist."""
    found = [path for suffix in SUFFIXES for path in (root / "docs").rglob(f"*{suffix}")]
    todo = sorted(path.relative_to(root).as_posix() for path in found)
    done: set[str] = set()
    while todo:
        path = todo.pop()
        if path in done:
            continue
        done.add(path)
        if not is_page(path):
            _write(folder / place(path), (root / path).read_bytes())
            continue
        linked: set[str] = set()
        for name, text in pages_of(path, root).items():
            _write(folder / name, linked_within(text, path, name, linked.add, root).encode())
        todo += sorted(linked)


def is_page(path: str) -> bool:
    """Whether the file of the repository becomes a page: Markdown, and sources that pages link to."""
    suffix = PurePosixPath(path).suffix
    return suffix == ".md" or (suffix in LANGUAGES and not path.startswith("docs/"))


def place(path: str) -> str:
    """The place on the site of a file of the repository."""
    inside = path.removeprefix("docs/")
    if path == ALGORITHMS:
        return "algorithms/index.md"
    if path == "README.md":
        return "readme.md"  # index.md is docs/README.md
    if path.endswith("README.md"):
        return inside.removesuffix("README.md") + "index.md"
    if is_page(path) and not path.endswith(".md"):
        return f"source/{path}.md"
    return inside


def pages_of(path: str, root: Path = ROOT) -> Pages:
    """The pages that a file of the repository becomes."""
    text = (root / path).read_text()
    if path == ALGORITHMS:
        return families(with_tests(text, root))
    if path == DECISIONS:
        text += "\n".join(["", *decisions(root), ""])
    if path.endswith(".md"):
        return {place(path): shown(text)}
    language = LANGUAGES[PurePosixPath(path).suffix]
    title = f"---\nsearch:\n  exclude: true\n---\n# {PurePosixPath(path).name}\n\n`{path}`\n\n"
    return {place(path): f"{title}````{language}\n{text.rstrip()}\n````\n"}


def shown(text: str) -> str:
    """What only the site can show: docstrings in place of their names, and a page in place of its picture."""
    text = "".join(part if inside else separated(part) for part, inside in _parts(text))
    text = REFERENCE.sub(r"::: \1", text)
    frame = r'<iframe src="\1" title="\1" style="width:100%;height:37rem;border:0"></iframe>'
    return DIAGRAM.sub(frame, text)


def decisions(root: Path = ROOT) -> Iterator[str]:
    """A link to each decision, by its title."""
    for path in sorted((root / DECISIONS).parent.glob("0*.md")):
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        yield f"- [{title.replace('. ', ': ', 1)}]({path.name})"


def separated(text: str) -> str:
    """An empty line between a paragraph and the list or the table below it, which the site's Markdown needs."""
    text = re.sub(r"\A\n(?=\S)", "\n\n", text)  # below a code block
    return re.sub(PARAGRAPH + LIST_OR_TABLE, r"\g<0>\n", text, flags=re.MULTILINE)


def families(text: str) -> Pages:
    """docs/algorithms.md by families: the index has their tables, and leads to the sections of the other pages."""
    head, *parts = re.split(r"^## (?=.)", text, flags=re.MULTILINE)
    files: Pages = {}
    of_anchor: dict[str, str] = {}
    for part in parts:
        title, _, body = part.partition("\n")
        name = f"algorithms/{slug(title)}.md"
        files[name] = f"# {title}\n{body}"
        of_anchor[slug(title)] = f"{slug(title)}.md"
        for heading in re.findall(r"^### (.+)$", body, re.MULTILINE):
            of_anchor[slug(heading)] = f"{slug(title)}.md#{slug(heading)}"
    index = LINK.sub(lambda found: f"{found[1]}{_of_family(found[2], of_anchor)}{found[3]}", head)
    return {"algorithms/index.md": index, **{name: body.replace("\n### ", "\n## ") for name, body in files.items()}}


def _of_family(link: str, of_anchor: Mapping[str, str]) -> str:
    return f"site:{of_anchor[link[1:]]}" if link.startswith("#") else link


def slug(heading: str) -> str:
    """The fragment of a heading, as the site and repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def linked_within(text: str, path: str, name: str, needs: Callable[[str], object], root: Path = ROOT) -> str:
    """The Markdown of `path`, which becomes the page `name`, with its links as links of the site; `needs` is called
    with every file that a link leads to. Raises ValueError for a link to nothing.
    """

    def rewritten(found: re.Match[str]) -> str:
        link = found[2]
        if link.startswith(("https://", "#")):
            return found[0]
        if link.startswith("site:"):
            return f"{found[1]}{link.removeprefix('site:')}{found[3]}"
        target, _, fragment = link.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(path), target))
        if (root / file).is_dir():
            file += "/README.md"
        if not (root / file).is_file():
            raise ValueError(f"{path} links to {link}, which is not there")
        needs(file)
        goal = family_of(fragment, root) if file == ALGORITHMS and fragment else place(file)
        relative = os.path.relpath(goal, os.path.dirname(name) or ".")
        return f"{found[1]}{relative}{'#' + fragment if fragment else ''}{found[3]}"

    return "".join(part if inside else LINK.sub(rewritten, part) for part, inside in _parts(text))


def family_of(anchor: str, root: Path = ROOT) -> str:
    """The page of the section `anchor` of docs/algorithms.md."""
    for name, body in families((root / ALGORITHMS).read_text()).items():
        if anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", body, re.MULTILINE)}:
            return name
    raise ValueError(f"{ALGORITHMS} has no section {anchor}")


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The text between and inside code blocks."""
    end = 0
    for block in FENCE.finditer(text):
        yield text[end : block.start()], False
        yield block[0], True
        end = block.end()
    yield text[end:], False


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

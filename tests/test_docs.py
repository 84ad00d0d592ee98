"""The documentation: its code runs, its figures can be drawn and its links lead somewhere."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.references  # noqa: F401  (a page imports transformers, which needs its shim)
from tests.backends import slow_except_under

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# What must run on a page that explains the code by code. A page that is not named
# here may have commands for the shell only.
MINIMUM_BLOCKS = {
    "ablations.md": 2,
    "architecture.md": 20,
    "checkpoints.md": 6,
    "family.md": 1,
    "fusion.md": 12,
    "pooling.md": 18,
}

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
IMAGE_OR_LINK = re.compile(r"!?\[[^\]]*\]\(\s*(?P<target>[^)\s]+)[^)]*\)", re.DOTALL)
HTML_IMAGE_OR_LINK = re.compile(r"<(?:img|a)\b[^>]*\b(?:src|href)=[\"'](?P<target>[^\"']+)[\"']")
PYTHON_FENCE = re.compile(r"^\s*```+\s*py", re.MULTILINE)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of Python: its code, its line in the page, whether a test can run it."""

    code: str
    line: int
    runs: bool


def python_blocks(page):
    text = page.read_text(encoding="utf-8")
    blocks = []
    for fence in FENCE.finditer(text):
        info = fence["info"].split()
        if not info or info[0] not in ("python", "py", "python3"):
            continue
        assert info in (["python"], ["python", "no-run"]), f"{page.name}: ```{fence['info']}"
        line = text.count("\n", 0, fence.start("body"))
        blocks.append(Block(fence["body"], line, runs=len(info) == 1))
    # One that is indented, say, would otherwise be passed over in silence.
    assert len(blocks) == len(PYTHON_FENCE.findall(text)), f"{page.name}: an unusual fence"
    return blocks


def compiled(block, page):
    """Compiles a block so that a traceback names the page and the line in it."""
    return compile("\n" * block.line + block.code, str(page), "exec")


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def targets(page):
    """Returns what the images and links of a page point to, outside of code."""
    text = without_code(page.read_text(encoding="utf-8"))
    patterns = (IMAGE_OR_LINK, HTML_IMAGE_OR_LINK)
    return [match["target"] for pattern in patterns for match in pattern.finditer(text)]


def anchors(page):
    """Returns the anchors that GitHub gives the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = [re.sub(r"[^\w\- ]", "", match["title"].lower()) for match in HEADING.finditer(text)]
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def figures():
    """The module docs/figures.py."""
    spec = importlib.util.spec_from_file_location("docs_figures", ROOT / "docs" / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page",
    [
        page
        if page.name in ("README.md", "architecture.md")
        else pytest.param(page, marks=slow_except_under("torch"))
        for page in PAGES
    ],
    ids=lambda page: page.name,
)
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    ran = 0
    for block in python_blocks(page):
        code = compiled(block, page)
        if block.runs:
            exec(code, namespace)
            ran += 1
    assert ran >= MINIMUM_BLOCKS.get(page.name, 0)


def test_pages_with_a_minimum_exist():
    assert set(MINIMUM_BLOCKS) <= {page.name for page in PAGES}


def test_a_wrong_statement_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```python\nvalue = 1\nassert value == 2\n```\n", encoding="utf-8")
    (block,) = python_blocks(page)
    with pytest.raises(AssertionError) as caught:
        exec(compiled(block, page), {})
    assert caught.traceback[-1].lineno + 1 == 5  # the line of the page


@pytest.mark.parametrize("fence", ["```python norun", "```py", "  ```python"])
def test_an_unusual_fence_is_found(fence, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{fence}\npass\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md"):
        python_blocks(page)


def test_figures_can_be_drawn(figures, tmp_path):
    committed = {path.name for path in (ROOT / "docs" / "figures").iterdir()}
    drawn = [figures.draw_figure(name, tmp_path / "figures") for name in figures.FIGURES]
    assert {path.name for path in drawn} == committed
    assert {path.name for path in (tmp_path / "figures").iterdir()} == committed
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert 10_000 < path.stat().st_size < 150_000, path.name


def test_figures_are_used():
    used = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in targets(page)
        if target.endswith(".png")
    }
    unused = set((ROOT / "docs" / "figures").resolve().iterdir()) - used
    assert not unused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page):
    for target in targets(page):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert linked.is_relative_to(ROOT), f"{page.name} links out of the repository: {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), f"{page.name} links to {target}"

"""The generated pages are what the committed results give."""

import json
import shutil

import pytest

from benchmarks import pages
from benchmarks.commands import ROOT
from benchmarks.markdown import put_between_marks

BLOCKS = {
    "README.md": ["results"],
    "docs/benchmarks/comparison.md": ["comparison", "rivals", "ablation", "synthetic_knees", "redrawn_knees"],
    "docs/benchmarks/network.md": ["variants"],
    "docs/benchmarks/speed.md": ["speed", "gpu", "gpu-before", "gpu-layouts", "depthwise"],
    "docs/explanation/cpu.md": ["paths", "busy"],
    "docs/explanation/memory.md": ["fit", "gpu-fit", "voxels", "kept", "compiled"],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The pages without their generated blocks, and then with them."""
    root = tmp_path_factory.mktemp("pages")
    for page, blocks in BLOCKS.items():
        (root / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, root / page)
        for block in blocks:
            put_between_marks(root / page, block, "")
    pages.write_pages(root)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("page", BLOCKS)
def test_page(written, page):
    assert (written / page).read_text(encoding="utf-8") == (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for _, _, name, _ in pages.COMPARISONS.values()])
def test_comparison_files(written, name):
    files = [root / "benchmarks" / "results" / name for root in (written, ROOT)]
    tables = [json.loads(file.with_suffix(".json").read_text()) for file in files]
    assert tables[0] == tables[1]
    texts = [file.with_suffix(".md").read_text(encoding="utf-8") for file in files]
    assert texts[0] == texts[1]


def test_a_page_without_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- results -->\n")
    with pytest.raises(ValueError, match="page must hold <!-- results --> and <!-- /results -->, got "):
        put_between_marks(page, "results", "text")

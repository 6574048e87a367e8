"""The tests and paths that documents name exist."""

import re

import pytest
from harness import ROOT

SOURCES = ["types", "protocol", "listener", "metanode", "datanode", "gateway", "sim", "src", "tests"]
# `path::name`, as in `metanode/src/block_manager/tests/drain.rs::a_node_is_drained`.
NAMED = re.compile(r"`([\w./-]+\.(?:rs|py))::(\w+)`")


@pytest.mark.parametrize("document", ["docs/block-store.md"])
def test_every_test_that_a_document_names_exists(document):
    text = (ROOT / document).read_text()
    named = NAMED.findall(text)
    assert named, "the document names no tests"
    missing = []
    for path, name in named:
        file = ROOT / path
        if not file.exists() or not re.search(rf"\b(fn|def) {name}\b", file.read_text()):
            missing.append(f"{path}::{name}")
    assert not missing
    assert all(path.split("/")[0] in SOURCES for path, _ in named)


def test_every_row_of_the_block_store_has_a_test():
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", (ROOT / "docs/block-store.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 40))
    # These rows have no test: they describe no behaviour, or a later issue implements them.
    without = {int(number) for number, row in rows if not NAMED.search(row)}
    assert without <= {34, 36}


# A path in the repository, such as `metanode/src/store`; patterns and absolute paths do not match.
PATH = re.compile(r"`((?:[a-z_]+/)+[\w.-]*)`")


DOCUMENTS = [str(page.relative_to(ROOT)) for folder in [ROOT, ROOT / "docs"] for page in sorted(folder.glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document):
    """ARCHITECTURE.md named files that had been renamed, and readers did not find them."""
    roots = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = [path for path in PATH.findall((ROOT / document).read_text()) if path.split("/")[0] in roots]
    assert [path for path in named if not (ROOT / path).exists() and not (ROOT / f"{path}.rs").exists()] == []

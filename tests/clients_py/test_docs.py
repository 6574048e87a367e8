"""Documents that name tests name tests that there are."""

import re

import pytest
from harness import ROOT

SOURCES = ["protocol", "metanode", "datanode", "gateway", "sim", "src", "tests"]
# `path::name`, as in `metanode/src/block_manager/tests/drain.rs::a_node_is_drained`.
NAMED = re.compile(r"`([\w./-]+\.(?:rs|py))::(\w+)`")


@pytest.mark.parametrize("document", ["docs/block-store.md"])
def test_every_test_that_is_named_is_there(document):
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
    # What a later issue builds, and what is no behaviour, says so in words.
    without = {int(number) for number, row in rows if not NAMED.search(row)}
    assert without <= {25, 34, 36}

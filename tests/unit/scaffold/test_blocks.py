from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from handrail.scaffold.blocks import appended, find_block, replaced, without_block
from handrail.scaffold.yaml_list import added_item

pytestmark = pytest.mark.unit

ITEM = "  - repo: local\n    hooks:\n      - id: ours\n"
FILES = {
    "indented": "repos:\n  - repo: a   # kept\n    hooks:\n      - id: x\n",
    "not indented": "repos:\n- repo: a\n  hooks:\n  - id: x\n",
    "keys after it": "# top\nrepos:\n  - repo: a\n    hooks: [{id: x}]\n\n# about ci\nci:\n  skip: [x]\n",
    "keys before it": "ci:\n  skip: [x]\nrepos:\n  - repo: a\n    hooks: []\n",
    "no line end": "repos:\n  - repo: a\n    hooks: []",
    "empty list": "repos: []\nci: {}\n",
    "empty file": "",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_an_item_is_added_and_every_line_of_the_file_stays(text: str) -> None:
    result = added_item(text, "repos", ITEM)
    assert result is not None
    block = find_block(result)
    assert block is not None
    document = YAML().load(result)
    assert document["repos"][-1]["hooks"][0]["id"] == "ours"
    before = YAML().load(text) or {}
    assert {key: document[key] for key in before if key != "repos"} == {k: before[k] for k in before if k != "repos"}
    rest = result[: block.start] + result[block.end :]
    assert rest.rstrip("\n") == text.replace("repos: []", "repos:").rstrip("\n") or rest == "repos:\n"


@pytest.mark.parametrize("text", ["- a\n", "repos: {a: 1}\n", "repos: [{repo: a}]\n", "repos:\n  - [\n", "other: 1\n"])
def test_what_has_no_plain_list_is_left_to_people(text: str) -> None:
    assert added_item(text, "repos", ITEM) is None


def test_only_the_block_is_replaced() -> None:
    text = appended("mine\n", "one\n") + "mine too\n"
    changed = replaced(text, "two\n")
    assert changed == text.replace("one\n", "two\n")
    assert without_block(changed) == "mine\n\nmine too\n"
    with pytest.raises(ValueError, match="no block"):
        replaced("mine\n", "two\n")

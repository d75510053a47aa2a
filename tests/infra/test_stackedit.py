"""Edits of stack files: the entry changes, and every other byte of the file stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from forestay.errors import InputError, OutsideError
from infra import stackedit

ROOT = Path(__file__).parents[2]
API = stackedit.service_path("api")
SERVICE = {
    "target": "aci",
    "image": "a.io/b@sha256:" + "a" * 64,
    "version": "1",
    "keys": {"primary": {"secure": "v1:x"}},
}
TEXT = """\
# The models served in development.

secretsprovider: azurekeyvault://kv.vault.azure.net/keys/pulumi  # team's
encryptedkey: AAAA==
config:
    azure-native:location:   westeurope
    # a token of another provider
    other:token:
        secure: "v1:abc:def"
    forestay:services:
        # the oldest one
        churn:    # do not touch
            target: aci
            keys: {primary: {secure: v1:p}, secondary: {secure: v1:s}}
            version: 1.10
              # said below its last line

        # about the next
        api:
            target: aks
            note: |
                two
                  lines

    forestay:tags: {owner: 'ml-team',
      costCenter: "0100"}
"""


def test_an_entry_is_replaced_and_its_neighbours_stay() -> None:
    after = stackedit.put(TEXT, API, SERVICE)
    assert stackedit.get(after, API) == SERVICE
    head, _, _ = TEXT.partition("        api:")
    assert after.startswith(head + "        api:\n          target: aci\n")
    assert after.endswith("\n\n    forestay:tags: {owner: 'ml-team',\n      costCenter: \"0100\"}\n")


def test_old_lines_are_put_back_as_they_were() -> None:
    for name in ("api", "churn"):
        path = stackedit.service_path(name)
        old = stackedit.lines_of(TEXT, path)
        assert old is not None
        assert stackedit.put_lines(stackedit.put(TEXT, path, SERVICE), path, old) == TEXT
        gone = stackedit.remove(TEXT, path)
        assert name not in (stackedit.get(gone, path[:-1]) or {})
        assert "said below" in gone or name == "churn"


def test_an_entry_is_added_and_taken_out_again() -> None:
    new = stackedit.service_path("new-one")
    after = stackedit.put(TEXT, new, SERVICE)
    assert list(stackedit.get(after, new[:-1])) == ["churn", "api", "new-one"]
    assert stackedit.remove(after, new) == TEXT
    for stack in ("dev", "prod"):  # no service yet: the section comes and goes with it
        text = (ROOT / "stacks" / f"Pulumi.{stack}-services.yaml").read_text(encoding="utf-8")
        after = stackedit.put(text, new, SERVICE)
        assert after.startswith(text)
        assert stackedit.remove(after, new) == text


@pytest.mark.parametrize("held", ["{}", "", "{churn: {target: aci}}", " # none yet"])
def test_a_section_without_lines_gets_some(held: str) -> None:
    text = f"config:\n  a:b: 1\n  forestay:services: {held}\n  c:d: 2  # last\n"
    after = stackedit.put(text, API, SERVICE)
    assert stackedit.get(after, API) == SERVICE
    assert stackedit.get(after, stackedit.service_path("churn")) == ({"target": "aci"} if "churn" in held else None)
    assert after.startswith("config:\n  a:b: 1\n  forestay:services:\n    ")
    assert after.endswith("\n  c:d: 2  # last\n")


def test_keys_at_the_left_edge() -> None:
    text = (ROOT / "stacks" / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    after = stackedit.put(text, ("secretsprovider",), "azurekeyvault://kv.vault.azure.net/keys/pulumi")
    first, rest = text.split("config:")
    assert after == f"{first}secretsprovider: azurekeyvault://kv.vault.azure.net/keys/pulumi\nconfig:{rest}"
    project = (ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
    after = stackedit.put(project, ("backend", "url"), "azblob://state?storage_account=st")
    assert after == project + "backend:\n  url: azblob://state?storage_account=st\n"
    assert stackedit.put(after, ("backend", "url"), "file://x").endswith("backend:\n  url: file://x\n")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_and_a_missing_last_one_are_kept(newline: str) -> None:
    text = TEXT.replace("\n", newline).rstrip()
    new = ("config", "forestay:stem")
    after = stackedit.put(text, new, "churn")
    assert after.startswith(text + newline)
    assert not re.search("(?<!\r)\n", after) or newline == "\n"


@pytest.mark.parametrize(
    "text",
    [
        "{config: {a: 1}}\n",
        "config:\n  forestay:services: 3\n",
        "config:\n  forestay:services: {a: &x {b: 1},\n c: 2}\n  other: *x\n",
    ],
)
def test_what_can_not_be_edited_by_lines_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="can't be edited") as error:
        stackedit.put(text, API, SERVICE)
    assert "one key a line" in error.value.problems[0].fix


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_bytes(b"config: {}\r\n")
    before = stackedit.read(path)
    assert before == "config: {}\r\n"
    path.write_text("config:\n  a: 1\n", encoding="utf-8")
    with pytest.raises(OutsideError, match="somebody else"):
        stackedit.write(path, before, "config: {b: 2}\n")
    assert path.read_text(encoding="utf-8") == "config:\n  a: 1\n"


NAMES = st.from_regex(r"[a-z][a-z0-9-]{1,10}[a-z0-9]", fullmatch=True)
SCALARS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff\ufffe\uffff")),
    st.sampled_from(["yes", "off", "1.10", "0o17", "1e3", "2026-01-01", "~", "null", "a: b", "#x", "12:30", "- a", ""]),
    st.integers(-(10**6), 10**6),
    st.booleans(),
)
VALUES = st.dictionaries(
    NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(NAMES, SCALARS, max_size=2)), min_size=1
)
COMMENTS = st.sampled_from(["", "    # about it\n", "\n", "  # said\n\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A stack file with services, comments anywhere, in block or flow form."""
    services = draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
    lines = "# head\nencryptionsalt: v1:salt\nconfig:\n  azure-native:location: 'westeurope'\n  forestay:services:\n"
    for name, value in services.items():
        lines += draw(COMMENTS)
        flow = draw(st.booleans())
        dumped = yaml.safe_dump({name: value}, default_flow_style=None if flow else False, width=2**31)
        lines += "".join(f"    {line}\n" for line in dumped.splitlines())
    lines += draw(COMMENTS) + "  other:key:\n    secure: v1:zzz   # kept\n"
    return lines, services


@settings(deadline=None, max_examples=60)
@given(files(), NAMES, VALUES, st.data())
def test_nothing_but_the_entry_changes(found: tuple[str, dict[str, Any]], name: str, value: Any, data: Any) -> None:
    text, services = found
    name = data.draw(st.one_of(st.just(name), st.sampled_from(sorted(services))))
    path = stackedit.service_path(name)
    after = stackedit.put(text, path, value)
    assert stackedit.get(after, path) == value
    assert yaml.safe_load(after)["config"]["forestay:services"] == {**services, name: value}
    kept = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in after.splitlines() if line in kept] == kept or name in services
    old = stackedit.lines_of(text, path)
    back = stackedit.remove(after, path) if old is None else stackedit.put_lines(after, path, old)
    assert back == text

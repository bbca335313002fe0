"""A target is everything merged, and no host of a dangerous form gets into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config.load import load_project
from handrail.config.target import Address, Target, may_be_one, parse_address, resolve
from handrail.config.values import load_values
from handrail.errors import ConfigError, UsageError

pytestmark = pytest.mark.unit

PROJECT = """\
[tool.handrail]
app = "shop"
build.python = "3.11"
[tool.handrail.service]
command = "shop"
[tool.handrail.environments.staging]
hosts = [
    "${WHO}@${STAGING_HOST}",
    "[::1]:2222",
]
notify = ["CHAT_URL", "MAIL_URL"]
url = "https://${STAGING_HOST}"
[tool.handrail.environments.other]
hosts = ["a.example"]
manager = "supervisor"
port = 9000
python = "3.12"
root = "${STAGING_ROOT}"
"""


def target(root: Path, name: str = "staging", **process: str) -> Target:
    (root / "pyproject.toml").write_text(PROJECT)
    return resolve(load_project(root), name, load_values(root, name, process=process))


def test_everything_is_merged_and_expanded(tmp_path: Path) -> None:
    found = target(tmp_path, WHO="ann", STAGING_HOST="a.example", CHAT_URL="slack://x", MAIL_URL="")

    assert found.hosts == ["ann@a.example", "[::1]:2222"]
    assert found.url == "https://a.example"
    assert (found.app, found.environment, found.python) == ("shop", "staging", "3.11")
    assert (found.manager, found.port, found.root, found.keep) == ("systemd", 8000, "~/apps", 5)
    assert [url.reveal() for url in found.notify] == ["slack://x"]
    assert found.warnings == ["pyproject.toml:11: MAIL_URL is not set, so nobody is notified through it"]


def test_an_environment_overrides_the_service(tmp_path: Path) -> None:
    found = target(tmp_path, "other", STAGING_ROOT="/srv/apps")

    assert (found.manager, found.port, found.python, found.root) == ("supervisor", 9000, "3.12", "/srv/apps")
    assert found.service is not None
    assert (found.service.manager, found.service.port) == ("supervisor", 9000)


def test_a_root_is_checked_after_it_is_expanded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^pyproject.toml:18: root is '/srv; true', expected a folder"):
        target(tmp_path, "other", STAGING_ROOT="/srv; true")


def test_an_unset_variable_is_named_with_the_line_of_its_host(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^pyproject.toml:8: \$\{STAGING_HOST\} is not set"):
        target(tmp_path, WHO="ann")


def test_a_host_that_is_none_after_expansion_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^pyproject.toml:8: host 'ann@a;b': expected \[user@\]host"):
        target(tmp_path, WHO="ann", STAGING_HOST="a;b")


def test_a_host_named_twice_is_refused(tmp_path: Path) -> None:
    text = PROJECT.replace('"[::1]:2222"', '"ann@a.example"')
    (tmp_path / "pyproject.toml").write_text(text)
    values = load_values(tmp_path, "staging", process={"WHO": "ann", "STAGING_HOST": "a.example"})

    with pytest.raises(ConfigError, match=r"^pyproject.toml:9: host 'ann@a.example' is named twice$"):
        resolve(load_project(tmp_path), "staging", values)


@pytest.mark.security
def test_a_secret_in_a_host_is_masked_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "example.env").write_text("# secret: yes\nSTAGING_HOST=\n")

    with pytest.raises(ConfigError) as caught:
        target(tmp_path, WHO="ann", STAGING_HOST="hidden token")

    assert "hidden" not in caught.value.message


def test_a_mistyped_environment_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'staging'"):
        target(tmp_path, "stagin")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a", Address("a")),
        ("ann@a.example:2222", Address("a.example", "ann", 2222)),
        ("10.0.0.1", Address("10.0.0.1")),
        ("web_1-x", Address("web_1-x")),
        ("[fe80::1%eth0]", Address("fe80::1%eth0")),
        ("ann@[::1]:22", Address("::1", "ann", 22)),
    ],
)
def test_an_address_is_taken_apart(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.security
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a b", "a;b", "a|b", "$(id)", "`id`", "a\nb", "a\n", "a&b", "a>b", "a'b", 'a"b', "a/b", "a\\b",
        "-oProxyCommand=id", "ann@-oProxyCommand=id", "-l@a", "a@b@c", "@a", "a:", "a:x", "a:0", "a:65536",
        "::1", "[::1", "[1.2.3.4]", "[nonsense]", "a:1:2", "ä.example", "a٣", "a:٣", "a.",
    ],
)  # fmt: skip
def test_a_host_of_another_form_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(text)

    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("text", "near"), [("::1", "[::1]"), ("ssh://ann@a.example/", "ann@a.example"), (" a ", "a")])
def test_a_host_that_is_nearly_right_gets_the_right_form(text: str, near: str) -> None:
    with pytest.raises(ConfigError, match="did you mean ") as caught:
        parse_address(text)

    assert f"did you mean {near!r}?" in caught.value.message


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        ("web1", "web1", True),
        ("deploy@web1.example.com", "web1.example.com", True),
        ("deploy@web1:22", "Web1", True),
        ("deploy@web1", "root@web1", False),
        ("web1:22", "web1:2222", False),
        ("web1", "web1.example.com", False),
    ],
)
def test_what_one_spelling_of_a_host_leaves_open_another_may_say(one: str, other: str, may: bool) -> None:
    assert may_be_one(one, other) is may
    assert may_be_one(other, one) is may

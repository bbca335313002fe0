from __future__ import annotations

import logging
import sys
import types
from typing import Any

import pytest

from handrail.config.secret import Secret
from handrail.deploy.notify import notify

pytestmark = pytest.mark.unit

TOKEN = "very-secret-token"


class Warnings:
    """Takes only warnings: a notification has nothing else to say."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def fake_apprise(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Install a module that answers by URL: None (unknown), False (refused), True (sent), an exception."""
    sent: list[tuple[str, str, str]] = []

    class Apprise:
        url = ""

        def add(self, url: str) -> bool:
            logging.getLogger("apprise").error("cannot load %s", url)
            self.url = url
            return answers[url] is not None

        def notify(self, title: str, body: str) -> bool:
            answer = answers[self.url]
            if isinstance(answer, Exception):
                raise answer
            sent.append((self.url, title, body))
            return bool(answer)

    module = types.ModuleType("apprise")
    module.Apprise = Apprise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", module)
    return sent


def test_every_url_gets_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = fake_apprise(monkeypatch, {"a://": True, "b://": True})
    printer = Warnings()

    assert notify([Secret("a://"), Secret("b://")], "shop", "is out", printer)  # type: ignore[arg-type]

    assert sent == [("a://", "shop", "is out"), ("b://", "shop", "is out")]
    assert printer.texts == []


def test_one_that_fails_does_not_keep_the_others_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"a://": None, "b://": False, "c://": RuntimeError("boom"), "d://": True}
    sent = fake_apprise(monkeypatch, answers)
    printer = Warnings()

    assert not notify([Secret(url) for url in answers], "shop", "is out", printer)  # type: ignore[arg-type]

    assert [url for url, _, _ in sent] == ["b://", "d://"]
    assert [text.split(" was ")[0] for text in printer.texts] == [
        "notification 1 of 4",
        "notification 2 of 4",
        "notification 3 of 4",
    ]


@pytest.mark.security
def test_the_token_in_a_url_is_in_no_warning_and_no_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"slack://{TOKEN}"
    for answer in (None, False, RuntimeError(url)):
        fake_apprise(monkeypatch, {url: answer})
        printer = Warnings()

        notify([Secret(url)], "shop", "is out", printer)  # type: ignore[arg-type]

        assert len(printer.texts) == 1
        assert TOKEN not in printer.texts[0]
    assert TOKEN not in caplog.text


def test_without_apprise_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    printer = Warnings()

    assert not notify([Secret("a://")], "shop", "is out", printer)  # type: ignore[arg-type]

    assert "handrail[notify]" in printer.texts[0]


def test_without_urls_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    printer = Warnings()

    assert notify([], "shop", "is out", printer)  # type: ignore[arg-type]

    assert printer.texts == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_real_apprise_refuses_an_unknown_url_with_a_warning() -> None:
    pytest.importorskip("apprise")
    printer = Warnings()

    assert not notify([Secret(f"nosuchservice://{TOKEN}")], "shop", "is out", printer)  # type: ignore[arg-type]

    assert printer.texts == ["notification 1 of 1 was not sent: its URL is none that apprise knows"]

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from handrail.errors import DeployFailedError
from handrail.ui.json_printer import JsonPrinter

pytestmark = pytest.mark.unit


def documents(act: Any) -> tuple[Any, str]:
    """Return the one document and what went to the error stream."""
    out, err = io.StringIO(), io.StringIO()
    printer = JsonPrinter(out=out, err=err, environ={})
    act(printer)
    printer.close()
    printer.close()
    return json.loads(out.getvalue()), err.getvalue()


def test_only_the_document_goes_to_standard_output() -> None:
    def act(printer: JsonPrinter) -> None:
        printer.info("hello")
        printer.table("t", ["a"], [["1"]])
        printer.result({"state": "ok", "path": Path("/srv")})
        printer.success("done")

    document, spoken = documents(act)
    assert document == {"state": "ok", "path": "/srv"}
    assert "hello" in spoken
    assert "done" in spoken


def test_a_failure_is_part_of_the_document() -> None:
    def act(printer: JsonPrinter) -> None:
        printer.result({"state": "mixed"})
        printer.failure(DeployFailedError("broke", host="web-1", lines=["x"]), "deploy", "inv deploy", "gh run 1")

    document, spoken = documents(act)
    assert document["state"] == "mixed"
    assert document["exit_code"] == document["error"]["exit_code"] == 4
    assert document["error"]["host"] == "web-1"
    assert document["error"]["again"] == "inv deploy"
    assert "deploy failed: broke" in spoken


def test_a_task_that_describes_its_own_failure_is_not_overruled() -> None:
    def act(printer: JsonPrinter) -> None:
        printer.result({"exit_code": 9, "error": {"message": "its own"}})
        printer.failure(DeployFailedError("broke", command="make", lines=["x"]), "deploy", "inv deploy", "")

    document = documents(act)[0]
    assert document["exit_code"] == 9
    assert document["error"]["message"] == "its own"
    assert document["error"]["command"] == "make"
    assert document["error"]["lines"] == ["x"]


def test_a_task_without_a_result_still_leaves_one_document() -> None:
    assert documents(lambda printer: None)[0] == {}


def test_secrets_are_masked_inside_the_document_whatever_json_makes_of_them() -> None:
    secret = 'quote"back\\slash'

    def act(printer: JsonPrinter) -> None:
        printer.hide([secret])
        printer.result({"a": [secret], secret: {"b": f"x {secret} y"}, "n": 1, "t": True, "z": None})

    document, _ = documents(act)
    assert secret not in str(document)
    assert (document["n"], document["t"], document["z"]) == (1, True, None)

"""Row 7: disk or inodes run out. The app lies on a small file system of its own, which is filled for real."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_preflight_refuses_a_full_disk(suffer) -> None:
    outcome = suffer("disk full before")
    assert (outcome.returncode, outcome.word) == (3, "old")
    assert "MiB free" in outcome.client.stderr


@pytest.mark.parametrize("name", ["disk full while unpacking", "inodes used up while unpacking"])
def test_nothing_is_switched_when_it_happens_all_the_same(suffer, scene_for, name: str) -> None:
    outcome = suffer(name, "begun")
    assert (outcome.returncode, outcome.word) == (4, "old")
    assert "No space left on device" in outcome.client.stderr
    scene = scene_for(1, "restart", True)
    host = scene.hosts[0]
    releases = set(host.run_as_root(f"ls {scene.folder}/releases").split())
    good = {entry["release"] for entry in scene.history(host) if entry["result"] == "good"}
    assert releases <= good, "a partial release was left"


@pytest.mark.parametrize("strategy", ["restart", "blue-green"])
def test_a_host_whose_client_dies_returns_although_its_disk_is_full(suffer, strategy: str) -> None:
    assert suffer("disk full and client killed", "activated", strategy=strategy).word == "old"


@pytest.mark.parametrize("name", ["disk full after activation", "inodes used up after activation"])
def test_a_host_whose_disk_fills_after_activation_decides_all_the_same(suffer, name: str) -> None:
    suffer(name, "activated")

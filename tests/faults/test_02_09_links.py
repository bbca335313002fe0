"""Rows 2 and 9: death between making a link and renaming it; no moment without ``current``."""

from __future__ import annotations

import subprocess

import pytest

from handrail.testing.container import ContainerHost

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Says at the end how often the link was looked at, and how often it was not there.
WATCH = """
import os, sys, threading
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
looks = missing = 0
print("ready", flush=True)
while not done.is_set():
    looks += 1
    try:
        os.readlink(sys.argv[1])
    except OSError:
        missing += 1
print(looks, missing)
"""


def test_a_link_that_a_dead_deploy_left_is_never_published_and_is_swept(suffer, scene_for) -> None:
    assert suffer("a dead deploy's link").word == "new"
    scene = scene_for(1)
    left = scene.hosts[0].run_as_root(f"ls {scene.folder} {scene.folder}/releases")
    assert ".tmp" not in left
    assert "999-dead" not in left


def test_there_is_no_moment_without_current(scene_for, container_host: ContainerHost) -> None:
    scene = scene_for(1)
    words = ["docker", "exec", "--interactive", container_host.container, "python3", "-c", WATCH]
    watcher = subprocess.Popen([*words, f"{scene.folder}/current"], stdin=-1, stdout=-1, text=True)
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "ready\n"
    assert scene.deploy_good() == []
    scene.project.rollback()
    told, _ = watcher.communicate(timeout=30)
    looks, missing = map(int, told.split())
    assert looks > 10_000
    assert missing == 0
    assert scene.deploy_good() == []

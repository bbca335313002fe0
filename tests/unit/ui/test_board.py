from __future__ import annotations

import io

import pytest
from rich.console import Console

from handrail.ui.board import PlainBoard
from handrail.ui.board_table import board_table
from handrail.ui.progress import Progress

pytestmark = pytest.mark.unit

PHASES = ["connect", "preflight", "upload", "prepare", "migrate", "activate", "verify", "commit"]


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(progress: Progress, *, width: int = 80, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, force_terminal=False)
    now, phases, rows = progress.snapshot()
    console.print(board_table(now, phases, rows, width=width, height=height))
    output = console.file
    assert isinstance(output, io.StringIO)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_plain_lines_name_host_phase_and_seconds() -> None:
    lines: list[str] = []
    with PlainBoard(["web-1", "web-10"], PHASES, lines.append) as board:
        board.start("web-1", "upload")
        board.finish("web-1", "upload", 1.23)
        board.fail("web-10", "verify", "no answer")
        board.note("web-1", "release 13")
    assert lines == [
        "web-1   upload        1.2 s",
        "web-10  verify     failed: no answer",
        "web-1              release 13",
    ]


def test_plain_lines_of_many_hosts_are_one_line_a_phase_and_each_failure() -> None:
    lines: list[str] = []
    hosts = [f"web-{number}" for number in range(30)]
    with PlainBoard(hosts, PHASES, lines.append) as board:
        for number, host in enumerate(hosts):
            board.finish(host, "upload", 1.0 + number)
        for host in hosts[:-1]:
            board.finish(host, "verify", 2.0)
            board.note(host, "release 13")
        board.fail(hosts[-1], "verify", "no answer")
        assert [line.split() for line in lines] == [
            ["30", "of", "30", "hosts", "upload", "30.0", "s", "at", "most"],
            ["web-29", "verify", "failed:", "no", "answer"],
        ]
    assert [line.split() for line in lines[2:]] == [
        ["29", "of", "30", "hosts", "verify", "2.0", "s", "at", "most"],
        ["29", "of", "30", "hosts", "release", "13"],
    ]


def test_seconds_of_a_running_phase_and_the_total_grow_with_the_clock() -> None:
    clock = Clock()
    progress = Progress(["web-1"], ["upload", "verify"], clock)
    progress.start("web-1", "upload")
    clock.now += 2
    progress.finish("web-1", "upload", 2.0)
    clock.now += 1
    progress.start("web-1", "verify")
    clock.now += 4
    now, _, (row,) = progress.snapshot()
    assert (row.state, row.phase) == ("running", "verify")
    assert row.cells["verify"].seconds == 4
    assert row.total(now) == 7
    progress.finish("web-1", "verify", 4.0)
    clock.now += 50
    now, _, (row,) = progress.snapshot()
    assert row.state == "done"
    assert row.total(now) == 7


def test_a_host_with_a_failed_phase_has_failed_and_says_why() -> None:
    progress = Progress(["web-1"], ["upload", "verify"], Clock())
    progress.finish("web-1", "upload", 1.0)
    progress.fail("web-1", "verify", "no answer")
    _, _, (row,) = progress.snapshot()
    assert (row.state, row.phase, row.remark) == ("failed", "verify", "no answer")


def test_a_phase_or_host_that_was_not_announced_is_added() -> None:
    progress = Progress(["web-1"], ["upload"], Clock())
    progress.start("web-2", "return")
    _, phases, rows = progress.snapshot()
    assert phases == ["upload", "return"]
    assert [row.host for row in rows] == ["web-1", "web-2"]


def test_a_wide_terminal_shows_hosts_by_phases() -> None:
    progress = Progress(["web-1", "web-2"], PHASES, Clock())
    progress.finish("web-1", "connect", 0.5)
    progress.fail("web-2", "connect", "refused")
    lines = drawn(progress, width=120)
    assert lines[0].split() == ["host", *PHASES, "total"]
    assert lines[2].split()[:3] == ["web-1", "0.5", "s"]
    assert lines[3].split()[:2] == ["web-2", "failed"]
    assert lines[4] == "web-2: refused"


def test_a_narrow_terminal_shows_few_hosts_as_columns() -> None:
    progress = Progress(["web-1", "web-2"], PHASES, Clock())
    progress.finish("web-1", "connect", 0.5)
    lines = drawn(progress)
    assert lines[0].split() == ["phase", "web-1", "web-2"]
    assert lines[2].split() == ["connect", "0.5", "s", "·"]
    assert len(lines) == 2 + len(PHASES) + 1


def test_a_narrow_terminal_shows_several_hosts_with_their_phase() -> None:
    progress = Progress([f"web-{number}" for number in range(6)], PHASES, Clock())
    progress.start("web-0", "upload")
    lines = drawn(progress)
    assert lines[2].split() == ["web-0", "upload", "3/8", "0.0", "s"]
    assert lines[3].split() == ["web-1", "waiting", "0/8"]


@pytest.mark.parametrize("width", [80, 140])
def test_a_large_fleet_shows_the_hosts_that_need_attention_and_counts_the_others(width: int) -> None:
    progress = Progress([f"web-{number}" for number in range(60)], PHASES, Clock())
    for number in range(60):
        for phase in PHASES:
            if number != 59:
                progress.finish(f"web-{number}", phase, 1.0)
    progress.fail("web-59", "verify", "no answer")
    lines = drawn(progress, width=width, height=50)
    assert any("web-59" in line for line in lines)
    assert "40 more: 40 done" in lines
    assert len(lines) <= 26
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("hosts", [1, 3, 6, 60])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (140, 24)])
def test_the_table_fits_the_screen(hosts: int, width: int, height: int) -> None:
    progress = Progress([f"deploy@web-{number}.example.org" for number in range(hosts)], PHASES, Clock())
    progress.fail("deploy@web-0.example.org", "verify", "a long message " * 10)
    lines = drawn(progress, width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width

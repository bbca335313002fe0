"""pyproject.toml is read, or its mistake is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config.load import environment, find_root, load_project, place
from handrail.errors import ConfigError, UsageError

pytestmark = pytest.mark.unit

GOOD = """\
[project]
name = "shop"

[tool.handrail]
app = "shop"

[tool.handrail.service]
command = "gunicorn shop.wsgi --bind 127.0.0.1:{port}"
health = "/healthz"

[tool.handrail.environments.staging]
hosts = ["${STAGING_USER}@${STAGING_HOST}"]
keep = 3

[tool.handrail.environments.production]
hosts = ["a.example", "b.example"]
approval = true
"""


def write(root: Path, text: str | bytes) -> Path:
    file = root / "pyproject.toml"
    if isinstance(text, bytes):
        file.write_bytes(text)
    else:
        file.write_text(text, encoding="utf-8")
    return root


def failure(root: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load_project(write(root, text))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_project_is_read_with_its_defaults(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, GOOD))

    assert project.app == "shop"
    assert project.service is not None
    assert project.service.port == 8000
    assert project.environments["staging"].keep == 3
    assert project.environments["production"].hosts == ["a.example", "b.example"]
    assert project.checks.pythons == ["3.10", "3.11", "3.12", "3.13"]


def test_windows_line_ends_do_not_shift_the_line(tmp_path: Path) -> None:
    text = GOOD.replace("keep = 3", "kep = 3").replace("\n", "\r\n").encode()

    assert failure(tmp_path, text).startswith("pyproject.toml:13: unknown key 'kep'")


JOB = "[tool.handrail.service]\ncommand='x'\n[tool.handrail.processes.w]\ncommand='x'\n"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param(
            ("keep = 3", "kep = 3"),
            "pyproject.toml:13: unknown key 'kep' in [tool.handrail.environments.staging]; did you mean 'keep'?",
            id="unknown key in the first of two environments",
        ),
        pytest.param(
            ("approval = true", "aproval = true"),
            "pyproject.toml:17: unknown key 'aproval' in [tool.handrail.environments.production]"
            "; did you mean 'approval'?",
            id="unknown key in the second of two environments",
        ),
        pytest.param(
            ("[tool.handrail.service]", "[tool.handrail.servce]"),
            "pyproject.toml:7: unknown key 'servce' in [tool.handrail]; did you mean 'service'?",
            id="unknown table",
        ),
        pytest.param(
            ("keep = 3", 'keep = "3"'),
            "pyproject.toml:13: tool.handrail.environments.staging.keep is text in quotes,"
            " expected a whole number; did you mean 3?",
            id="text for a number",
        ),
        pytest.param(
            ("approval = true", 'approval = "true"'),
            "pyproject.toml:17: tool.handrail.environments.production.approval is text in quotes,"
            " expected true or false; did you mean true?",
            id="text for a truth value",
        ),
        pytest.param(
            ('hosts = ["a.example", "b.example"]', 'hosts = "a.example"'),
            "pyproject.toml:16: tool.handrail.environments.production.hosts is text in quotes,"
            ' expected a list; did you mean ["a.example"]?',
            id="text for a list",
        ),
        pytest.param(
            ('"b.example"]', "\n  7]"),
            "pyproject.toml:17: tool.handrail.environments.production.hosts[1] is a whole number,"
            ' expected text in quotes; did you mean "7"?',
            id="a number in a list of texts, on its own line",
        ),
        pytest.param(
            ('health = "/healthz"', 'manager = "sytemd"'),
            "pyproject.toml:9: tool.handrail.service.manager is 'sytemd',"
            " expected one of supervisor, systemd; did you mean 'systemd'?",
            id="a word outside the choice",
        ),
        pytest.param(
            ('hosts = ["a.example", "b.example"]', 'hosts = ["a.example"]\nmanager = "sytemd"'),
            "pyproject.toml:17: tool.handrail.environments.production.manager is 'sytemd',"
            " expected one of supervisor, systemd; did you mean 'systemd'?",
            id="a word outside an environment's choice, which may be left out",
        ),
        pytest.param(
            ('app = "shop"', ""),
            "pyproject.toml:4: [tool.handrail] needs the key 'app'",
            id="missing key",
        ),
        pytest.param(
            ('hosts = ["${STAGING_USER}@${STAGING_HOST}"]', ""),
            "pyproject.toml:11: [tool.handrail.environments.staging] needs the key 'hosts'",
            id="missing key in an environment",
        ),
        pytest.param(
            ('app = "shop"', 'app = "Shop; rm -rf /"'),
            "pyproject.toml:5: app is 'Shop; rm -rf /', expected lower-case letters, digits, - and _,"
            " a letter first, at most 63; did you mean 'shop-rm-rf'?",
            id="app name with shell metacharacters",
        ),
        pytest.param(
            ("127.0.0.1:{port}", "127.0.0.1:{prot}"),
            "pyproject.toml:8: command names {prot}, expected {port} or {app}",
            id="mistyped placeholder",
        ),
        pytest.param(
            ("127.0.0.1:{port}", "127.0.0.1:{port} > log"),
            "pyproject.toml:8: > needs a shell, and commands run without one; put it into a script",
            id="shell operator",
        ),
        pytest.param(
            ('command = "gunicorn', "command = \"guni'corn"),
            "pyproject.toml:8: the command cannot be split into words: no closing quotation",
            id="open quote in a command",
        ),
        pytest.param(
            ('health = "/healthz"', "port = 70000"),
            "pyproject.toml:9: port is 70000, expected 1 to 65535",
            id="port out of range",
        ),
        pytest.param(
            ('health = "/healthz"', f"port = 0x{'f' * 6000}"),
            "pyproject.toml:9: port is a number of more than 15 digits, expected 1 to 65535",
            id="a number too long to print",
        ),
        pytest.param(
            ('health = "/healthz"', "health_timeout = nan"),
            "pyproject.toml:9: health_timeout is nan, expected seconds, more than 0 and at most 86400",
            id="not a number of seconds",
        ),
        pytest.param(
            ("keep = 3", "keep = 0"),
            "pyproject.toml:13: keep is 0, expected 1 to 1000",
            id="keeping nothing to return to",
        ),
        pytest.param(
            ("keep = 3", 'python = "3.11.4"'),
            "pyproject.toml:13: Python version '3.11.4', expected a minor version such as '3.12'; did you mean '3.11'?",
            id="full Python version",
        ),
        pytest.param(
            ("keep = 3", 'root = "~/apps/../.."'),
            "pyproject.toml:13: root is '~/apps/../..', expected a folder that starts with ~/ or /, without ..",
            id="root that climbs",
        ),
        pytest.param(
            ('hosts = ["a.example", "b.example"]', "hosts = []"),
            "pyproject.toml:16: hosts is empty, expected at least one [user@]host[:port]",
            id="no hosts",
        ),
        pytest.param(
            ("environments.staging", "environments.example"),
            "pyproject.toml:11: environment 'example' is taken by the contract, env/example.env;"
            " expected letters, digits, - and _",
            id="environment named like the contract",
        ),
        pytest.param(
            ("environments.staging", 'environments."../x"'),
            "pyproject.toml:11: environment '../x' is not a name; expected letters, digits, - and _",
            id="environment that would leave env/",
        ),
        pytest.param(
            ("keep = 3", 'notify = ["slack://token@a/b"]'),
            "pyproject.toml:13: notify takes names of variables, and the URL goes into the variable",
            id="notification URL in place of a variable",
        ),
    ],
)
def test_a_mistake_is_named_with_line_and_nearest_valid_thing(
    tmp_path: Path, wrong: tuple[str, str], expected: str
) -> None:
    assert wrong[0] in GOOD

    message = failure(tmp_path, GOOD.replace(*wrong, 1))

    assert message == expected


@pytest.mark.parametrize(
    ("wrong", "line"), [(("keep = 3", "keep = "), 13), (("approval = true", 'hooks = """'), 17), (("a", "["), 2)]
)
def test_toml_that_does_not_parse_is_named_with_its_line(tmp_path: Path, wrong: tuple[str, str], line: int) -> None:
    assert failure(tmp_path, GOOD.replace(*wrong, 1)).startswith(f"pyproject.toml:{line}: not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[tool.handrail.smoke]]\npath='/'\n[[tool.handrail.smoke]]\npath='x'\n", ":6: path is 'x'"),
        ("[[tool.handrail.smoke]]\npath='/'\nbody='('\n", ":5: '(' is not a regular expression"),
        ("[tool.handrail.hooks]\nbefore_build=['true',\n '']\n", ":5: the command is empty"),
        ("[tool.handrail.service]\ncommand='x'\nshared=['../x']\n", ":5: '../x' is not a relative path"),
        (
            "[tool.handrail.service]\ncommand='x'\n[tool.handrail.processes.web]\ncommand='x'\n",
            ":5: process 'web' is taken",
        ),
        (
            # Its launcher would be the one that lowers the schema.
            "[tool.handrail.service]\ncommand='x'\n[tool.handrail.processes.migrate-down]\ncommand='x'\n",
            ":5: process 'migrate-down' is taken",
        ),
        ("[tool.handrail.service]\ncommand='x'\n[tool.handrail.processes.w]\ncommand='x | y'\n", ":6: | needs a shell"),
        ("[tool.handrail.processes.w]\ncommand='x'\n", ":3: processes run beside a service"),
        (JOB + "schedule='0 24 * * *'\n", ":7: schedule is '0 24 * * *': hour is '24', expected 0 to 23"),
        (JOB + "schedule='@daily'\ninstances=2\n", ":8: instances is for processes that go on running"),
        (JOB + "hosts='all'\n", ":7: hosts is for periodic jobs: it needs a schedule"),
        (JOB + "schedule='@daily'\ntimeout=-1\n", ":8: timeout is -1.0, expected seconds"),
        (JOB + "unit={ MemoryMx = '1G' }\n", ":7: unit directive 'MemoryMx' is unknown; did you mean 'MemoryMax'?"),
        (
            JOB + "unit={ ExecStartPre = 'x' }\n",
            ":7: unit directive 'ExecStartPre' cannot be set here: a unit starts the release's launcher",
        ),
        (JOB + "unit={ User = 'root' }\n", ":7: unit directive 'User' cannot be set here: it is the user who deploys"),
        (JOB + 'unit={ MemoryMax = "1G\\nExecStartPre=x" }\n', ":7: MemoryMax holds a control character"),
        ("[tool.handrail.checks]\npythons=['2.7']\n", ":4: Python version '2.7'"),
        ("[tool.handrail.checks.extra]\ndocs=3\n", ":4: tool.handrail.checks.extra.docs is a whole number"),
        ("[tool.handrail.service]\ncommand=2020-01-01\n", ":4: tool.handrail.service.command is date"),
        ("service = { command = 'x', port = 0 }\n", ":3: port is 0, expected 1 to 65535"),
        ("service = { command = 'x', health = 'x' }\n", ":3: health is 'x', expected a path that starts"),
        ("[tool.handrail.service]\ncommand='x'\nmigrate='a && b'\n", ":5: && needs a shell"),
        ("setup.database = 'a | b'\n", ":3: | needs a shell"),
        ("build.platform = 'Linux'\n", ":3: platform is 'Linux', expected one such as manylinux_2_28_x86_64"),
        ("checks.coverage_floor = 101\n", ":3: coverage_floor is not between 0 and 100 per cent"),
        (
            "checks.test = 'make test'\nchecks.coverage_floor = 80\n",
            ":4: coverage_floor is declared, and test is 'make",
        ),
        ("checks.extra.docs = 'make docs; true'\n\nchecks.extra.x = ''\n", ":5: the command is empty"),
        ("[tool.handrail.checks]\nextra = { a = 'x', b = 3 }\n", ":4: tool.handrail.checks.extra.b is a whole"),
    ],
)
def test_rules_reach_into_lists_and_inline_tables(tmp_path: Path, text: str, expected: str) -> None:
    message = failure(tmp_path, f'[tool.handrail]\napp = "shop"\n{text}')

    assert message.startswith(f"pyproject.toml{expected}")


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    assert failure(tmp_path, b'[tool]\nx = "\xff"\n') == "pyproject.toml:2: byte 0xff is not UTF-8 text"


def test_lists_nested_without_end_are_no_crash(tmp_path: Path) -> None:
    assert "not valid TOML" in failure(tmp_path, "[tool.handrail]\napp = " + "[" * 100_000)


@pytest.mark.parametrize("table", ["tool = 3\n", "[tool]\nother = 1\n", "", "handrail = 1\n"])
def test_a_project_without_the_table_is_told_how_to_adopt_it(tmp_path: Path, table: str) -> None:
    with pytest.raises(ConfigError, match=r"pyproject.toml has no \[tool.handrail\] table") as caught:
        load_project(write(tmp_path, table))

    assert 'app = "<name>"' in caught.value.next_step


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    assert failure(tmp_path, "\n[tool]\nhandrail = 1\n").startswith("pyproject.toml:3: tool.handrail is a whole")


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^pyproject.toml does not exist in {tmp_path}$"):
        load_project(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()

    with pytest.raises(ConfigError, match=r"^pyproject.toml cannot be read: Is a directory$"):
        load_project(tmp_path)


def test_the_root_is_the_nearest_folder_that_declares_a_project(tmp_path: Path) -> None:
    nested = tmp_path / "libs" / "one" / "src"
    nested.mkdir(parents=True)
    write(tmp_path, GOOD)
    write(tmp_path / "libs" / "one", '[project]\nname = "one"\ndependencies = ["handrail"]\n')

    assert find_root(nested) == tmp_path.resolve()


def test_a_broken_project_file_is_still_the_root_so_that_its_mistake_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "[tool.handrail\n")

    assert find_root(tmp_path) == tmp_path.resolve()


def test_a_folder_without_a_project_is_told_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, '[project]\nname = "one"\n')

    with pytest.raises(ConfigError, match=r"has no \[tool.handrail\] table") as caught:
        find_root(tmp_path)

    assert caught.value.next_step


def test_a_mistyped_environment_gets_the_nearest_one(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, GOOD))

    with pytest.raises(UsageError, match="there is no environment 'stagign'; did you mean 'staging'"):
        environment(project, "stagign")


def test_a_project_without_environments_is_told_how_to_declare_one(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, '[tool.handrail]\napp = "shop"\n'))

    with pytest.raises(UsageError) as caught:
        environment(project, "staging")

    assert "[tool.handrail.environments.<name>]" in caught.value.next_step


def test_a_place_that_is_not_written_down_is_its_table(tmp_path: Path) -> None:
    write(tmp_path, GOOD)

    assert place(tmp_path, "environments", "staging", "root") == "pyproject.toml:11"
    assert place(tmp_path / "elsewhere", "app") == "pyproject.toml"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('strategy = "blue-green"', "needs a proxy"),
        ('strategy = "blue-green"\nproxy = { kind = "caddy", site = ":80" }\nslots = [1, 1]', "two different ports"),
        ('strategy = "restart"\nslots = [8001]', "two different ports"),
        ('strategy = "rolling"\nbatches = []', "batches is empty"),
        ('strategy = "rolling"\nbatches = ["ten"]', "is no batch"),
        ('strategy = "roling"', "rolling"),
        ("watch = -1", "expected seconds"),
    ],
)
def test_a_strategy_that_cannot_work_is_named_with_its_line(tmp_path: Path, lines: str, message: str) -> None:
    found = failure(tmp_path, GOOD.replace("keep = 3", lines))
    assert found.startswith("pyproject.toml:")
    assert message in found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("steps = []", "steps is empty"),
        ('steps = ["0%"]', "expected a share from '1%' to '99%'"),
        ('steps = ["100%"]', "expected a share from '1%' to '99%'"),
        ("steps = [0]", "expected at least 1 host"),
        ("steps = [99]", "leaves none to compare with"),
        ('steps = ["25%", "5%"]', "expected each to be greater than the one before"),
        ('steps = ["25%", "25%"]', "expected each to be greater than the one before"),
        ("bake = 0", "expected seconds"),
        ("bake = 10, bake_max = 5", "expected at least bake, 10.0"),
        ("min_requests = 0", "min_requests is 0"),
        ('on_silence = "wait"', "on_silence"),
        ("max_error_rate = 5", "max_error_rate is 5.0, expected 0 to 1"),
        ("latency_percentile = 100", "latency_percentile is 100.0"),
        ("max_latency_ratio = 0.5", "expected 0 or at least 1"),
        ("max_eror_rate = 0.1", "did you mean 'max_error_rate'"),
    ],
)
def test_a_canary_that_cannot_be_meant_is_named_with_its_line(tmp_path: Path, table: str, message: str) -> None:
    lines = f'strategy = "canary"\nproxy = {{ kind = "caddy", site = ":80" }}\ncanary = {{ {table} }}'
    found = failure(tmp_path, GOOD.replace("keep = 3", lines))
    assert found.startswith("pyproject.toml:")
    assert message in found


def test_a_canary_table_without_the_strategy_is_no_silent_nothing(tmp_path: Path) -> None:
    assert "it has no effect" in failure(tmp_path, GOOD.replace("keep = 3", "canary = { bake = 5 }"))


def test_blue_green_asks_for_a_health_path(tmp_path: Path) -> None:
    lines = 'strategy = "blue-green"\nproxy = { kind = "caddy", site = ":80" }'
    text = GOOD.replace("keep = 3", lines).replace('health = "/healthz"\n', "")
    assert "set health" in failure(tmp_path, text)

"""The values of one environment, each with its source.

Later wins: default in the contract < ``env/<environment>.env`` < ``env/<environment>.secrets.env`` < process
environment < flag. From the process environment come only names that the contract or a file declares, so an
unrelated ``DEBUG=1`` on a laptop reaches no host; ``${NAME}`` in a file names its variable, so there it may
be any. What is built with a secret is a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from handrail.config.contract import Contract, load_contract
from handrail.config.envfile import Entry, interpolate, read_entries
from handrail.config.explain import near
from handrail.config.rules import ENVIRONMENT_NAME, VARIABLE_NAME
from handrail.config.secret import Secret
from handrail.errors import ConfigError, UsageError, did_you_mean

PROCESS = "process environment"
FLAG = "--set"


@dataclass(frozen=True)
class Value:
    """A value and where it comes from: ``env/staging.env:3``, ``process environment`` or ``--set``."""

    name: str
    value: str | Secret
    source: str

    @property
    def text(self) -> str:
        """The raw text, also of a secret. Use it only where the value leaves for its destination."""
        return self.value.reveal() if isinstance(self.value, Secret) else self.value


class Values(Mapping[str, Value]):
    """All values of one environment, by name.

    Attributes:
        root: the project's folder.
        environment: the environment's name.
        contract: what env/example.env declares.
        looked_in: the places that were asked, in the order in which later wins.
        warnings: sentences about what works but should be looked at.
    """

    def __init__(self, root: Path, environment: str, contract: Contract, process: Mapping[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.contract = contract
        self.looked_in = [env_file(environment), secrets_file(environment), PROCESS]
        self.warnings: list[str] = []
        self._process = process
        self._values: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def secrets(self) -> list[str]:
        """Return the raw text of each secret, for masking."""
        return [value.text for value in self.values() if isinstance(value.value, Secret) and value.text]

    def for_app(self) -> dict[str, Value]:
        """Return what the service on the host gets: all but what only tasks need by the contract."""
        declared = self.contract.variables
        return {name: value for name, value in self.items() if name not in declared or declared[name].is_shipped}

    def lookup(self, name: str) -> Value | None:
        """Return the value of a name that pyproject.toml spells out, also one only the process has."""
        if name in self._values:
            return self._values[name]
        if name in self._process:
            return Value(name, _clean(name, self._process[name]), PROCESS)
        return None

    def expand(self, text: str, where: str) -> str:
        """Return ``text`` with each ``${NAME}`` replaced by its raw value.

        Args:
            text: a string of pyproject.toml.
            where: its place for the message, such as ``pyproject.toml:12``.

        Raises:
            ConfigError: a variable is not set; names it and where it was looked for.
        """

        def find(name: str) -> str | None:
            value = self.lookup(name)
            return value.text if value else None

        return interpolate(text, find, lambda name: self._unset(name, where))

    def _unset(self, name: str, where: str) -> ConfigError:
        looked = f"looked in {', '.join(self.looked_in)}"
        if not VARIABLE_NAME.fullmatch(name):
            return ConfigError(f"{where}: expected ${{NAME}} with a name of letters, digits and _")
        return ConfigError(
            f"{where}: ${{{name}}} is not set{near(name, self._values)}; {looked}",
            next_step=f"set {name} in one of these places, or write ${{{name}:-default}}",
        )


def env_file(environment: str) -> str:
    return f"env/{environment}.env"


def secrets_file(environment: str) -> str:
    return f"env/{environment}.secrets.env"


def load_values(root: Path, env: str, *, process: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Values:
    """Return the values of the environment ``env`` of the project in ``root``.

    Args:
        root: the project's folder, which holds ``env/``.
        env: the environment's name; its files may be missing.
        process: the process environment.
        flags: what was typed as ``--set NAME=value``.

    Raises:
        ConfigError: syntax or an unset ``${NAME}`` in a file (``env/staging.env:7: …``), or a secrets file
            that git tracks.
        UsageError: ``env`` is no name of an environment, or a flag names an undeclared variable.
    """
    if not ENVIRONMENT_NAME.fullmatch(env) or env == "example":
        raise UsageError(f"{env!r} is not a name of an environment; expected letters, digits, - and _")
    contract = load_contract(root)
    values = Values(root, env, contract, process)
    open_entries = read_entries(root, env_file(env))
    secret_entries = read_entries(root, secrets_file(env))
    _check_secrets_file(values)
    loader = _Loader(values, dict(flags or {}), {entry.name for entry in secret_entries})
    loader.take_defaults()
    loader.take_file(env_file(env), open_entries)
    loader.take_file(secrets_file(env), secret_entries)
    loader.take_process_and_flags()
    return values


class _Loader:
    """Fills `Values` layer by layer, and keeps track of which names are secret."""

    def __init__(self, values: Values, flags: dict[str, str], secret_names: set[str]) -> None:
        self.values = values
        self.flags = flags
        self.taken = values._values
        declared = values.contract.variables
        self.secret_names = secret_names | {name for name in declared if declared[name].secret}
        self.in_files: set[str] = set()

    def take_defaults(self) -> None:
        for variable in self.values.contract.variables.values():
            if variable.default:
                self._put(variable.name, variable.default, f"{variable.where} (default)", variable.where)

    def take_file(self, file: str, entries: list[Entry]) -> None:
        declared = self.values.contract.variables
        is_secrets_file = file == secrets_file(self.values.environment)
        for entry in entries:
            where = f"{file}:{entry.line}"
            self.in_files.add(entry.name)
            if declared and entry.name not in declared:
                hint = near(entry.name, declared)
                self.values.warnings.append(f"{where}: {entry.name} is not declared in env/example.env{hint}")
            # The sandbox lives on this machine only, so its secrets may be known to everybody.
            is_exposed = not is_secrets_file and self.values.environment != "sandbox"
            if is_exposed and entry.text and "${" not in entry.text and entry.name in self.secret_names:
                self.values.warnings.append(
                    f"{where}: {entry.name} is a secret; move it to {secrets_file(self.values.environment)}"
                )
            if entry.literal:
                self._store(entry.name, entry.text, where)
            else:
                self._put(entry.name, entry.text, where, where)

    def take_process_and_flags(self) -> None:
        declared = self.values.contract.variables
        known = [*declared, *(name for name in self.taken if name not in declared)]
        for name in known:
            if name in self.values._process:
                self._store(name, _clean(name, self.values._process[name]), PROCESS)
        for name, text in self.flags.items():
            if not VARIABLE_NAME.fullmatch(name):
                raise UsageError(f"{FLAG} {name!r}: expected a name of letters, digits and _")
            if declared and name not in known:
                raise UsageError(f"{FLAG} {name}: no such variable{did_you_mean(name, known)}")
            self._store(name, _clean(name, text), FLAG)

    def _put(self, name: str, text: str, source: str, where: str) -> None:
        """Store ``text`` after interpolation; it becomes a secret when it is built with one."""

        def find(used: str) -> str | None:
            found = self._current(used)
            if found is not None and used in self.secret_names:
                self.secret_names.add(name)
            return found

        self._store(name, interpolate(text, find, lambda used: self._unset(used, where)), source)

    def _current(self, name: str) -> str | None:
        """Return what ``name`` ends up as, as far as it is known: flag, process, then the files so far."""
        if name in self.flags:
            return self.flags[name]
        if name in self.values._process:
            return _clean(name, self.values._process[name])
        return self.taken[name].text if name in self.taken else None

    def _store(self, name: str, text: str, source: str) -> None:
        # Once secret, always secret: a later layer that overrides a secret holds one, too.
        self.taken[name] = Value(name, Secret(text) if name in self.secret_names else text, source)

    def _unset(self, name: str, where: str) -> ConfigError:
        error = self.values._unset(name, where)
        error.next_step = (
            f"{error.next_step}; single quotes keep ${{…}} as it is"
            if error.next_step
            else ("single quotes keep ${…} as it is")
        )
        return error


def _check_secrets_file(values: Values) -> None:
    name = secrets_file(values.environment)
    path = values.root / name
    if not path.exists():
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        values.warnings.append(f"{name} can be read by others (mode {mode:04o}); run: chmod 600 {name}")
    if _is_tracked(values.root, name):
        raise ConfigError(
            f"{name} is tracked by git, and secrets must not be committed",
            next_step=f"run: git rm --cached {name}; then change the secrets that were in it",
        )


def _is_tracked(root: Path, name: str) -> bool:
    if not any((folder / ".git").exists() for folder in (root, *root.resolve().parents)):
        return False
    from handrail.commands import Runner

    try:
        return bool(Runner().run(["git", "ls-files", "--", name], cwd=root, check=False).stdout.strip())
    except UsageError:
        # Without git nothing here can be committed by accident either.
        return False


def _clean(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{PROCESS}: {name} is not UTF-8 text") from None
    if "\0" in text:
        raise ConfigError(f"{FLAG} {name}: the value contains a NUL character")
    return text

"""What the shell asks at each press of Tab: the words that may stand here, one ``word<TAB>help`` a line.

Run as ``python -I -c '… main()' SHELL WORD…`` by the script that `handrail.completion.scripts` prints; the last word is
the one to complete. It ends with 0 after its answer, 10 where file names belong, 3 where it knows nothing (the shell
then asks Invoke itself). Only what Python loads anyway is imported at the top: a start costs about 20 ms.

The cache is made from the loaded collection by `handrail.completion.cache`, and names each file that it was made from
with its time and size. Where one of them has changed, ``inv tasks`` is run once, which writes it again; while a
tasks.py is broken, the last answer that worked stays. Environments come from pyproject.toml alone, so a change there
costs no start of the tasks.
"""

from __future__ import annotations

import os
import sys

FORMAT = "handrail completion 1"
FILES, UNKNOWN = 10, 3
# Where Invoke looks for the tasks of a folder.
TASKS = ("tasks.py", os.path.join("tasks", "__init__.py"))

# Of Invoke itself, before the first task; the ones that choose another collection are left to Invoke.
CORE = [
    ("--list", "show the tasks"),
    ("--help", "show the help of one task"),
    ("--version", "show Invoke's version"),
    ("--echo", "show each command before it runs"),
    ("--dry", "show commands of Invoke's own instead of running them"),
    ("--dedupe", "run a task once, however often it is needed"),
]
ELSEWHERE = ("-c", "--collection", "-r", "--search-root", "-f", "--config")


class Option:
    """One option of a task: its flags, what kind of value it takes, and one line of help.

    ``kind`` is ``flag``, ``text``, ``path``, ``environment``, ``release``, ``process``
    or ``a|b|c`` (words to choose from).
    """

    def __init__(self, flags: str, kind: str, marks: str, text: str) -> None:
        self.flags = flags.split(",")
        self.kind = kind
        self.required = "r" in marks
        self.repeatable = "m" in marks
        self.positional = "p" in marks
        self.text = text


class Cache:
    """What is known of one project; see the module's docstring."""

    def __init__(self) -> None:
        self.root = ""
        self.pyproject = ""
        self.stamps: dict[str, str] = {}
        self.words: dict[str, list[tuple[str, str]]] = {"environment": [], "process": []}
        self.tasks: dict[str, tuple[str, list[Option]]] = {}
        self.lines: list[str] = []

    def is_fresh(self, path: str) -> bool:
        return self.stamps.get(path) == stamp(path)

    def has_fresh_tasks(self) -> bool:
        """Return whether no file has changed that the tasks were made from."""
        return all(self.is_fresh(file) for file in self.stamps if file != self.pyproject)


def main() -> None:
    """Answer for ``sys.argv``: the shell's name, then the words up to the cursor."""
    sys.exit(run(sys.argv[1], sys.argv[2:]))


def run(shell: str, words: list[str]) -> int:
    """Print the answer; return the exit code."""
    words = joined_at_equals(words)
    if any(word.split("=")[0] in ELSEWHERE for word in words[1:]):
        return UNKNOWN
    root = tasks_folder(os.getcwd())
    cache = fresh_cache(root) if root else None
    if cache is None or not cache.tasks:
        return UNKNOWN
    found = candidates(cache, words[1:-1], words[-1])
    if found is None:
        return FILES
    value = words[-1].partition("=")[2] if words[-1].startswith("--") and "=" in words[-1] else None
    if value is not None and shell != "bash":
        # bash breaks a word at "="; the others want it whole.
        start = words[-1][: len(words[-1]) - len(value)]
        found = [(start + word, text) for word, text in found]
    sys.stdout.write("".join(f"{line}\n" for line in shown(shell, found)))
    return 0


def candidates(cache: Cache, before: list[str], current: str) -> list[tuple[str, str]] | None:
    """Return the words that may stand at ``current`` with their help; None: file names."""
    if "--" in before:
        return None
    task, waiting = "", None
    options: list[Option] = []
    given: list[Option] = []
    for word in before:
        if waiting is not None:
            waiting = None
            continue
        option = find(options, word.partition("=")[0])
        if option is not None:
            given.append(option)
            waiting = option if option.kind != "flag" and "=" not in word else None
        elif not task and word in ("--help", "-h", "--list", "-l"):
            waiting = Option(word, "task", "", "")
        elif word in cache.tasks:
            task, given, options = word, [], cache.tasks[word][1]
        elif not word.startswith("-"):
            given += [option for option in options if option.positional and option not in given][:1]
    if waiting is not None:
        return values(cache, waiting.kind, before, current)
    if current.startswith("-"):
        flag, equals, value = current.partition("=")
        option = find(options, flag)
        if equals:
            return values(cache, option.kind, before, value) if option else []
        left = [option for option in options if option.repeatable or option not in given]
        rows = [(option.flags[0], option.text) for option in left]
        return starting(rows if task else CORE, current)
    words: list[tuple[str, str]] = []
    for option in options:
        if option.positional and option not in given:
            words += values(cache, option.kind, before, current) or []
    missing = [o for o in options if o.required and not o.positional and o not in given]
    if (words or missing) and not current:
        # What the task understands bare, and what it cannot do without, is what comes next.
        return words + [(option.flags[0], option.text) for option in missing]
    return words + starting([(name, text) for name, (text, _) in cache.tasks.items()], current)


def values(cache: Cache, kind: str, before: list[str], current: str) -> list[tuple[str, str]] | None:
    """Return the values of an option that begin as ``current`` does; None: file names."""
    if kind == "path":
        return None
    if kind == "task":
        rows = [(name, text) for name, (text, _) in cache.tasks.items()]
    elif kind == "release":
        rows = known_releases(cache, before)
    elif kind in cache.words:
        rows = cache.words[kind]
    else:
        rows = [(word, "") for word in kind.split("|")] if kind not in ("text", "flag") else []
    return starting(rows, current)


def known_releases(cache: Cache, before: list[str]) -> list[tuple[str, str]]:
    """Return what ``inv releases`` and ``inv status`` saw last of the environment that ``before`` names."""
    folder = os.path.join(os.path.dirname(cache.pyproject) or cache.root, ".handrail", "cache", "releases")
    for word, following in zip(before, [*before[1:], ""], strict=True):
        name = following if word in ("--env", "-e") else word[6:] if word.startswith("--env=") else ""
        if name in [known for known, _ in cache.words["environment"]]:
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    return [two(line.rstrip("\n")) for line in file]
            except OSError:
                return []
    return []


def find(options: list[Option], flag: str) -> Option | None:
    """Return the option that is written ``flag``."""
    for option in options:
        if flag in option.flags:
            return option
    return None


def starting(rows: list[tuple[str, str]], current: str) -> list[tuple[str, str]]:
    return [row for row in rows if row[0].startswith(current)]


def two(line: str) -> tuple[str, str]:
    word, _, text = line.partition("\t")
    return word, text


def joined_at_equals(words: list[str]) -> list[str]:
    """Undo what bash does to ``--env=x``: it hands over three words."""
    result: list[str] = []
    for word in words:
        if result and (word == "=" or result[-1].endswith("=")) and result[-1].startswith("--"):
            result[-1] += word
        else:
            result.append(word)
    return result


def shown(shell: str, found: list[tuple[str, str]]) -> list[str]:
    """Return the lines for one shell. bash has no place for help: it stands behind the word where there are several."""
    if shell != "bash":
        return [f"{word}\t{text}" for word, text in found]
    listing = os.environ.get("HANDRAIL_COMP_TYPE", "9") not in ("37", "42")  # not while walking through the words
    if len(found) < 2 or not listing:
        return [word for word, _ in found]
    width = int(os.environ.get("HANDRAIL_COLUMNS") or 80) - 2
    column = max(len(word) for word, _ in found)
    lines = []
    for word, text in found:
        room = width - column - 4
        text = text if len(text) <= room else text[: max(0, room - 1)] + "…"
        lines.append(f"{word:{column}}  ({text})" if text and room > 10 else word)
    return lines


# The cache


def fresh_cache(root: str) -> Cache | None:
    """Return the cache of the tasks in ``root``, written again where it must be; None: there is nothing to say."""
    path = cache_path(root)
    cache = read_cache(path, root)
    if cache is None or not cache.has_fresh_tasks():
        cache = rewritten(path, root, cache)
    if cache is not None and cache.pyproject and not cache.is_fresh(cache.pyproject):
        from handrail.completion.refresh import with_new_words

        cache = with_new_words(path, cache)
    return cache


def rewritten(path: str, root: str, old: Cache | None) -> Cache | None:
    """Let the tasks write the cache; where they cannot, keep what was known until a file changes again."""
    from handrail.completion.refresh import keep, run_tasks

    run_tasks(root)
    cache = read_cache(path, root)
    if cache is None or not cache.has_fresh_tasks():
        keep(path, root, old)
        return old
    return cache


def cache_path(root: str) -> str:
    """Return the cache's file: in the user's own cache folder, as Tab must not make a file in somebody's repository."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "handrail", "completion", root.replace("%", "%25").replace("/", "%")[-200:])


def tasks_folder(start: str) -> str:
    """Return the nearest folder with a tasks.py or a tasks package, as Invoke looks for them; ``""``: none."""
    folder = start
    while True:
        for name in TASKS:
            if os.path.isfile(os.path.join(folder, name)):
                return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return ""
        folder = parent


def stamp(path: str) -> str:
    """Return what changes when ``path`` does."""
    try:
        state = os.stat(path)
    except OSError:
        return "gone"
    return f"{state.st_mtime_ns} {state.st_size}"


def read_cache(path: str, root: str) -> Cache | None:
    """Return what the file holds; None where there is none, or one of another form or project."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if lines[0] != f"{FORMAT}\t{root}\t{sys.prefix}":
        return None
    cache = Cache()
    cache.root, cache.lines = root, lines
    options: list[Option] = []
    for line in lines[1:]:
        kind, *fields = line.split("\t")
        if kind in ("file", "pyproject"):
            cache.stamps[fields[1]] = fields[0]
            if kind == "pyproject":
                cache.pyproject = fields[1]
        elif kind in cache.words:
            cache.words[kind].append((fields[0], fields[1]))
        elif kind == "task":
            options = []
            cache.tasks[fields[0]] = (fields[1], options)
        elif kind == "option":
            options.append(Option(*fields))
    return cache

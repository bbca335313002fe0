"""The agent's first part, all that travels to a host which knows the rest: it takes that as kept, or asks for it.

It is kept where programs keep such things (``~/.cache``), by whoever changes this host anyway (`agent.compiled`), and
is only a shortcut: a file that is missing, damaged, somebody else's or of another Python is passed over.
"""

import gc
import marshal
import os
import sys
import zlib

# An import of importlib.machinery would be one more; what it names is there.
ModuleSpec = type(sys.__spec__)


class Modules:
    """Finds the agent's modules in what travelled or was kept, whatever is installed on the host.

    Args:
        path: where their compiled form is kept; "" for nowhere.
    """

    def __init__(self, path):
        self.path = path
        self.texts = {}
        self.codes = {}
        self.is_kept = False

    def load(self):
        """Take the modules as they are kept; return whether they were."""
        try:
            with open(self.path, "rb") as stream:
                facts = os.fstat(stream.fileno())
                if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                    return False
                checksum, data = int(stream.readline()), stream.read()
            if zlib.crc32(data) == checksum:
                self.codes = dict(marshal.loads(data))  # noqa: S302 - our own file, as sure as the code that reads it
                self.is_kept = bool(self.codes)
        except (OSError, ValueError, EOFError, TypeError):
            pass
        return self.is_kept

    def receive(self, stdin):
        """Read the modules' texts as ``<length>\\n<zlib data>``."""
        import json

        length = stdin.readline().strip()
        if not length.isdigit():
            raise SystemExit(1)
        self.texts = json.loads(zlib.decompress(stdin.read(int(length))))

    def code(self, name):
        """Return a module's code, marshalled; b"" for a package."""
        if name not in self.codes:
            text = self.texts[name]
            self.codes[name] = marshal.dumps(compile(text, name, "exec")) if text else b""
        return self.codes[name]

    def find_spec(self, name, path=None, target=None):
        if name not in self.codes and name not in self.texts:
            return None
        return ModuleSpec(name, self, is_package=not self.code(name))

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        code = self.code(module.__name__)
        if code:
            exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - what an import does


class Input:
    """Standard input, after lines that came with the command."""

    def __init__(self, lines, stream):
        self.lines = lines
        self.read = stream.read
        self.stream = stream

    def readline(self):
        return self.lines.pop(0) if self.lines else self.stream.readline()


def kept_path(digest):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "handrail", "agent-%s-%s-%x" % (digest, sys.implementation.name, sys.hexversion))


def start(digest, main, wanted, lines):
    """Run the ``main`` of a module with its input.

    Args:
        digest: of the modules' texts, under which they are kept; "": they follow in any case.
        wanted: the line that asks the client for them.
        lines: the first requests.
    """
    # What it makes, it needs until it ends: to look for rubbish every 700 objects is in vain.
    gc.set_threshold(10000)
    stdin = sys.stdin.buffer
    modules = Modules(kept_path(digest) if digest else "")
    if not (digest and modules.load()):
        if digest:
            sys.stdout.write(wanted + "\n")
            sys.stdout.flush()
        modules.receive(stdin)
    sys.meta_path.insert(0, modules)
    __import__(main)
    sys.modules[main].main(Input(lines, stdin))

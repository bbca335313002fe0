"""What a unit may not do on its host: ``hardening = "off" | "basic" | "strict"`` as lines of ``[Service]``.

``basic`` takes away what an ordinary web service never does: new privileges, writing to the system's own folders, the
kernel's knobs and modules. ``strict`` shows it its own folder alone and leaves it the system calls of a service.
Not among them: ``MemoryDenyWriteExecute`` (code that is made at run time, as in ctypes and many a native wheel, needs
it), ``PrivateUsers`` (the agent proves by ``/proc`` which process serves, and could not look into it) and
``ProcSubset=pid`` (``os.cpu_count`` and what builds on it read the rest of /proc).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# Where Python may be installed below a home folder, as the agent looks for it.
_PYTHONS = (".local/bin", ".local/share/uv/python", ".pyenv")

_BASIC = (
    "NoNewPrivileges=yes", "ProtectSystem=full", "ProtectKernelTunables=yes", "ProtectKernelModules=yes",
    "ProtectControlGroups=yes", "RestrictSUIDSGID=yes", "RestrictRealtime=yes", "LockPersonality=yes",
)  # fmt: skip
_STRICT = (
    "PrivateTmp=yes", "PrivateDevices=yes", "ProtectClock=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes",
    "ProtectProc=invisible", "RestrictNamespaces=yes", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "CapabilityBoundingSet=", "SystemCallArchitectures=native", "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM", "KeyringMode=private",
)  # fmt: skip

# systemd's exit codes for "could not be set up", and the directives that each may come from.
STEPS = {
    "218": ("CapabilityBoundingSet", "AmbientCapabilities", "SecureBits"),
    "226": (
        "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules",
        "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ProtectHostname", "PrivateMounts",
        "PrivateIPC", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "BindPaths",
        "BindReadOnlyPaths", "TemporaryFileSystem",
    ),
    "228": (
        "SystemCallFilter", "SystemCallArchitectures", "SystemCallLog", "RestrictAddressFamilies", "RestrictNamespaces",
        "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "ProtectClock",
        "ProtectKernelLogs", "ProtectHostname", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules",
    ),
    "227": ("NoNewPrivileges", "SecureBits"),
    "231": ("AppArmorProfile",),
    "233": ("RuntimeDirectory",), "238": ("StateDirectory",), "239": ("CacheDirectory",), "240": ("LogsDirectory",),
    "243": ("LoadCredential",), "205": tuple(f"Limit{what}" for what in ("NOFILE", "NPROC", "MEMLOCK")),
    "201": ("Nice",), "206": ("OOMScoreAdjust",), "211": ("IOSchedulingClass",), "213": ("CPUAffinity",),
    "214": ("CPUSchedulingPolicy",), "216": ("Group", "SupplementaryGroups"),
}  # fmt: skip


def hardening_lines(level: str, *, app_dir: str, home: str) -> Iterator[str]:
    """Yield the lines of ``[Service]`` for a level.

    Args:
        app_dir: the app's folder, which stays writable; absolute and already escaped for a unit.
        home: the user's home folder, escaped; empty where it is not known.
    """
    if level == "off":
        return
    if level == "basic":
        yield from _BASIC
        return
    yield from (line for line in _BASIC if not line.startswith("ProtectSystem="))
    yield from _STRICT
    # Below /home and /root nothing is there but the app's folder, and Python where it may come from there.
    yield "ProtectSystem=strict"
    yield "ProtectHome=tmpfs"
    yield f'BindPaths="{_bound(app_dir)}"'
    yield f'ReadWritePaths="{app_dir}"'
    if home:
        yield from (f'BindReadOnlyPaths="-{_bound(home)}/{path}"' for path in _PYTHONS)


def _bound(path: str) -> str:
    """Escape what would part the two paths of a bind mount."""
    return path.replace(":", "\\:")


def steps_of(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return those lines of a unit that systemd may fail to set up, by its exit code for the failed step."""
    found = {code: [line for line in lines if line.partition("=")[0] in known] for code, known in STEPS.items()}
    return {code: chosen for code, chosen in found.items() if chosen}


def is_confined(lines: Sequence[str]) -> bool:
    """Return whether a process with these lines must see the file system otherwise than its host does."""
    # The last one of a name counts.
    values = {name: value.lower() for name, _, value in (line.partition("=") for line in lines) if name in STEPS["226"]}
    return any(value not in ("", "no", "false", "off", "0", "default", "all") for value in values.values())

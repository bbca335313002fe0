"""Which directives of a systemd unit's ``[Service]`` a project may add with ``unit = { … }``, and with which values.

Left out is what Handrail writes itself, what starts programs (``Exec…``), and what would take the process away from the
manager's and the deploy's sight (another user, another root folder). An unknown name is only a warning to systemd, in a
log that nobody reads; here it is an error that names the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from handrail.config.explain import near, shown

DIRECTIVES = frozenset(
    [
        "AllowedCPUs",
        "AllowedMemoryNodes",
        "AmbientCapabilities",
        "AppArmorProfile",
        "BindPaths",
        "BindReadOnlyPaths",
        "CPUAccounting",
        "CPUAffinity",
        "CPUQuota",
        "CPUQuotaPeriodSec",
        "CPUSchedulingPolicy",
        "CPUSchedulingPriority",
        "CPUWeight",
        "CacheDirectory",
        "CacheDirectoryMode",
        "CapabilityBoundingSet",
        "CoredumpFilter",
        "DeviceAllow",
        "DevicePolicy",
        "FileDescriptorStoreMax",
        "Group",
        "IOAccounting",
        "IODeviceWeight",
        "IOReadBandwidthMax",
        "IOReadIOPSMax",
        "IOSchedulingClass",
        "IOSchedulingPriority",
        "IOWeight",
        "IOWriteBandwidthMax",
        "IOWriteIOPSMax",
        "IPAccounting",
        "IPAddressAllow",
        "IPAddressDeny",
        "InaccessiblePaths",
        "KeyringMode",
        "LimitAS",
        "LimitCORE",
        "LimitCPU",
        "LimitDATA",
        "LimitFSIZE",
        "LimitMEMLOCK",
        "LimitMSGQUEUE",
        "LimitNICE",
        "LimitNOFILE",
        "LimitNPROC",
        "LimitRSS",
        "LimitRTPRIO",
        "LimitRTTIME",
        "LimitSIGPENDING",
        "LimitSTACK",
        "LoadCredential",
        "LockPersonality",
        "LogLevelMax",
        "LogRateLimitBurst",
        "LogRateLimitIntervalSec",
        "LogsDirectory",
        "LogsDirectoryMode",
        "ManagedOOMMemoryPressure",
        "ManagedOOMPreference",
        "ManagedOOMSwap",
        "MemoryAccounting",
        "MemoryDenyWriteExecute",
        "MemoryHigh",
        "MemoryLow",
        "MemoryMax",
        "MemoryMin",
        "MemorySwapMax",
        "NUMAMask",
        "NUMAPolicy",
        "Nice",
        "NoExecPaths",
        "NoNewPrivileges",
        "OOMPolicy",
        "OOMScoreAdjust",
        "PrivateDevices",
        "PrivateIPC",
        "PrivateMounts",
        "PrivateTmp",
        "ProcSubset",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "ProtectProc",
        "ProtectSystem",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "RemoveIPC",
        "RestrictAddressFamilies",
        "RestrictFileSystems",
        "RestrictNamespaces",
        "RestrictNetworkInterfaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
        "SecureBits",
        "Slice",
        "SocketBindAllow",
        "SocketBindDeny",
        "StateDirectory",
        "StateDirectoryMode",
        "SupplementaryGroups",
        "SystemCallArchitectures",
        "SystemCallErrorNumber",
        "SystemCallFilter",
        "SystemCallLog",
        "TasksAccounting",
        "TasksMax",
        "TemporaryFileSystem",
        "TimerSlackNSec",
        "UMask",
    ]
)
_OWN = {
    "Type": "Handrail writes it", "User": "it is the user who deploys", "KillMode": "Handrail writes it",
    "Restart": "Handrail writes it", "RestartSec": "Handrail writes it", "SyslogIdentifier": "Handrail writes it",
    "TimeoutStopSec": "set stop_timeout", "TimeoutStartSec": "set timeout or health_timeout",
    "Environment": "set it in env/<environment>.env", "EnvironmentFile": "set values in env/<environment>.env",
    "WorkingDirectory": "it is the release's folder",
}  # fmt: skip

Value = str | int | float | bool | list[str]


def directive_problems(unit: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Yield the name and one sentence for each directive that cannot stand in a unit."""
    for name, value in unit.items():
        if name not in DIRECTIVES:
            why = _OWN.get(name) or ("a unit starts the release's launcher alone" if name.startswith("Exec") else "")
            hint = near(name, DIRECTIVES) or ", or none that a project may set"
            told = f"cannot be set here: {why}" if why else f"is unknown{hint}"
            yield name, f"unit directive {shown(name)} {told}"
        for line in directive_lines(name, value):
            # A line end would begin a directive of its own, and so would a backslash at the end with the next line.
            if any(ord(character) < 32 for character in line) or line.endswith("\\"):
                yield name, f"{name} holds a control character or ends with a backslash, which no unit line can hold"


def directive_lines(name: str, value: Value) -> list[str]:
    """Return the unit's lines: one, or one for each item of a list."""
    values = value if isinstance(value, list) else [value]
    return [f"{name}={('yes' if item else 'no') if isinstance(item, bool) else item}" for item in values]

"""The sandbox: a host that needs nothing installed, inside the project's own folder.

``.handrail/sandbox/`` holds an SSH server with its own keys, a home folder, supervisor as process manager and Caddy
as proxy, all on loopback and all as the current user. To the rest of Handrail it is a host like any other: it is
reached through the ssh_config that is written here, and nothing but this package knows that it is one.

One detached process, the daemon (`handrail.sandbox.daemon`), serves SSH itself and is the parent of supervisord and
Caddy. It holds ``lock`` with flock(2) as long as it lives, so "is it running?" is a question to the kernel: a stale
process id or one that now belongs to somebody else cannot mislead. Everything that runs in the sandbox has its
folder in the environment variable ``HANDRAIL_SANDBOX``, so that ``down`` also finds what lost its parents.

The functions of `handrail.sandbox.lifecycle` are the package's surface.
"""

from __future__ import annotations

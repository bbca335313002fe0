"""Whether the laptop, the hooks and CI do the same thing: read from files, nothing is run.

`look` reads the workflows, the hooks, pyproject.toml, the lock and the noxfile, each into a few dataclasses that keep
file and line (`workflows`, `hooks`, `declared`, `locked`, `sessions`), and asks each rule for its findings. A rule
is one module with one function; the table of the codes is in docs/doctor.md. A finding that a project accepts is
silenced where it stands, by a comment ``# handrail: ignore[code]`` on its line or on the one above.
"""

"""What `inv docs` does with its options."""

from __future__ import annotations

from invoke.exceptions import Exit
from scripts.docs import reference, site


def run(*, serve: bool, write: bool, check: bool) -> None:
    """Build the site, or do the one thing that was asked for.

    Raises:
        Exit: a generated page is stale, or something on a page leads nowhere.
    """
    if write:
        for path, text in reference.pages().items():
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(site.ROOT)}")
        return
    if stale := reference.stale():
        names = ", ".join(str(path.relative_to(site.ROOT)) for path in stale)
        raise Exit(f"error: docs: {names}: not what the code says\nnext: inv docs --write", code=1)
    if check:
        print("the reference says what the code says")
        return
    if serve:
        site.serve()
        return
    if problems := site.build():
        raise Exit("\n".join(["error: docs: the pages have problems", *problems]), code=1)
    print(f"built {site.OUT.relative_to(site.ROOT)}/index.html; every link leads somewhere")

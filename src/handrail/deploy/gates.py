"""What an environment demands before anything is changed: a green record of checks, and a person's word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.deploy.migrations import irreversible_sentence
from handrail.errors import PreflightError

if TYPE_CHECKING:
    from handrail.build.bundle import Bundle
    from handrail.deploy.run import Workshop


def check_gates(shop: Workshop, bundle: Bundle) -> None:
    """Ask what the environment demands before a deploy: a green record of checks, a person's approval."""
    require_checked(shop, bundle.commit, bundle.digest, dirty=bundle.dirty)
    ask_approval(shop, "deploy")


def check_commit(shop: Workshop) -> None:
    """Refuse an unchecked commit before anything is run or built for it; the bundle is looked at afterwards."""
    from handrail.build.git import read_git

    if shop.target.require_check and not shop.options.unsafe_untested and not shop.options.bundle:
        # Whether a file that git does not know would travel depends on the kind of bundle.
        git = read_git(shop.root, shop.runner, untracked=False, required=False)
        require_checked(shop, git.commit, "", dirty=git.dirty)


def require_checked(shop: Workshop, commit: str, digest: str, *, dirty: bool) -> None:
    """Refuse what ``inv check`` has not seen, where the environment demands that it has.

    Args:
        digest: of the bundle; empty: only the commit is asked for.

    Raises:
        PreflightError: there are uncommitted changes, or there is no green record.
    """
    if shop.target.require_check and not shop.options.unsafe_untested:
        from handrail.checks.record import require_green

        if dirty:
            raise PreflightError(
                f"{shop.target.environment} takes no uncommitted changes",
                step="check",
                next_step="commit, run inv check, deploy again; --unsafe-untested skips this",
            )
        require_green(shop.root, commit, digest)


def gate_problems(shop: Workshop, bundle: Bundle) -> list[str]:
    try:
        require_checked(shop, bundle.commit, bundle.digest, dirty=bundle.dirty)
    except PreflightError as error:
        return [error.message]
    return []


def ask_approval(shop: Workshop, verb: str) -> None:
    """Have the environment's name typed where it is declared with ``approval = true``; ``--yes`` stands for it.

    Raises:
        PreflightError: it was not typed.
    """
    if shop.target.approval and not shop.options.yes:
        demand_word(shop, verb)


def confirm_rollback(shop: Workshop, goal: str, migrations: dict[str, list[str]]) -> None:
    """Have a person agree to a rollback across migrations, also who approved of it before knowing of them.

    Raises:
        PreflightError: nobody did.
    """
    demanded = demand_irreversible(shop, goal, migrations)
    if not migrations or shop.options.with_migrations:
        return
    shop.printer.warn(
        f"the migrations of {', '.join(migrations)} stay: the code goes back to {goal}, the database does not"
    )
    if not shop.options.yes and not demanded:
        demand_word(shop, f"roll back to {goal} all the same")


def demand_word(shop: Workshop, verb: str) -> None:
    name = shop.target.environment
    prompt = f"{verb}, {shop.target.app} on {', '.join(shop.hosts)}: type {name!r} to go on: "
    if not shop.printer.confirm_word(prompt, name):
        raise PreflightError(
            f"a person has to agree to this on {name}, and its name was not typed",
            step="approval",
            next_step="run it at a terminal and type the name; --yes stands for it",
        )


def demand_irreversible(shop: Workshop, goal: str, migrations: dict[str, list[str]]) -> bool:
    """Have a person say that a rollback is meant across migrations that cannot be undone; ``--yes`` does not.

    Returns:
        whether there are such migrations; a person has agreed.

    Raises:
        PreflightError: nobody said so.
    """
    sentence = irreversible_sentence(migrations)
    if not sentence:
        return False
    if shop.options.across_irreversible:
        shop.printer.warn(f"{sentence}; {goal} will meet the schema without what it took away")
        return True
    word = next(name for names in migrations.values() for name in names)
    prompt = f"{sentence}. Roll back to {goal} all the same? Type {word!r} to go on: "
    if not shop.printer.confirm_word(prompt, word):
        raise PreflightError(
            f"{sentence}, and {goal} is older",
            step="migrate",
            next_step="deploy a release that works with the schema as it is; "
            f"where {goal} does, --across-irreversible goes back all the same",
        )
    return True

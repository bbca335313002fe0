"""The one required check of a workflow: whether every job before it succeeded.

GitHub counts a skipped job as a success, and a job is skipped when one that it needs failed. So the required job
runs always, and asks here. The results come as ``${{ toJSON(needs) }}`` in the variable ``CI_RESULTS``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from handrail.checks.verdict import Verdict
from handrail.errors import UsageError

VARIABLE = "CI_RESULTS"


def judge_results(environment: Mapping[str, str]) -> list[Verdict]:
    """Return a verdict for each job. Anything but success is red: skipped and cancelled too.

    Raises:
        UsageError: the variable is missing, empty or not what ``toJSON(needs)`` gives.
    """
    text = environment.get(VARIABLE, "")
    try:
        jobs = json.loads(text)
        results = {str(name): str(job["result"]) for name, job in jobs.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        results = {}
    if not results:
        raise UsageError(
            f"{VARIABLE} holds no results of jobs",
            next_step=f"in the workflow: env: {{ {VARIABLE}: '${{{{ toJSON(needs) }}}}' }}",
        )
    return [
        Verdict(name, "passed" if result == "success" else "failed", remark="" if result == "success" else result)
        for name, result in results.items()
    ]

"""The judgement of a canary, and the shares that its steps mean."""

from __future__ import annotations

import re
from typing import Any

import pytest

from handrail.config.schema import Canary
from handrail.deploy.baking import shares_of
from handrail.deploy.canary import Sample, judge, sample

pytestmark = pytest.mark.unit

FAST, SLOW = 30, 110  # steps of 5 % over 1 ms: about 4 ms and 210 ms
RULES = Canary(bake=60, bake_max=600, min_requests=100)


def side(requests: int, errors: int = 0, step: int = FAST) -> Sample:
    return Sample(requests, errors, {step: requests})


def test_a_good_canary_bakes_until_its_time_is_over() -> None:
    assert judge(side(1000), side(9000), RULES, 59).action == "bake"
    verdict = judge(side(1000), side(9000, 9), RULES, 60)
    assert verdict.action == "promote"
    assert verdict.why == "error rate 0 % of 1,000 requests, the rest 0.1 % of 9,000"


@pytest.mark.parametrize(
    ("canary", "rest", "why"),
    [
        (
            side(310, 13),
            side(2790, 3),
            "error rate 4.2 % of 310 requests, the rest 0.1 % of 2,790; at most 1 % more is allowed",
        ),
        (
            side(100, 6),
            side(900, 54),
            "error rate 6 % of 100 requests, the rest 6 % of 900; at most 5 % is allowed",
        ),
        (
            side(200, 0, SLOW),
            side(900),
            "p95 219 ms of 200 requests, the rest 4 ms of 900; at most 1.5 times as much is allowed",
        ),
    ],
)
def test_a_bad_canary_is_returned_at_once_with_the_numbers(canary: Sample, rest: Sample, why: str) -> None:
    verdict = judge(canary, rest, RULES, 2)
    assert (verdict.action, verdict.why) == ("return", why)


def test_errors_that_the_rest_has_too_are_not_the_canarys() -> None:
    assert judge(side(1000, 30), side(9000, 250), RULES, 60).action == "promote"


def test_a_canary_that_is_quick_enough_is_never_too_slow() -> None:
    rules = Canary(latency_floor=0.3)
    assert judge(side(200, 0, SLOW), side(900), rules, 60).action == "promote"
    assert judge(side(200, 0, SLOW), side(900), Canary(max_latency_ratio=0), 60).action == "promote"


def test_too_few_requests_bake_on_until_the_last_moment() -> None:
    verdict = judge(side(99), side(9000), RULES, 599)
    assert (verdict.action, verdict.why) == ("bake", "99 of the 100 requests that it is judged by")


@pytest.mark.parametrize("silence", ["return", "promote"])
def test_silence_means_what_was_declared(silence: Any) -> None:
    rules = Canary(on_silence=silence, bake_max=600)
    verdict = judge(side(3), side(27), rules, 600)
    assert verdict.action == silence
    assert verdict.why == f'only 3 of the 100 requests that it is judged by in 600 s, and on_silence = "{silence}"'


def test_a_canary_that_can_no_longer_pass_is_not_waited_for() -> None:
    assert judge(side(6, 5), side(50), RULES, 3).action == "bake"
    verdict = judge(side(6, 6), side(50), RULES, 3)
    assert (verdict.action, verdict.why) == ("return", "6 of its 6 requests failed; of 100 at most 5 % may")


def test_a_rest_with_too_few_requests_is_no_comparison() -> None:
    verdict = judge(side(1000, 20, SLOW), side(99), RULES, 60)
    assert verdict.action == "promote"
    assert "the rest answered too few (99) to compare with" in verdict.why


def test_samples_of_several_hosts_add_up() -> None:
    one = {"requests": 2, "errors": 1, "times": {"0": 1, "10": 1}}
    both = sample([one, {"requests": 3, "errors": 0, "times": {"10": 3}}])
    assert (both.requests, both.errors, dict(both.times)) == (5, 1, {0: 1, 10: 4})


def test_a_percentile_is_exact_to_five_per_cent() -> None:
    measured = Sample(100, 0, {40: 95, 94: 5})  # 7.0 ms and 98 ms
    assert measured.percentile(95) == pytest.approx(0.007, rel=0.06)
    assert measured.percentile(96) == pytest.approx(0.1, rel=0.06)
    assert Sample().percentile(95) == 0


def test_a_step_is_a_share_of_every_host_or_all_of_some() -> None:
    assert shares_of("25%", ["a", "b"]) == {"a": 25, "b": 25}
    assert shares_of(1, ["a", "b", "c"]) == {"a": 100, "b": 0, "c": 0}


@pytest.mark.parametrize("share", [1, 5, 10, 25, 33, 50, 99])
def test_caddys_split_takes_this_share_of_all_ids(share: int) -> None:
    from handrail.runtime.proxy import _share_of_uuids

    pattern = re.compile(_share_of_uuids(share))
    matching = sum(1 for number in range(4096) if pattern.search(f"{number:03x}0-4000"))
    assert matching == round(share * 40.96)

"""Hints name the exact command, and say nothing where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from host_facts import ready

from handrail.config.schema import Proxy
from handrail.hosts.hints import hints, public_ports
from handrail.hosts.want import Want

pytestmark = pytest.mark.unit

MakeWant = Callable[..., Want]
UFW = """\
Status: active

To                         Action      From
--                         ------      ----
22/tcp                     LIMIT       Anywhere
{}
80 (v6)                    DENY        Anywhere (v6)
"""


def accept(ports: Any) -> list[dict[str, Any]]:
    left = {"payload": {"protocol": "tcp", "field": "dport"}}
    return [{"match": {"op": "==", "left": left, "right": ports}}, {"accept": None}]


def heard(want: Want, **firewall: Any) -> list[str]:
    facts = ready(want)
    facts["firewall"].update(firewall)
    return hints(want, facts)


@pytest.mark.parametrize(
    ("kind", "site", "ports"),
    [
        ("caddy", "shop.example.com", [22, 80, 443]),
        ("caddy", "http://shop.example.com", [22, 80]),
        ("caddy", ":8080", [22, 8080]),
        ("nginx", "shop.example.com", [22, 80]),
    ],
)
def test_the_ports_are_ssh_and_those_of_the_site(kind: Any, site: str, ports: list[int], want: MakeWant) -> None:
    assert public_ports(want(proxy=Proxy(kind=kind, site=site))) == ports


def test_ufw_is_told_of_the_ports_that_it_keeps_shut(want: MakeWant) -> None:
    (hint,) = heard(want(), ufw=UFW.format("443,8000:8010/tcp         ALLOW       Anywhere"))
    assert hint == "ufw does not let port 80 in: sudo ufw allow 80/tcp"
    assert heard(want(), ufw=UFW.format("WWW Full                   ALLOW       Anywhere")) == []
    (hint,) = heard(want(), ufw=UFW.format("80,443/udp                 ALLOW       Anywhere"))
    assert hint.endswith("sudo ufw allow 80/tcp && sudo ufw allow 443/tcp")


def test_firewalld_is_told_of_the_ports_that_it_keeps_shut(want: MakeWant) -> None:
    text = "public (active)\n  services: dhcpv6-client ssh http\n  ports: 8443/tcp\n"
    (hint,) = heard(want(), firewalld=text)
    assert hint.endswith("sudo firewall-cmd --permanent --add-port=443/tcp && sudo firewall-cmd --reload")
    assert heard(want(), firewalld=text.replace("8443", "443")) == []


def test_nftables_is_told_of_the_ports_that_it_keeps_shut(want: MakeWant) -> None:
    chain = {"name": "inet filter input", "policy": "drop", "rules": [accept(22), accept({"set": [80, 8080]})]}
    (hint,) = heard(want(), nft=[chain])
    assert "sudo nft insert rule inet filter input tcp dport '{ 443 }' accept" in hint
    ranges = {**chain, "rules": [accept({"range": [1, 1024]})]}
    assert heard(want(), nft=[ranges]) == []
    closing = {**chain, "policy": "accept", "rules": [accept(22), [{"counter": {}}, {"reject": None}]]}
    (hint,) = heard(want(), nft=[closing])
    assert "{ 80, 443 }" in hint


def test_an_open_machine_is_told_how_ufw_would_close_it(want: MakeWant) -> None:
    (hint,) = heard(want())
    assert hint.startswith("no firewall is active")
    assert hint.index("allow 22/tcp") < hint.index("ufw enable"), "whoever follows it keeps the way in"


def test_an_sshd_that_would_not_let_the_user_in_is_named(want: MakeWant) -> None:
    facts = ready(want())
    facts["firewall"]["ufw"] = UFW.format("80,443/tcp ALLOW Anywhere")
    facts["sshd"] = {"allowusers": "admin root", "passwordauthentication": "yes", "authorizedkeysfile": "/etc/keys/%u"}
    said = hints(want(), facts)
    assert any("add deploy to it" in hint for hint in said)
    assert any("/etc/keys/%u" in hint for hint in said)
    assert any("PasswordAuthentication no" in hint for hint in said)
    facts["sshd"] = {"allowusers": "deploy@10.0.0.1", "authorizedkeysfile": ".ssh/authorized_keys"}
    assert hints(want(), facts) == []


def test_a_clock_and_upgrades_that_nobody_minds_are_named(want: MakeWant) -> None:
    facts = ready(want())
    facts.update(clock_synchronised="no", automatic_upgrades=False)
    said = " ".join(hints(want(), facts))
    assert "timedatectl set-ntp true" in said
    assert "unattended-upgrades" in said

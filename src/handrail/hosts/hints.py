"""What a person may want to know or to do by hand. Handrail changes no firewall, no sshd, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from handrail.config.site import parse_site
from handrail.hosts.steps import Facts
from handrail.hosts.want import Want


def hints(want: Want, facts: Facts) -> list[str]:
    """Return sentences, with the exact commands where there are such."""
    return [*_firewall(want, facts["firewall"]), *_sshd(want, facts["sshd"]), *_upkeep(facts)]


def public_ports(want: Want) -> list[int]:
    """Return the TCP ports that must be reachable from outside: SSH's, and the site's where a proxy serves it."""
    ports = [want.ssh_port]
    if want.target.proxy:
        site = parse_site(want.target.proxy.site)
        if site.port:
            ports.append(site.port)
        elif site.scheme == "http" or want.proxy == "nginx":
            ports.append(80)
        else:
            # The certificate is proved over port 80, and visitors who type no scheme come there.
            ports += [80, 443]
    return sorted(set(ports))


def _firewall(want: Want, found: Mapping[str, Any]) -> Iterator[str]:
    ports = public_ports(want)
    if "Status: active" in found["ufw"]:
        closed = [port for port in ports if not _ufw_allows(found["ufw"], port)]
        if closed:
            yield _closed("ufw", closed, " && ".join(f"sudo ufw allow {port}/tcp" for port in closed))
    elif found["firewalld"]:
        closed = [port for port in ports if not _firewalld_allows(found["firewalld"], port)]
        if closed:
            words = " ".join(f"--add-port={port}/tcp" for port in closed)
            yield _closed("firewalld", closed, f"sudo firewall-cmd --permanent {words} && sudo firewall-cmd --reload")
    else:
        shut = [chain for chain in found["nft"] if _shuts(chain)]
        for chain in shut:
            closed = [port for port in ports if not any(_accepts(rule, port) for rule in chain["rules"])]
            if closed:
                numbers = ", ".join(map(str, closed))
                command = f"sudo nft insert rule {chain['name']} tcp dport '{{ {numbers} }}' accept"
                yield _closed("nftables", closed, f"{command}, and the same in /etc/nftables.conf")
        if not shut:
            allow = " && ".join(f"sudo ufw allow {port}/tcp" for port in ports)
            yield f"no firewall is active; with ufw it would be: sudo apt install ufw && {allow} && sudo ufw enable"


def _closed(name: str, ports: list[int], command: str) -> str:
    numbers = ", ".join(map(str, ports))
    return f"{name} does not let {'ports' if len(ports) > 1 else 'port'} {numbers} in: {command}"


_PROFILES = {"OpenSSH": [22], "SSH": [22], "WWW": [80], "WWW Secure": [443], "WWW Full": [80, 443]} | {
    "Nginx HTTP": [80],
    "Nginx HTTPS": [443],
    "Nginx Full": [80, 443],
}


def _ufw_allows(text: str, port: int) -> bool:
    for line in text.splitlines():
        to, is_allowed, _ = line.partition("ALLOW") if "ALLOW" in line else line.partition("LIMIT")
        if not is_allowed:
            continue
        to = to.strip()
        numbers, _, protocol = to.partition("/")
        listed = _PROFILES.get(to, []) or ([] if protocol not in ("", "tcp") else _ports(numbers))
        if port in listed:
            return True
    return False


def _ports(text: str) -> list[int]:
    """Return the ports in ``80,443`` and ``6000:6007``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition(":")
        if first.isdigit() and (last or first).isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def _firewalld_allows(text: str, port: int) -> bool:
    words = {name.strip(): value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
    service = {22: "ssh", 80: "http", 443: "https"}.get(port, "")
    return f"{port}/tcp" in words.get("ports", []) or service in words.get("services", [])


def _shuts(chain: Mapping[str, Any]) -> bool:
    last = chain["rules"][-1] if chain["rules"] else []
    # A rule that drops everything has nothing but its verdict, and counters.
    ends = bool(last) and not any("match" in part for part in last) and any("drop" in p or "reject" in p for p in last)
    return chain["policy"] == "drop" or ends


def _accepts(rule: list[Mapping[str, Any]], port: int) -> bool:
    if not any("accept" in part for part in rule):
        return False
    for part in rule:
        left = part.get("match", {}).get("left", {})
        if not (isinstance(left, dict) and left.get("payload", {}).get("field") == "dport"):
            continue
        right = part["match"]["right"]
        listed = right.get("set", [right]) if isinstance(right, dict) else [right]
        for one in listed:
            low, high = one["range"] if isinstance(one, dict) and "range" in one else (one, one)
            if isinstance(low, int) and isinstance(high, int) and low <= port <= high:
                return True
    return False


def _sshd(want: Want, settings: Mapping[str, str]) -> Iterator[str]:
    allowed = settings.get("allowusers", "").split()
    if allowed and not any(name.partition("@")[0] in (want.user, "*") for name in allowed):
        yield f"sshd lets in {' '.join(allowed)} alone (AllowUsers): add {want.user} to it in /etc/ssh/sshd_config"
    if settings.get("allowgroups"):
        groups = settings["allowgroups"]
        yield f"sshd lets in the groups {groups} alone (AllowGroups): {want.user} must be in one of them"
    files = settings.get("authorizedkeysfile", "")
    if files and ".ssh/authorized_keys" not in files:
        yield f"sshd reads keys from {files}, not from ~/.ssh/authorized_keys"
    if settings.get("passwordauthentication") == "yes":
        yield "sshd takes passwords; keys alone are safer: PasswordAuthentication no in /etc/ssh/sshd_config"


def _upkeep(facts: Facts) -> Iterator[str]:
    if facts["clock_synchronised"] == "no":
        yield "the clock is not synchronised: sudo timedatectl set-ntp true (package systemd-timesyncd)"
    if not facts["automatic_upgrades"]:
        yield "security updates are not installed by themselves: sudo apt install unattended-upgrades"

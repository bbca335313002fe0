from __future__ import annotations

import pytest

from handrail.config.site import Site, parse_site
from handrail.errors import ConfigError
from handrail.runtime import proxy_spec

pytestmark = pytest.mark.unit

PORTS = {"web": 8000, "blue": 8000, "green": 8001}


def spec(kind: str, site: str = ":8080", *, is_root: bool = False) -> dict[str, object]:
    return proxy_spec(kind, app="shop", site=site, ports=PORTS, is_root=is_root)


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("shop.example.com", Site("", "shop.example.com", 0)),
        (":8080", Site("", "", 8080)),
        ("http://shop.example.com:8080", Site("http", "shop.example.com", 8080)),
        ("https://shop.example.com", Site("https", "shop.example.com", 0)),
    ],
)
def test_a_site_is_a_name_a_port_or_both(text: str, site: Site) -> None:
    assert parse_site(text) == site


@pytest.mark.parametrize(
    "text", ["", "http://", ":", ":99999", ":0", "shop:0", "a b", "shop;reload", "shop{", "ftp://shop", "-shop"]
)
def test_anything_that_could_break_out_of_a_configuration_file_is_no_site(text: str) -> None:
    with pytest.raises(ConfigError, match="expected one such as"):
        parse_site(text)


def test_caddys_file_is_the_same_for_all_and_a_flag_tells_who_serves() -> None:
    caddy = spec("caddy", "shop.example.com")
    content = str(caddy["content"])
    assert "shop.example.com {" in content
    assert content.count("reverse_proxy 127.0.0.1:8001 {") == 1
    assert caddy["flags"] == {
        "web": "/etc/caddy/handrail/shop.live-8000",
        "blue": "/etc/caddy/handrail/shop.live-8000",
        "green": "/etc/caddy/handrail/shop.live-8001",
    }
    assert caddy["include_line"] == "import /etc/caddy/handrail/*.caddy"


def test_nginxs_file_is_the_same_for_all_and_a_flag_tells_who_serves() -> None:
    nginx = spec("nginx", "http://shop.example.com:8080")
    content = str(nginx["content"])
    for port in (8000, 8001):
        flag = f"/etc/nginx/conf.d/handrail-shop.live-{port}"
        assert f"if (-f {flag}) {{\n        set $handrail_upstream handrail_shop.{port};" in content
        assert f"upstream handrail_shop.{port} {{\n    server 127.0.0.1:{port};\n" in content
    assert "listen 8080;" in content
    assert "server_name shop.example.com;" in content
    assert nginx["flags"]["green"] == "/etc/nginx/conf.d/handrail-shop.live-8001"
    assert nginx["test"] == [["sudo", "-n", "nginx", "-t"]]


@pytest.mark.parametrize("kind", ["caddy", "nginx"])
def test_the_proxy_can_tell_which_file_it_has_loaded(kind: str) -> None:
    made = spec(kind)
    assert str(made["content"]).count("{mark}") == 1


@pytest.mark.parametrize(("kind", "words"), [("caddy", "keepalive 1s"), ("nginx", "keepalive_timeout 1s;")])
def test_idle_connections_to_the_service_end_before_any_server_would_end_them(kind: str, words: str) -> None:
    content = str(spec(kind)["content"])
    assert content.count(words) == 3, "of each instance, and of both"


def test_a_canary_gets_its_share_from_caddy_without_a_reload() -> None:
    caddy = proxy_spec("caddy", app="shop", site=":80", ports=PORTS, is_root=True, shares=[5, 25])
    text = caddy["content"]
    assert "try_files shop.share-25-8001" in text
    assert '{http.request.uuid}.matches("^([0123])")' in text
    assert caddy["canary"]["flag"].format(share=25, port=8001) == "/etc/caddy/handrail/shop.share-25-8001"
    assert "request delete" in text, "what visitors ask for is not written down"


def test_a_canary_gets_its_share_from_nginx_by_weights_and_a_log_of_its_own() -> None:
    nginx = proxy_spec("nginx", app="shop", site=":80", ports=PORTS, is_root=False, shares=[5])
    assert "canary" not in nginx["content"]
    assert "    {servers}\n" in nginx["canary"]["content"]
    assert "access_log /var/log/nginx/handrail-shop.canary handrail_shop;" in nginx["canary"]["content"]
    assert nginx["canary"]["remove_log"] == [["sudo", "-n", "rm", "-f", "/var/log/nginx/handrail-shop.canary"]]


@pytest.mark.parametrize("kind", ["caddy", "nginx"])
def test_a_site_without_a_canary_has_no_log_and_tells_nothing_of_its_instances(kind: str) -> None:
    text = str(spec(kind)["content"]).replace("access_log off;", "")
    assert spec(kind)["canary"] is None
    assert "X-Handrail-Instance" not in text
    assert "log" not in text


def test_root_needs_no_sudo() -> None:
    assert spec("nginx", is_root=True)["reload"] == [["nginx", "-s", "reload"]]
    assert spec("nginx", is_root=True)["root"] is False


def test_certificates_are_caddys_business() -> None:
    with pytest.raises(ConfigError, match="has no certificates"):
        spec("nginx", "https://shop.example.com")


def test_an_unknown_proxy_is_refused() -> None:
    with pytest.raises(ConfigError, match="known: caddy, nginx"):
        spec("apache")


@pytest.mark.parametrize(
    ("kind", "page"), [("caddy", "/etc/caddy/handrail/shop"), ("nginx", "/etc/nginx/conf.d/handrail-shop")]
)
def test_the_maintenance_page_is_a_file_that_the_proxy_looks_for_whichever_instance_serves(
    kind: str, page: str
) -> None:
    made = spec(kind)
    assert made["page"] == f"{page}.maintenance"
    assert "shop.maintenance" in str(made["content"])
    assert "Retry-After 120" in str(made["content"])

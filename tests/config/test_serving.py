"""How clients come in, unless somebody says otherwise."""

import re
from pathlib import Path

import pytest

from proxy.arch.detection import AnswerMode, Assignment
from proxy.config.loading import load_settings
from proxy.config.serving import LogSettings, ServerSettings
from proxy.oci.errors import InvalidSetting
from proxy.oci.platforms import Platform


def test_a_server_listens_at_one_port_and_without_tls() -> None:
    assert ServerSettings().listen[1] == 5000
    assert ServerSettings().tls_certificate is None
    assert ServerSettings().tls_key is None
    assert LogSettings().level == "info"


TLS, OTHER_TLS = (f'tls_key = "/k"\ntls_certificate = "/{name}"\n' for name in "cd")
WAYS = """
[server]
trusted_proxies = ["10.0.0.0/8", "::1"]
[[listener]]
listen = "127.0.0.1:5006"
platform = "arm6"
answer = "manifest"
[[listener]]
host = "GHCR.lan"
upstream = "ghcr.io"
[[client]]
network = "192.168.7.0/24"
platform = "arm8.1"
[[client]]
network = ["10.1.1.1", "2001:db8::/32"]
answer = "manifest"
[[upstream]]
name = "ghcr.io"
tag_ttl = "1h"
"""


def test_ways_in_and_clients_are_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(WAYS)
    settings = load_settings(file, {})
    first, second = settings.listener
    assert first.listen == ("127.0.0.1", 5006)
    assert first.assignment == Assignment(Platform("linux", "arm", "v6"), AnswerMode.MANIFEST)
    assert (second.host, second.upstream, second.assignment) == ("ghcr.lan", "ghcr.io", Assignment())
    assert [one.assignment.platform for one in settings.client] == [Platform("linux", "arm64", "v8.1"), None]
    assert [str(one) for one in settings.client[1].network] == ["10.1.1.1/32", "2001:db8::/32"]
    assert [str(one) for one in settings.server.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.upstream[0].tag_ttl == 3600


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[listener]]\nplatform = "arm6"', "listener[0] is no way in of its own"),
        ('[[listener]]\nhost = "a"\n[[listener]]\nhost = "a"', "listener[1] is no way in of its own"),
        ('[[listener]]\nlisten = "0.0.0.0:5000"', "listener[0] is no way in of its own"),
        ('[[listener]]\nhost = "a:5"', "listener[0].host must be the name of a host"),
        ('[[listener]]\nhost = "a"\nupstream = "ghcr.io"', "which is no upstream here"),
        ('[[listener]]\nlisten = ":6"\ntls_key = "/k"', "go together"),
        ('[[listener]]\nhost = "a"\ntls_key = "/k"\ntls_certificate = "/c"', "a certificate is for an address"),
        (
            f'[[listener]]\nlisten = ":6"\n{TLS}[[listener]]\nlisten = ":6"\nhost = "a"\n{OTHER_TLS}',
            "listener[1]: its address has the certificate /c already",
        ),
        (
            f'[server]\n{TLS}[[listener]]\nlisten = ":5000"\nhost = "a"\n{OTHER_TLS}',
            "listener[0]: its address has the certificate /c already",
        ),
        ('[[client]]\nnetwork = []\nplatform = "arm6"', "client[0] is for nobody"),
        ('[[client]]\nplatform = "arm6"', "client[0] needs network"),
        ('[[client]]\nnetwork = "10.0.0.0/8"', "client[0] says nothing"),
        ('[[client]]\nnetwork = "10.0.0.1/8"\nplatform = "arm6"', "must be addresses or networks such as"),
    ],
)
def test_what_contradicts_itself_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(InvalidSetting, match=re.escape(said)):
        load_settings(file, {})


def test_a_network_of_ipv4_in_the_dress_of_ipv6_is_the_ipv4_one(tmp_path: Path) -> None:
    """Clients' addresses are read so, too: it would hold none of them otherwise."""
    file = tmp_path / "config.toml"
    file.write_text('[[client]]\nnetwork = ["::ffff:192.168.7.0/120", "::/90", "::ffff:10.1.1.1"]\nplatform = "rpi"')
    (client,) = load_settings(file, {}).client
    assert [str(one) for one in client.network] == ["192.168.7.0/24", "::/90", "10.1.1.1/32"]

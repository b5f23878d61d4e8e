"""k3s' `registries.yaml`, written and looked at."""

import pytest

from proxy.cli.clients.k3s import review, write
from tests.cli.clients.wishes import address, wish

MIRROR = "http://polyarch.lan:5000"


def test_an_endpoint_without_a_path_is_given_v2_by_k3s() -> None:
    (file,) = write(wish())
    assert file.path == "/etc/rancher/k3s/registries.yaml"
    assert file.body == f'mirrors:\n  "docker.io":\n    endpoint:\n      - "{MIRROR}"\n'


def test_an_endpoint_with_a_path_has_v2_written_out() -> None:
    for one in (wish(platform="rpi"), wish(f"{MIRROR}/linux-arm-v6/")):
        (file,) = write(one)
        assert file.body.endswith(f'      - "{MIRROR}/linux-arm-v6/v2"\n')


def test_other_registries_have_the_same_endpoint() -> None:
    (file,) = write(wish(registries=("ghcr.io", "*")))
    assert [line.strip() for line in file.body.splitlines() if line.startswith('  "')] == [
        '"docker.io":',
        '"ghcr.io":',
        '"*":',
    ]
    assert file.body.count(MIRROR) == 3
    assert "?ns=" in " ".join(file.notes)


def test_an_authority_of_ones_own_has_its_place() -> None:
    (file,) = write(wish("https://polyarch.lan"))
    assert '#   "polyarch.lan":\n#     tls:\n#       ca_file:' in file.text
    assert "take the marks off" in " ".join(file.notes)


# Review


def test_what_is_written_is_in_order() -> None:
    for one in (wish(), wish(platform="rpi"), wish(registries=("*",))):
        found = review(write(one)[0].text, address())
        assert found.own is not None
        assert found.troubles == ()


@pytest.mark.parametrize(
    "text",
    [
        f"mirrors:\n  docker.io:\n    endpoint:\n    - {MIRROR}/rpi\n",
        f'mirrors:\n  docker.io:\n    endpoint: ["{MIRROR}/rpi", "https://other"]\n',
        f"mirrors:\n  docker.io:\n    endpoint:\n      - '{MIRROR}/rpi' # ours\n",
    ],
)
def test_a_path_without_v2_is_a_trouble(text: str) -> None:
    found = review(text, None)
    assert found.troubles == (f'k3s adds no /v2 to an endpoint with a path: write "{MIRROR}/rpi/v2"',)


@pytest.mark.parametrize(
    "text", ["", f"# - {MIRROR}\n", "mirrors:\n  docker.io:\n    endpoint:\n      - http://other\n"]
)
def test_a_file_that_does_not_name_the_proxy(text: str) -> None:
    assert review(text, address()).own is None

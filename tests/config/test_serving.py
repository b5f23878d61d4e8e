"""How clients come in, unless somebody says otherwise."""

from proxy.config.serving import LogSettings, ServerSettings


def test_a_server_listens_at_one_port_and_without_tls() -> None:
    assert ServerSettings().listen[1] == 5000
    assert ServerSettings().tls_certificate is None
    assert ServerSettings().tls_key is None
    assert LogSettings().level == "info"

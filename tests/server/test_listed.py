from proxy.server.listed import format_moment


def test_what_never_was_has_no_moment() -> None:
    assert format_moment(None) is None
    assert format_moment(1_700_000_000.9) == "2023-11-14T22:13:20Z"

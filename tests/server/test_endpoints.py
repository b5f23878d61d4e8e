"""What a table of endpoints is made into. How calls are read is shown in `test_api`, over the server."""

from typing import Any

import pytest

from proxy.server.endpoints import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    Call,
    Endpoint,
    Parameter,
    Schema,
    describe,
    fields,
    fits,
    list_of,
    optional,
)


async def nothing(_call: Call) -> None: ...


READ = Endpoint("GET", "/one", "Look.", fields(name=TEXT), nothing, (Parameter("n", COUNT, "how many"),))
CHANGE = Endpoint("POST", "/one", "Do.", optional(TEXT), nothing, (Parameter("name", TEXT, "which", is_required=True),))
REMOVE = Endpoint("DELETE", "/one", "Undo.", optional(TEXT), nothing)


def test_each_is_described_by_path_and_method() -> None:
    described = describe((READ, CHANGE, REMOVE), "/api")
    (path,) = described["paths"].values()
    assert list(path) == ["get", "post", "delete"]
    assert path["get"]["parameters"][0] == {
        "name": "n",
        "in": "query",
        "required": False,
        "description": "how many",
        "schema": COUNT,
    }
    body = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (body["required"], list(body["properties"])) == (["name"], ["name"])
    assert ("security" in path["get"], "security" in path["post"]) == (False, True)
    assert {"200", "400", "401", "404"} <= set(path["delete"]["responses"])


def test_what_changes_something_is_told_from_what_does_not() -> None:
    assert [one.changes for one in (READ, CHANGE, REMOVE)] == [False, True, True]
    assert [one.has_body for one in (READ, CHANGE, REMOVE)] == [False, True, False]


ID = Parameter("id", TEXT, "which", is_required=True)
FOLLOW = Endpoint("GET", "/one/{id}/events", "Follow.", fields(name=TEXT), nothing, (ID,), streams=True)
START = Endpoint(
    "POST", "/one/{id}", "Begin.", fields(name=TEXT), nothing, (ID, Parameter("n", COUNT, "n")), status=202
)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/one/ab/events", {"id": "ab"}),
        ("/one/%2F/events", {"id": "%2F"}),
        ("/one//events", None),
        ("/one/ab", None),
        ("/one/ab/events/", None),
        ("/two/ab/events", None),
        (f"/one/{'x' * 101}/events", None),
    ],
)
def test_a_path_may_name_something(path: str, named: dict[str, str] | None) -> None:
    assert FOLLOW.read_path(path) == named


def test_a_path_without_names_is_itself_only() -> None:
    assert READ.read_path("/one") == {}
    assert READ.read_path("/one/") is None


def test_what_stands_in_a_path_is_described_there() -> None:
    described = describe((FOLLOW, START), "/api")["paths"]
    follow, start = described["/api/one/{id}/events"]["get"], described["/api/one/{id}"]["post"]
    assert [(one["name"], one["in"], one["required"]) for one in follow["parameters"]] == [("id", "path", True)]
    assert list(follow["responses"]["200"]["content"]) == ["text/event-stream"]
    assert [one["name"] for one in start["parameters"]] == ["id"]
    assert list(start["requestBody"]["content"]["application/json"]["schema"]["properties"]) == ["n"]
    assert ("202" in start["responses"], "200" in start["responses"]) == (True, False)


@pytest.mark.parametrize(
    ("schema", "value", "is_fit"),
    [
        (TEXT, "", True),
        (TEXT, None, False),
        (COUNT, 0, True),
        (COUNT, -1, False),
        (COUNT, True, False),
        (COUNT, 1.0, False),
        (NUMBER, 1.5, True),
        (NUMBER, False, False),
        (FLAG, False, True),
        (FLAG, 0, False),
        (optional(TEXT), None, True),
        (optional(TEXT), 1, False),
        (list_of(TEXT), ["a"], True),
        (list_of(TEXT), "a", False),
        ({**list_of(TEXT), "minItems": 1}, [], False),
        ({**list_of(TEXT), "maxItems": 1}, ["a", "b"], False),
        (fields(name=TEXT), {"name": "a"}, True),
        (fields(name=TEXT), {}, False),
        (fields(name=TEXT), {"name": "a", "more": 1}, False),
        (fields(name=TEXT), {"name": 1}, False),
        (fields(name=TEXT), [], False),
        ({"type": "object"}, {"whatever": 1}, True),
    ],
)
def test_a_value_fits_its_schema_or_does_not(schema: Schema, value: Any, *, is_fit: bool) -> None:
    assert fits(schema, value) is is_fit

"""What a table of endpoints is made into. How calls are read is shown in `test_api`, over the server."""

from proxy.server.endpoints import COUNT, TEXT, Call, Endpoint, Parameter, describe, fields, optional


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

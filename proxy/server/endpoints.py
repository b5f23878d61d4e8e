"""What the API consists of: a table, by which calls are found, checked, and described (OpenAPI 3.1)."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aiohttp import web

from proxy import version
from proxy.oci.errors import InvalidCall
from proxy.server.doors import Door

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
MAX_BODY_BYTES = 256 * 1024


def optional(schema: Schema) -> Schema:
    """Answer a schema that takes null, too."""
    return {"anyOf": [dict(schema), {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    """Answer the schema of an array."""
    return {"type": "array", "items": schema}


def fields(**properties: Schema) -> Schema:
    """Answer the schema of an object that has all of these, and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a query, or one field of a body."""

    name: str
    schema: Schema
    meaning: str
    is_required: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the API, its parameters read."""

    request: web.BaseRequest
    door: Door
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to ask for."""

    method: str
    path: str
    meaning: str
    result: Schema
    answer: Callable[[Call], Awaitable[Any]]
    parameters: tuple[Parameter, ...] = ()
    """Of the query; of the body, where the method has one."""

    @property
    def changes(self) -> bool:
        """Whether anything is different afterwards."""
        return self.method not in {"GET", "HEAD"}

    @property
    def has_body(self) -> bool:
        """Whether its parameters are in a body of JSON."""
        return self.method == "POST"


async def read_call(endpoint: Endpoint, request: web.BaseRequest, door: Door) -> Call:
    """Read the parameters of a request.

    Raises:
        InvalidCall: One is missing, unknown, or not of its type.
    """
    given: dict[str, Any] = await _read_body(request) if endpoint.has_body else dict(request.query)
    known = {one.name: one for one in endpoint.parameters}
    for name in given:
        if name not in known:
            raise InvalidCall(f"no such parameter: {name[:40]!r}; there is {', '.join(known) or 'none'}")
    read: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in given:
            read[name] = _read_value(parameter, given[name], is_text=not endpoint.has_body)
        elif parameter.is_required:
            raise InvalidCall(f"the parameter {name!r} is missing: {parameter.meaning}")
        else:
            read[name] = parameter.default
    return Call(request, door, MappingProxyType(read))


async def _read_body(request: web.BaseRequest) -> dict[str, Any]:
    if request.content_type != "application/json":  # what no page from elsewhere can send without asking first
        raise InvalidCall("the body has to be JSON: Content-Type: application/json")
    content = await request.content.read(MAX_BODY_BYTES + 1)
    if len(content) > MAX_BODY_BYTES or not request.content.at_eof():
        raise InvalidCall(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidCall("the body is no JSON") from error
    if not isinstance(found, dict):
        raise InvalidCall("the body has to be an object")
    return found


def _read_value(parameter: Parameter, value: Any, *, is_text: bool) -> Any:
    kind = parameter.schema.get("type")
    if is_text and kind == "integer":
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value  # noqa: PLR2004
    kinds: Mapping[Any, type | tuple[type, ...]] = {"string": str, "integer": int, "boolean": bool, "array": list}
    is_flag = isinstance(value, bool) and kind != "boolean"
    if is_flag or not isinstance(value, kinds.get(kind, object)) or not _fits(parameter.schema, value):
        raise InvalidCall(f"the parameter {parameter.name!r} is not what it should be: {parameter.meaning}")
    return value


def _fits(schema: Schema, value: Any) -> bool:
    if isinstance(value, int):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value) and len(value) <= schema.get("maxItems", len(value))
    return True


def describe(endpoints: Iterable[Endpoint], base: str) -> dict[str, Any]:
    """Write the OpenAPI document."""
    paths: dict[str, Any] = {}
    for one in endpoints:
        paths.setdefault(base + one.path, {})[one.method.lower()] = _describe_one(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "polyarch", "version": version.VERSION, "description": "What operators ask polyarch for."},
        "paths": paths,
        "components": {
            "schemas": {"Errors": _ERRORS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERRORS: Schema = fields(errors=list_of({"type": "object", "required": ["code", "message"]}))
_STATUSES = {
    "400": "a parameter is not what it should be",
    "401": "the token is missing, or the call does not come from this machine",
    "404": "there is no such thing",
    "405": "not by this method",
    "502": "upstream answers what it should not",
    "503": "the cache or upstream cannot be used now",
}


def _describe_one(endpoint: Endpoint) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    answers: dict[str, Any] = {code: {"description": text, "content": content} for code, text in _STATUSES.items()}
    answers["200"] = {"description": "done", "content": {"application/json": {"schema": endpoint.result}}}
    described: dict[str, Any] = {"summary": endpoint.meaning, "responses": answers}
    if endpoint.changes:
        described["security"] = [{"token": []}, {}]
    if endpoint.has_body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _body_schema(endpoint.parameters)}},
        }
    elif endpoint.parameters:
        described["parameters"] = [
            {"name": one.name, "in": "query", "required": one.is_required, "description": one.meaning}
            | {"schema": one.schema}
            for one in endpoint.parameters
        ]
    return described


def _body_schema(parameters: Iterable[Parameter]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {one.name: {**one.schema, "description": one.meaning} for one in parameters},
        "required": [one.name for one in parameters if one.is_required],
        "additionalProperties": False,
    }

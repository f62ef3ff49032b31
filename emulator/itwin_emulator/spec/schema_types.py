"""Building blocks of schemas."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
NAME: Schema = {"type": "string", "maxLength": 255, "nullable": True}
URL: Schema = {"type": "string", "pattern": "^https?://"}
"""A link. Only its beginning is checked."""


def ref(name: str) -> Schema:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, min_items: int = 0) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items} | ({"minItems": min_items} if min_items else {})


def enumeration(values: tuple[str, ...]) -> Schema:
    """Return the schema of a string with these values."""
    return {"type": "string", "enum": list(values)}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also allows null."""
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "nullable": True}


def object_(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object in a response: no other properties are allowed."""
    required_names = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **required_names, "additionalProperties": False}


def open_object(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an object in a request: other properties are allowed and ignored."""
    required_names = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **required_names}


def response(name: str, schema: str) -> Schema:
    """Return the schema of a body with one entity."""
    return object_({name: ref(schema)}, (name,))


def page(name: str, schema: str) -> Schema:
    """Return the schema of a page of a list."""
    return object_({name: array(ref(schema)), "_links": ref("paging-links")}, (name, "_links"))

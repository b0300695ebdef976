"""Validates every answer and event of a recording against Stripe's OpenAPI document, strictly: a property the document does not know is a failure too.

Differences between the document's version and ours are named in exceptions.json by place: `SCHEMA.property.path`, where SCHEMA is the nearest
named schema, e.g. `dispute_evidence.appeal`; with `values` only these enum values are excused.

usage: openapi.py OPENAPI RECORDING...
"""

import re
import sys

from recording import Document, Verdict, exceptions, lines, split

TYPES = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


class Validator:
    """Yields (place, complaint, value) for everything that does not fit."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.excuses = {row["place"]: dict(row, hits=0) for row in exceptions("answers")}

    def named(self, name, value):
        return list(self.check(self.schemas[name], value, name))

    def check(self, schema, value, place):
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            yield from self.check(self.schemas[name], value, name)
            return
        if value is None:
            if not schema.get("nullable") and (schema.get("type") or schema.get("anyOf")):
                yield place, "is null, but not nullable", value
            return
        if "anyOf" in schema:
            yield from self.any_of(schema["anyOf"], value, place)
            return
        kind = schema.get("type")
        if kind and not TYPES[kind](value):
            yield place, f"is not of type {kind}", value
            return
        if "enum" in schema and value not in schema["enum"] and not self.excused(place, value):
            yield place, "is none of the enum's values", value
        if isinstance(value, str):
            yield from self.text(schema, value, place)
        elif isinstance(value, list):
            for item in value:
                yield from self.check(schema.get("items", {}), item, place + "[]")
        elif isinstance(value, dict):
            yield from self.object(schema, value, place)

    def text(self, schema, value, place):
        if len(value) > schema.get("maxLength", len(value)):
            yield place, f"is longer than {schema['maxLength']}", value
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield place, f"does not match {schema['pattern']}", value
        if schema.get("format") == "decimal" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
            yield place, "is no decimal", value

    def object(self, schema, value, place):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        for name in schema.get("required", []):
            if name not in value:
                yield f"{place}.{name}", "is required, but missing", None
        for name, item in value.items():
            if name in properties:
                yield from self.check(properties[name], item, f"{place}.{name}")
            elif isinstance(extra, dict):
                yield from self.check(extra, item, f"{place}.*")
            elif properties and not extra and not self.excused(f"{place}.{name}", None):
                yield f"{place}.{name}", "is not known to the document", item

    def any_of(self, options, value, place):
        """The option that fits; else the complaints about the one that was meant (same `object`), or the one with the fewest."""
        best = None
        for option in options:
            complaints = list(self.check(option, value, place))
            if not complaints:
                return
            rank = (not self.meant(option, value), len(complaints))
            if best is None or rank < best[0]:
                best = rank, complaints
        yield from best[1]

    def meant(self, option, value):
        schema = self.schemas[option["$ref"].rsplit("/", 1)[1]] if "$ref" in option else option
        if not isinstance(value, dict):
            return schema.get("type") != "object"
        return value.get("object") in schema.get("properties", {}).get("object", {}).get("enum", ["?"])

    def excused(self, place, value):
        row = self.excuses.get(place)
        if row is None or (value is not None and value not in row.get("values", [])):
            return False
        row["hits"] += 1
        return True


def answers(document, validator, exchange):
    """(what was judged, complaints) of one exchange; None if there is nothing to judge."""
    path, _ = split(exchange)
    status, body = exchange.get("status", 0), exchange.get("response")
    method = exchange["method"].upper()
    template, operation = document.route(method, path)
    if 200 <= status < 300:
        if operation is None:
            return f"{method} {path}", [("path", "is not in the document", path)]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        return f"{method} {template}", list(validator.check(schema, body, f"({method} {template})"))
    if 400 <= status < 600 and isinstance(body, dict):
        return f"{status} {method} {template or path}", validator.named("error", body)
    return None


def event(validator, body):
    """Complaints about an event and about the object in it."""
    complaints = validator.named("event", body)
    data = body.get("data") if isinstance(body.get("data"), dict) else {}
    content = data.get("object") if isinstance(data.get("object"), dict) else {}
    name = content.get("object")
    if name not in validator.schemas:
        return complaints + [("event.data.object.object", "names no known schema", name)]
    complaints += validator.named(name, content)
    known = validator.schemas[name].get("properties", {})
    for field in data.get("previous_attributes") or {}:
        if field not in known and f"{name}.{field}" not in validator.excuses:
            complaints.append((f"event.data.previous_attributes.{field}", f"is no property of {name}", field))
    return complaints


def main():
    openapi, *files = sys.argv[1:]
    document, verdict = Document(openapi), Verdict("openapi")
    validator = Validator(document.schemas)
    kinds = {}
    for row in (row for file in files for row in lines(file)):
        if "event" in row:
            judged = f"event {row['event'].get('type')}", event(validator, row["event"])
        else:
            judged = answers(document, validator, row)
        if judged is None:
            continue
        what, complaints = judged
        kinds[what] = kinds.get(what, 0) + 1
        for place, complaint, value in complaints:
            verdict.fail(f"{place} {complaint}", f"{what}: {str(value)[:160]}")
        if not complaints:
            verdict.ok()
    for place, row in validator.excuses.items():
        if not row["hits"]:
            verdict.note(f"exception never needed: {place}")
    verdict.note(f"{sum(kinds.values())} answers and events of {len(kinds)} kinds, document {document.version()}")
    verdict.end()


if __name__ == "__main__":
    main()

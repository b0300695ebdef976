"""What the judges share: recordings (JSON lines), Stripe's OpenAPI document, the named exceptions, and the line at the end.

A line of a recording is an exchange {method, path, body, headers, status, response} (body: the form as sent; path may carry the query; response:
JSON, or absent) or {event}: an event object as delivered to a webhook.
"""

import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

HERE = Path(__file__).parent


def lines(file):
    with open(file) as opened:
        return [json.loads(line) for line in opened if line.strip()]


def exceptions(kind):
    return json.loads((HERE / "exceptions.json").read_text())[kind]


class Document:
    """Stripe's OpenAPI document."""

    def __init__(self, file):
        self.raw = json.loads(Path(file).read_text())
        self.schemas = self.raw["components"]["schemas"]
        self.routes = []
        for template, operations in self.raw["paths"].items():
            pattern = re.compile("^" + re.sub(r"\\?\{[^}]*\\?\}", "[^/]+", template) + "$")
            # A written segment is nearer than an id.
            self.routes.append((template.count("{"), template, pattern, operations))
        self.routes.sort(key=lambda route: route[0])

    def route(self, method, path):
        """(template, operation) of a call, or (None, None)."""
        for _, template, pattern, operations in self.routes:
            if method.lower() in operations and pattern.match(path):
                return template, operations[method.lower()]
        return None, None

    def version(self):
        return self.raw["info"]["version"]


def split(exchange):
    """(path without query, [(name, value)]) of an exchange."""
    path, _, query = exchange["path"].partition("?")
    path = re.sub(r"^https?://[^/]+", "", path)
    sent = parse_qsl(query, keep_blank_values=True) + parse_qsl(exchange.get("body") or "", keep_blank_values=True)
    return path, sent


def plain(name):
    """A parameter's name without positions: line_items[0][price] is line_items[][price]."""
    return re.sub(r"\[\d+\]", "[]", name)


class Verdict:
    """Counts, prints each distinct failure once, and ends the process."""

    def __init__(self, judge):
        self.judge, self.passed, self.failures, self.notes = judge, 0, {}, []

    def ok(self):
        self.passed += 1

    def fail(self, what, example=""):
        self.failures.setdefault(what, [0, example])[0] += 1

    def note(self, text):
        self.notes.append(text)

    def end(self):
        for what, (count, example) in sorted(self.failures.items()):
            print(f"  FAILED {what}" + (f" ({count} times)" if count > 1 else "") + (f"\n         e.g. {example}" if example else ""))
        for text in self.notes:
            print(f"  note: {text}")
        print(f"{self.judge}: {self.passed} passed, {len(self.failures)} failed")
        # Nothing judged is not a pass.
        sys.exit(1 if self.failures or not self.passed else 0)

"""Reads the parameter types of the installed Stripe SDK and writes the simulator's request contract.

The SDK's sources are parsed, never run: each service class names method, path and parameter class of a call; each parameter class
is a TypedDict. Equal types are stored once, so the file stays small; keys and numbering depend on the sources alone, so it is reproducible.

The contract is {"api_version", "calls": {"POST /v1/refunds": N}, "sdk", "types": [...]}. A type is
  "string" | "integer" | "boolean" | "decimal" | "any" | "empty" (the empty string, which unsets a value),
  {"enum": [..]} | {"array": N} | {"map": N} | {"any_of": [N, ..]} | {"object": {"name": N, "name!": N}} ("!" marks a required one),
where N is a position in "types". The SDK does not tell a timestamp from an integer: both are "integer".
"""

import ast
import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

OUT = Path("local/src/stripe/contract.json")
SDK = Path(next(iter(find_spec("stripe").submodule_search_locations)))

# Service file -> what of it the contract covers (a pattern on the path).
SERVICES = {
    "_account_service.py": r"/v1/account$",
    "_balance_service.py": r".*",
    "_balance_transaction_service.py": r".*",
    "_charge_service.py": r".*",
    "_customer_payment_method_service.py": r".*",
    "_customer_service.py": r".*",
    "_dispute_service.py": r".*",
    "_event_service.py": r".*",
    "_invoice_item_service.py": r".*",
    "_invoice_line_item_service.py": r".*",
    "_invoice_payment_service.py": r".*",
    "_invoice_service.py": r".*",
    "_payment_intent_service.py": r".*",
    "_payment_method_service.py": r".*",
    "_payout_service.py": r".*",
    "_price_service.py": r".*",
    "_product_service.py": r".*",
    "_refund_service.py": r".*",
    "_review_service.py": r".*",
    "_setup_intent_service.py": r".*",
    "_subscription_item_service.py": r".*",
    "_subscription_service.py": r".*",
    "_webhook_endpoint_service.py": r".*",
    "checkout/_session_line_item_service.py": r".*",
    "checkout/_session_service.py": r".*",
    "radar/_early_fraud_warning_service.py": r".*",
}
SCALARS = {"str": "string", "int": "integer", "bool": "boolean", "Decimal": "decimal", "float": "decimal", "Any": "any"}


class Types:
    """All types met so far, each distinct one once."""

    def __init__(self):
        self.rows, self.index = [], {}

    def add(self, row):
        text = json.dumps(row, sort_keys=True, separators=(",", ":"))
        if text not in self.index:
            self.index[text] = len(self.rows)
            self.rows.append(row)
        return self.index[text]


class Reader:
    """Turns the parameter classes of one module into types (a class name such as SessionCreateParams exists in several modules)."""

    def __init__(self, types, module):
        self.types, self.classes, self.done = types, {}, {}
        file = SDK.parent / (module.replace(".", "/") + ".py")
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = node
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                # Names that are Python keywords ("from") come as TypedDict("_Base", {...}).
                self.classes[node.targets[0].id] = node.value

    def fields(self, name):
        node = self.classes[name]
        if isinstance(node, ast.Call):
            return {key.value: value for key, value in zip(node.args[1].keys, node.args[1].values)}
        found = {}
        for base in node.bases:
            if base.id not in ("TypedDict", "RequestOptions"):
                found.update(self.fields(base.id))
        for item in node.body:
            if isinstance(item, ast.AnnAssign):
                found[item.target.id] = item.annotation
        return found

    def cls(self, name):
        if name not in self.done:
            rows = {}
            for field, annotation in self.fields(name).items():
                required, kind = self.requirement(annotation)
                rows[field + ("!" if required else "")] = self.kind(kind)
            self.done[name] = self.types.add({"object": rows})
        return self.done[name]

    def requirement(self, node):
        node = unquoted(node)
        if isinstance(node, ast.Subscript) and node.value.id == "NotRequired":
            return False, node.slice
        return True, node

    def kind(self, node):
        options = list(self.options(node))
        # The SDK declares every enum open ("Literal[...]|str"): a server does not.
        if any(isinstance(o, tuple) for o in options):
            options = [o for o in options if o != "string"] if any(isinstance(o, tuple) and o != ("",) for o in options) else options
        rows, values = [], []
        for option in options:
            if isinstance(option, tuple):
                values += [v for v in option if v != ""]
                if "" in option:
                    rows.append(self.types.add("empty"))
            elif isinstance(option, str):
                rows.append(self.types.add(option))
            else:
                rows.append(option)
        if values:
            rows.append(self.types.add({"enum": sorted(set(values))}))
        rows = sorted(set(rows), key=rows.index)
        return rows[0] if len(rows) == 1 else self.types.add({"any_of": rows})

    def options(self, node):
        """The alternatives of an annotation: a tuple of literals, the name of a scalar, or the number of a type."""
        node = unquoted(node)
        if isinstance(node, ast.BinOp):
            yield from self.options(node.left)
            yield from self.options(node.right)
        elif isinstance(node, ast.Name):
            yield SCALARS[node.id] if node.id in SCALARS else self.cls(node.id)
        elif isinstance(node, ast.Subscript):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            generic = node.value.id
            if generic in ("Union", "Optional"):
                for part in inner:
                    yield from self.options(part)
            elif generic == "Literal":
                yield tuple(part.value for part in inner)
            elif generic == "List":
                yield self.types.add({"array": self.kind(inner[0])})
            elif generic == "Dict":
                yield self.types.add({"map": self.kind(inner[1])})
            elif generic != "UntypedStripeObject":  # which only repeats the Dict beside it
                raise ValueError(f"unknown generic {generic}")
        else:
            raise ValueError(f"unknown annotation {ast.dump(node)}")


def unquoted(node):
    while isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value.strip(), mode="eval").body
    return node


def calls_of(file):
    """Yields (method, path, module and name of the parameter class or None) of each call of a service."""
    tree = ast.parse((SDK / file).read_text())
    modules = {alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        params = next((a.annotation for a in function.args.args if a.arg == "params"), None)
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "_request":
                method, path = call.args[0].value, call.args[1]
                if isinstance(path, ast.Call):  # "...{id}".format(id=...)
                    path = path.func.value
                name = params and re.search(r"\w+Params\w*", ast.unparse(params)).group(0)
                yield method.upper(), path.value, (modules[name], name) if name else None


def contract():
    types = Types()
    readers = {}
    empty = types.add({"object": {}})
    calls = {}
    for file, wanted in sorted(SERVICES.items()):
        for method, path, name in calls_of(file):
            if re.search(wanted, path):
                call = f"{method} {path}"
                calls[call] = empty
                if name:
                    module, cls = name
                    if module not in readers:
                        readers[module] = Reader(types, module)
                    calls[call] = readers[module].cls(cls)
    api_version = re.search(r'"(\d{4}-.*?)"', (SDK / "_api_version.py").read_text()).group(1)
    return {"api_version": api_version, "calls": calls, "sdk": f"stripe {version('stripe')}", "types": types.rows}


def text_of(made):
    """One call and one type a line: a new version of the SDK is then a diff that can be read."""

    def compact(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    calls = ",\n".join(f"{compact(k)}:{v}" for k, v in sorted(made["calls"].items()))
    types = ",\n".join(compact(row) for row in made["types"])
    head = f'{{"api_version":{compact(made["api_version"])},"sdk":{compact(made["sdk"])}'
    return f'{head},"calls":{{\n{calls}\n}},"types":[\n{types}\n]}}\n'


def main():
    made = contract()
    text = text_of(made)
    assert json.loads(text) == made
    if "--check" in sys.argv[1:]:
        same = OUT.exists() and OUT.read_text() == text
        print(f"contract: {1 if same else 0} passed, {0 if same else 1} failed ({len(made['calls'])} calls)")
        sys.exit(0 if same else 1)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text)
    print(f"{OUT}: {len(made['calls'])} calls, {len(made['types'])} types, {len(text)} bytes")


if __name__ == "__main__":
    main()

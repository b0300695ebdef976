"""What each role of the transformed template may do: role, action, resource, and under which condition, a line each.

Usage: rights.py TRANSFORMED.json          prints the lines
       rights.py TRANSFORMED.json --check  compares them with tests/golden/rights.txt

A change of a right is a change of this file, so that it is read by a person before it is deployed. Rewritten by:
  scripts/transform-template > /tmp/t.json && tests/deployed/rights.py /tmp/t.json > tests/golden/rights.txt
"""

import difflib
import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "rights.txt"


def text(value):
    """A resource as the template says it, in one word."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(sorted(map(text, value)))
    (name, inner), *more = value.items()
    if more:
        return json.dumps(value, sort_keys=True)
    if name == "Ref":
        return "${" + inner + "}"
    if name == "Fn::GetAtt":
        return "${" + (inner if isinstance(inner, str) else ".".join(inner)) + "}"
    if name == "Fn::Sub":
        return inner if isinstance(inner, str) else text(inner[0])
    if name == "Fn::If":
        return "if {}: {}; else: {}".format(inner[0], text(inner[1]), text(inner[2]))
    return json.dumps(value, sort_keys=True)


def listed(value):
    return value if isinstance(value, list) else [value]


def branches(value):
    """What stands here under which condition: itself, or either side of an `Fn::If`."""
    if "Fn::If" not in value:
        return [(value, "")]
    condition, yes, no = value["Fn::If"]
    return [(held, name) for held, name in ((yes, condition), (no, "not " + condition)) if "Ref" not in held]


def statements(role):
    for whole in role["Properties"].get("Policies", []):
        for policy, outer in branches(whole):
            for one in listed(policy["PolicyDocument"]["Statement"]):
                for statement, inner in branches(one):
                    yield statement, inner or outer


def lines(template):
    for name, role in sorted(template["Resources"].items()):
        if role["Type"] != "AWS::IAM::Role":
            continue
        if role["Properties"].get("ManagedPolicyArns"):
            yield f"{name}  managed policies {text(role['Properties']['ManagedPolicyArns'])}"
        for statement, branch in statements(role):
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    condition = json.dumps(statement["Condition"], sort_keys=True) if "Condition" in statement else ""
                    parts = [name, statement["Effect"], action, text(resource), branch and f"if {branch}", condition]
                    yield "  ".join(part for part in parts if part)


def main():
    found = sorted(set(lines(json.load(open(sys.argv[1])))))
    if sys.argv[2:] != ["--check"]:
        print("\n".join(found))
        return
    golden = GOLDEN.read_text().splitlines()
    if golden != found:
        print("\n".join(difflib.unified_diff(golden, found, str(GOLDEN), "the template", lineterm="", n=0)))
        sys.exit("the roles' rights are not those of tests/golden/rights.txt: see the head of tests/deployed/rights.py")
    print(f"{len(found)} rights, as in tests/golden/rights.txt")


main()

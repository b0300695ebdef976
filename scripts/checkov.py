"""scripts/checkov's second half: checkov's findings against the waivers, and the copy with a hole."""

import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib

WAIVERS = pathlib.Path(__file__).with_suffix(".toml")
# What the copy lacks, and the check that must say so.
HOLE = ("ReportsBucket", "PublicAccessBlockConfiguration", "CKV_AWS_53")


def findings(checkov, template):
    """(check, resource) of everything that failed."""
    command = [checkov, "-f", str(template), "--framework", "cloudformation", "secrets", "-o", "json", "--skip-download", "--quiet"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        reports = json.loads(said.stdout)
    except json.JSONDecodeError:
        sys.exit(f"checkov did not end well ({said.returncode}): {said.stderr[-2000:]}")
    reports = reports if isinstance(reports, list) else [reports]
    if not any(r.get("summary", {}).get("passed", 0) > 50 for r in reports):
        sys.exit("checkov looked at next to nothing: is that the transformed template?")
    failed = [f for r in reports for f in r["results"]["failed_checks"]]
    return {(f["check_id"], f["resource"].rpartition(".")[2]): f["check_name"] for f in failed}


def main():
    checkov, template = sys.argv[1], pathlib.Path(sys.argv[2])
    waivers = tomllib.loads(WAIVERS.read_text())
    found = findings(checkov, template)
    problems = [
        f"{check} on {resource}: {name}" for (check, resource), name in sorted(found.items())
        if not any(resource.endswith(kind) for kind in waivers.get(check, {}).get("on", []))
    ]
    for check, waiver in waivers.items():
        if not waiver.get("why"):
            problems.append(f"the waiver of {check} gives no reason")
        for kind in waiver["on"]:
            if not any(c == check and resource.endswith(kind) for c, resource in found):
                problems.append(f"the waiver of {check} on ...{kind} is needed no more")
    if problems:
        sys.exit("\n".join(problems) + f"\nmend template.yaml, or give the reason in {WAIVERS.name}")

    resource, property_, check = HOLE
    holed = json.loads(template.read_text())
    del holed["Resources"][resource]["Properties"][property_]
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "template.json"
        copy.write_text(json.dumps(holed, indent=1))
        if (check, resource) not in findings(checkov, copy):
            sys.exit(f"{resource} without {property_} is not noticed: this check cannot fail")
    print(f"checkov: {len(found)} findings, each with one of {len(waivers)} waivers; a hole is noticed")


main()

"""Stripe's official Python SDK as a client of our simulator: it must not notice that it is not talking to Stripe.

usage: sdk.py [--record FILE] [check ...]

Starts `target/debug/tandem stripe --port P --json` (another command by TANDEM_STRIPE_COMMAND, with {port} in it), which prints one JSON line:
{"base_url", "key", "restricted_key" (reads charges, nothing else), "control" (base of its controls)}. TANDEM_STRIPE_URL and
TANDEM_STRIPE_KEY name a running one instead (also TANDEM_STRIPE_RESTRICTED_KEY, TANDEM_STRIPE_CONTROL).
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import checks_payments  # noqa: F401  the checks register themselves
import checks_rest  # noqa: F401
from bench import CHECKS, Hooks, Recorder, Shop, Skipped


def start():
    if os.environ.get("TANDEM_STRIPE_URL"):
        names = {"base_url": "URL", "key": "KEY", "restricted_key": "RESTRICTED_KEY", "control": "CONTROL"}
        return None, {k: os.environ.get(f"TANDEM_STRIPE_{v}") for k, v in names.items()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = os.environ.get("TANDEM_STRIPE_COMMAND", os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), "debug/tandem") + " stripe --port {port} --json").format(port=port)
    process = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    if not line:
        sys.exit(f"`{command}` did not start")
    return process, json.loads(line)


def run(shop, wanted):
    passed, failed, skipped = 0, 0, 0
    for function in CHECKS:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function(shop)
            passed += 1
        except Skipped as why:
            skipped += 1
            print(f"  skipped {function.__name__}: {why}")
        except Exception as error:
            failed += 1
            own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name.startswith("checks_")]
            place = f"{Path(own[0].filename).name}:{own[0].lineno}" if own else "?"
            print(f"  FAILED {function.__name__} ({place}): {type(error).__name__}: {str(error)[:300]}")
    print(f"sdk: {passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return failed == 0 and passed > 0


def main():
    arguments = sys.argv[1:]
    file = None
    if arguments[:1] == ["--record"]:
        file, arguments = open(arguments[1], "w"), arguments[2:]
    process, told = start()
    recorder, hooks = Recorder(file), Hooks()
    try:
        shop = Shop(told, recorder, hooks)
        shop.endpoint = shop.api.webhook_endpoints.create({"url": hooks.url, "enabled_events": ["*"], "api_version": "2026-10-28.endive"})
        good = run(shop, set(arguments))
        if file:
            # Every event that exists, as the list shows it: the same objects that were delivered.
            for event in shop.api.events.list({"limit": 100}).auto_paging_iter():
                recorder.write({"event": event.to_dict()})
            file.close()
    finally:
        if process:
            process.terminate()
            process.wait(timeout=10)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

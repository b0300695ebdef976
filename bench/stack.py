"""The local stack (`tandem serve`) as the measurements use it: orders in it, and events that give each function something to do.

Invariant: what a function answers is looked at; a function that did not do its work is not measured.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS_TO_START = 120
WORKERS = {
    "payment-creator": "orders", "payment-recorder": "payments", "refund-processor": "refunds",
    "failure-handler": "failures", "order-updater": "order-updates", "notifier": "notifications",
}
FUNCTIONS = ["webhook-receiver", "payment-page", *WORKERS, "sweeper", "reconciler"]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tandem():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = pathlib.Path(os.environ.get("TANDEM_BIN", target / "debug" / "tandem"))
    if not binary.exists():
        sys.exit(f"{binary} is not there: run `cargo build` first")
    return binary


@contextlib.contextmanager
def serving():
    """A stack of its own and its addresses, as long as the block lasts."""
    # Its own folder: the file with its addresses must not replace that of a stack somebody uses.
    with tempfile.TemporaryDirectory() as folder:
        serve = subprocess.Popen(
            [tandem(), "serve", "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True,
        )
        try:
            yield json.loads(serve.stdout.readline())
        finally:
            os.killpg(serve.pid, signal.SIGTERM)
            serve.wait()


def place(stack):
    """One order of the demo shop; its id is where the shop leads to."""
    fields = {"product": product(stack), "currency": "EUR", "collection": "page", "capture": "at_once", "customer": "buyer1"}
    body = urllib.parse.urlencode(fields).encode()
    with DIRECT.open(stack["shop"] + "/place", data=body, timeout=10) as page:
        return page.geturl().rstrip("/").rsplit("/", 1)[-1]


def product(stack):
    with DIRECT.open(stack["shop"] + "/", timeout=10) as page:
        return re.search(r'name="product"><option value="([^"]+)"', page.read().decode()).group(1)


def until(what, look):
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    sys.exit(f"{what}: not in {SECONDS_TO_START} s")


def pay_link(stack, order):
    with DIRECT.open(f"{stack['shop']}/o/{order}", timeout=10) as page:
        found = re.search(r'id="pay" href="([^"]+)"', page.read().decode())
        return found and found.group(1)


def example(name, file):
    return json.loads((ROOT / "events" / name / file).read_text())


def batch(name, bodies):
    event = example(name, "wake.json")
    record = event["Records"][0]
    records = [dict(record, messageId=f"m{i}", body=json.dumps(body)) for i, body in enumerate(bodies)]
    return {"Records": records}


def signed(stack, order):
    """The shop's notice, signed as the shop signs it."""
    event = example("webhook-receiver", "checkout-order-created.json")
    body = json.dumps({"type": "order.updated", "data": {"id": order, "version": 1}})
    delivery, now = "msg_memory_1", str(int(time.time()))
    key = base64.b64decode(stack["shop_webhook_secret"].removeprefix("whsec_"))
    mac = hmac.new(key, f"{delivery}.{now}.{body}".encode(), hashlib.sha256).digest()
    event["body"] = body
    event["headers"].update({
        "webhook-id": delivery, "webhook-timestamp": now, "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        "content-length": str(len(body)),
    })
    return event


def pressed(link):
    event = example("payment-page", "post.json")
    path = urllib.parse.urlparse(link).path
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    return event


def woken(stack, name, orders):
    """A batch that tells a worker to look at these orders."""
    key = lambda order: f"{stack['resources']['TANDEM_STACK']}#checkout#shop#{order}"
    return batch(name, [{"v": 1, "corr": f"bench{i}", "kind": "wake", "order": key(o)} for i, o in enumerate(orders)])


def work(stack, orders, link):
    """An event for every function that makes it do its part."""
    return {
        "webhook-receiver": signed(stack, orders[0]),
        "payment-page": pressed(link),
        "sweeper": example("sweeper", "schedule.json"),
        "reconciler": {"detail": {}, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
        **{name: woken(stack, name, orders) for name in WORKERS},
    }


def answer_is_good(name, answer):
    if name in WORKERS:
        return answer.get("batchItemFailures") == []
    if name == "webhook-receiver":
        return answer.get("statusCode") == 200
    return name != "payment-page" or answer.get("statusCode") in (200, 303)

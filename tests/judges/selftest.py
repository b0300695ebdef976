"""Judges the judges: what Stripe's own mock answers must pass, and what is known to be wrong must be found.

usage: selftest.py STRIPE_MOCK OPENAPI
"""

import copy
import json
import sys
from urllib.request import Request, urlopen

from openapi import Validator, answers, event
from recording import Document, Verdict
from stripe_mock import send, start

GOOD = [
    "/v1/customers/cus_1", "/v1/customers", "/v1/payment_intents/pi_1", "/v1/payment_intents", "/v1/charges/ch_1", "/v1/refunds/re_1",
    "/v1/disputes/dp_1", "/v1/checkout/sessions/cs_1", "/v1/events/evt_1", "/v1/events", "/v1/balance_transactions/txn_1", "/v1/payouts/po_1",
    "/v1/payment_methods/pm_1", "/v1/setup_intents/seti_1", "/v1/invoices/in_1", "/v1/subscriptions/sub_1", "/v1/account", "/v1/balance",
]
WRONG_REQUESTS = [
    ("/v1/refunds", [("amount", "five")]),
    ("/v1/refunds", [("amout", "5")]),
    ("/v1/payment_intents", [("amount", "5")]),
    ("/v1/checkout/sessions", [("mode", "unicorn")]),
]


def broken(intent):
    """(what is wrong, the intent with that fault)."""
    for name, change in (
        ("unknown property", lambda i: i.update(unicorn=1)),
        ("missing property", lambda i: i.pop("livemode")),
        ("wrong type", lambda i: i.update(amount="5")),
        ("boolean for a number", lambda i: i.update(amount=True)),
        ("unknown enum value", lambda i: i.update(status="unicorn")),
        ("null that may not be", lambda i: i.update(id=None)),
        ("incomplete expansion", lambda i: i.update(customer={"object": "customer", "id": "cus_1"})),
    ):
        changed = copy.deepcopy(intent)
        change(changed)
        yield name, changed


def main():
    binary, openapi = sys.argv[1:]
    document, verdict = Document(openapi), Verdict("selftest")
    validator = Validator(document.schemas)
    process, base = start(binary)
    try:
        fixtures = {}
        for path in GOOD:
            with urlopen(Request(base + path, headers={"Authorization": "Bearer " + "sk_test_" + "judge"}), timeout=20) as answer:
                fixtures[path] = json.loads(answer.read())
            _, complaints = answers(document, validator, {"method": "GET", "path": path, "status": 200, "response": fixtures[path]})
            verdict.fail(f"refused Stripe's own {path}", str(complaints[:3])) if complaints else verdict.ok()
        intent = fixtures["/v1/payment_intents/pi_1"]
        for name, changed in broken(intent):
            body = {**fixtures["/v1/events/evt_1"], "type": "payment_intent.created", "data": {"object": changed}}
            _, complaints = answers(document, validator, {"method": "GET", "path": "/v1/payment_intents/pi_1", "status": 200, "response": changed})
            verdict.ok() if complaints and event(validator, body) else verdict.fail(f"did not see: {name}")
        for path, sent in WRONG_REQUESTS:
            status, _ = send(base, "POST", path, sent)
            verdict.ok() if status == 400 else verdict.fail(f"the mock accepted {path} {sent}")
    finally:
        process.kill()
        process.wait()
    verdict.end()


if __name__ == "__main__":
    main()

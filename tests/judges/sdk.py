"""Stripe's official Python SDK as a client of our simulator: it must not notice that it is not talking to Stripe.

usage: sdk.py [--record FILE] [check ...]

Starts `target/debug/tandem stripe --port P --json` (another command by TANDEM_STRIPE_COMMAND, with {port} in it), which prints one JSON line:
{"base_url", "key", "restricted_key" (reads charges, nothing else), "control" (base of the simulator's controls)}. TANDEM_STRIPE_URL and
TANDEM_STRIPE_KEY name a running one instead (also TANDEM_STRIPE_RESTRICTED_KEY, TANDEM_STRIPE_CONTROL).
"""

import http.server
import json
import os
import queue
import shlex
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import stripe

CHECKS = []
NO_REDIRECTS = {"enabled": True, "allow_redirects": "never"}


def check(function):
    CHECKS.append(function)
    return function


class Recorder(stripe.RequestsClient):
    """The SDK's own HTTP client, which also writes down what it says and hears."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def request(self, method, url, headers, post_data=None, **more):
        body, status, answered = super().request(method, url, headers, post_data, **more)
        where = urlsplit(url)
        path = where.path + (f"?{where.query}" if where.query else "")
        sent = {k: v for k, v in (headers or {}).items() if k.lower() not in ("authorization", "x-stripe-client-user-agent")}
        self.write({"method": method.upper(), "path": path, "body": post_data or "", "headers": sent, "status": status, "response": parsed(body)})
        return body, status, answered

    def write(self, row):
        if self.file:
            self.file.write(json.dumps(row) + "\n")


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return None


class Hooks:
    """A webhook receiver: keeps what arrives."""

    def __init__(self):
        arrived = self.arrived = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                arrived.put((body, self.headers.get("Stripe-Signature")))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, wanted, seconds=15):
        """The first delivery that `wanted(event)` accepts, as (bytes, signature)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                body, signature = self.arrived.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                break
            if wanted(json.loads(body)):
                return body, signature
        raise AssertionError("no such delivery arrived")


class Skipped(Exception):
    pass


def optional(function):
    """A check of an endpoint that the simulator need not have."""

    def checked(shop):
        try:
            function(shop)
        except stripe.InvalidRequestError as error:
            if error.http_status == 404 and "Unrecognized request URL" in str(error):
                raise Skipped("the simulator does not have this endpoint") from error
            raise

    checked.__name__ = function.__name__
    return checked


def soon(read, seconds=8):
    """What `read` returns as soon as it is something; things that Stripe does a little later."""
    end = time.monotonic() + seconds
    while not (seen := read()):
        assert time.monotonic() < end, f"nothing within {seconds} s"
        time.sleep(0.1)
    return seen


def raises(kind, call, **wanted):
    """The exception of `call`, which must be of this SDK class with these attributes."""
    try:
        call()
    except stripe.StripeError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        for name, value in wanted.items():
            seen = getattr(error, name)
            assert seen == value, f"{name} is {seen!r}, not {value!r}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def equal(seen, wanted):
    assert seen == wanted, f"{seen!r} is not {wanted!r}"


def key():
    return {"idempotency_key": uuid.uuid4().hex}


class Shop:
    """Short cuts for what most checks begin with."""

    def __init__(self, start, recorder, hooks):
        self.start, self.recorder, self.hooks = start, recorder, hooks
        self.api = self.client(start["key"]).v1

    def client(self, secret, **more):
        return stripe.StripeClient(
            secret, base_addresses={"api": self.start["base_url"]}, http_client=self.recorder, max_network_retries=0, **more
        )

    def customer(self, **params):
        return self.api.customers.create({"email": f"{uuid.uuid4().hex[:8]}@example.com", "name": "Ada Byron", **params})

    def intent(self, amount=2000, currency="eur", **params):
        return self.api.payment_intents.create({"amount": amount, "currency": currency, "automatic_payment_methods": NO_REDIRECTS, **params})

    def confirm(self, intent, card="pm_card_visa", options=None, **params):
        return self.api.payment_intents.confirm(intent.id, {"payment_method": card, **params}, options or {})

    def paid(self, amount=2000, currency="eur", card="pm_card_visa", **params):
        return self.confirm(self.intent(amount, currency, **params), card)

    def session(self, **params):
        line = {"quantity": 2, "price_data": {"currency": "eur", "unit_amount": 750, "product_data": {"name": "Tea"}}}
        return self.api.checkout.sessions.create(
            {"mode": "payment", "success_url": "https://shop.example/ok", "line_items": [line], "metadata": {"order": "7"}, **params}
        )

    def control(self, path, body):
        if not self.start.get("control"):
            raise Skipped("the simulator names no control address")
        request = Request(self.start["control"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
        urlopen(request, timeout=10).read()


# Customers


@check
def customers_are_created_updated_and_found(shop):
    made = shop.customer(metadata={"a": "1", "b": "2"}, address={"line1": "1 Rd", "country": "DE"})
    assert made.id.startswith("cus_") and made.object == "customer" and made.livemode is False
    changed = shop.api.customers.update(made.id, {"metadata": {"a": "", "c": "3"}, "phone": "+49301234"})
    equal(changed.metadata.to_dict(), {"b": "2", "c": "3"})
    equal((changed.phone, changed.name, changed.address.country), ("+49301234", "Ada Byron", "DE"))
    equal([c.id for c in shop.api.customers.list({"email": made.email}).data], [made.id])
    equal(shop.api.customers.update(made.id, {"metadata": ""}).metadata.to_dict(), {})


@check
def a_deleted_customer_says_so_and_cannot_be_charged(shop):
    made = shop.customer()
    gone = shop.api.customers.delete(made.id)
    equal((gone.deleted, gone.id), (True, made.id))
    equal(shop.api.customers.retrieve(made.id).deleted, True)
    equal(shop.api.customers.list({"email": made.email}).data, [])
    raises(stripe.InvalidRequestError, lambda: shop.intent(customer=made.id), http_status=400, code="resource_missing", param="customer")


@check
def what_does_not_exist_is_404(shop):
    for resource, name in (("customers", "cus_nope"), ("payment_intents", "pi_nope"), ("charges", "ch_nope"), ("refunds", "re_nope"), ("events", "evt_nope")):
        error = raises(stripe.InvalidRequestError, lambda: getattr(shop.api, resource).retrieve(name), http_status=404, code="resource_missing")
        assert name in error.user_message and error.request_id.startswith("req_"), error
    raises(stripe.InvalidRequestError, lambda: shop.api.checkout.sessions.retrieve("cs_test_nope"), http_status=404, code="resource_missing")


# Payment intents


@check
def an_intent_waits_for_a_payment_method(shop):
    made = shop.intent(metadata={"order": "7"})
    equal((made.status, made.amount, made.currency), ("requires_payment_method", 2000, "eur"))
    equal((made.latest_charge, made.amount_received, made.payment_method), (None, 0, None))
    equal(made.capture_method, "automatic_async")
    assert made.client_secret.startswith(made.id + "_secret_")
    with_method = shop.intent(payment_method="pm_card_visa")
    equal(with_method.status, "requires_confirmation")


@check
def a_good_card_pays(shop):
    paid = shop.paid(customer=shop.customer().id)
    equal((paid.status, paid.amount_received, paid.last_payment_error), ("succeeded", 2000, None))
    charge = shop.api.charges.retrieve(paid.latest_charge)
    equal((charge.status, charge.paid, charge.captured, charge.refunded, charge.amount), ("succeeded", True, True, False, 2000))
    equal((charge.payment_intent, charge.amount_captured, charge.amount_refunded), (paid.id, 2000, 0))
    card = charge.payment_method_details.card
    equal((card.brand, card.last4), ("visa", "4242"))
    # With automatic_async the entry in the balance may come after the success.
    entry = soon(lambda: shop.api.charges.retrieve(paid.latest_charge, {"expand": ["balance_transaction"]}).balance_transaction)
    equal((entry.type, entry.amount, entry.source), ("charge", 2000, charge.id))
    assert entry.fee > 0 and entry.net == entry.amount - entry.fee
    equal([t.id for t in shop.api.balance_transactions.list({"source": charge.id}).data], [entry.id])


DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", {"generic_decline"}),
    "pm_card_chargeDeclined": ("card_declined", {"generic_decline"}),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", {"insufficient_funds"}),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", {"lost_card"}),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", {"stolen_card"}),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", {None, "expired_card"}),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", {None, "incorrect_cvc"}),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", {None, "processing_error"}),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("card_declined", {"card_velocity_exceeded"}),
}


def declines(token):
    def declined(shop):
        code, reasons = DECLINES[token]
        made = shop.intent()
        error = raises(stripe.CardError, lambda: shop.confirm(made, token), http_status=402, code=code)
        assert error.error.decline_code in reasons, error.error.decline_code
        assert error.user_message
        equal(error.error.payment_intent.status, "requires_payment_method")
        now = shop.api.payment_intents.retrieve(made.id)
        equal((now.status, now.payment_method, now.last_payment_error.code), ("requires_payment_method", None, code))
        equal(now.last_payment_error.type, "card_error")
        assert now.last_payment_error.payment_method.id.startswith("pm_")
        charge = shop.api.charges.retrieve(error.error.charge)
        equal((charge.status, charge.paid, charge.failure_code, charge.balance_transaction), ("failed", False, code, None))
        equal(now.latest_charge, charge.id)
        assert charge.outcome.type == "issuer_declined" and charge.outcome.network_status == "declined_by_network"

    declined.__name__ = f"{token}_declines"
    return declined


for token in DECLINES:
    check(declines(token))


@check
def the_same_intent_is_paid_after_a_decline(shop):
    made = shop.intent()
    declined = raises(stripe.CardError, lambda: shop.confirm(made, "pm_card_visa_chargeDeclined"))
    paid = shop.confirm(made)
    equal((paid.id, paid.status, paid.last_payment_error), (made.id, "succeeded", None))
    charges = shop.api.charges.list({"payment_intent": made.id}).data
    equal([c.id for c in charges], [paid.latest_charge, declined.error.charge])


@check
def a_declined_creation_leaves_an_intent(shop):
    def make():
        shop.intent(payment_method="pm_card_visa_chargeDeclined", confirm=True, metadata={"m": "x"})

    error = raises(stripe.CardError, make, http_status=402, code="card_declined")
    equal(shop.api.payment_intents.retrieve(error.error.payment_intent.id).status, "requires_payment_method")


@check
def authentication_is_asked_of_a_present_buyer(shop):
    made = shop.api.payment_intents.create({"amount": 900, "currency": "eur", "automatic_payment_methods": {"enabled": True}})
    asked = shop.confirm(made, "pm_card_authenticationRequired", return_url="https://shop.example/back")
    equal((asked.status, asked.next_action.type), ("requires_action", "redirect_to_url"))
    assert asked.next_action.redirect_to_url.url.startswith("http")
    canceled = shop.api.payment_intents.cancel(made.id, {"cancellation_reason": "abandoned"})
    equal((canceled.status, canceled.cancellation_reason), ("canceled", "abandoned"))
    assert canceled.canceled_at


@check
def authentication_fails_off_session(shop):
    customer = shop.customer()
    card = shop.api.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    made = shop.intent(customer=customer.id)
    error = raises(stripe.CardError, lambda: shop.confirm(made, card.id, off_session=True), http_status=402, code="authentication_required")
    equal(error.error.decline_code, "authentication_required")
    equal(error.error.payment_intent.status, "requires_payment_method")


@check
def a_return_url_is_needed_where_redirects_are_possible(shop):
    made = shop.api.payment_intents.create({"amount": 900, "currency": "eur", "automatic_payment_methods": {"enabled": True}})
    raises(stripe.InvalidRequestError, lambda: shop.confirm(made), http_status=400)


@check
def a_hold_is_captured_in_part(shop):
    held = shop.paid(capture_method="manual")
    equal((held.status, held.amount_capturable, held.amount_received), ("requires_capture", 2000, 0))
    charge = shop.api.charges.retrieve(held.latest_charge)
    equal((charge.captured, charge.amount_captured, charge.balance_transaction), (False, 0, None))
    assert charge.payment_method_details.card.capture_before > time.time()
    raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.capture(held.id, {"amount_to_capture": 2001}), http_status=400)
    taken = shop.api.payment_intents.capture(held.id, {"amount_to_capture": 1500})
    equal((taken.status, taken.amount_received, taken.amount_capturable), ("succeeded", 1500, 0))
    charge = shop.api.charges.retrieve(held.latest_charge, {"expand": ["balance_transaction"]})
    equal((charge.captured, charge.amount_captured, charge.balance_transaction.amount), (True, 1500, 1500))
    error = raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.capture(held.id), code="payment_intent_unexpected_state", http_status=400)
    equal(error.error.payment_intent.id, held.id)


@check
def a_hold_is_released(shop):
    held = shop.paid(capture_method="manual")
    equal(shop.api.payment_intents.cancel(held.id).status, "canceled")
    raises(stripe.InvalidRequestError, lambda: shop.confirm(held), code="payment_intent_unexpected_state")


@check
def what_succeeded_cannot_be_canceled_or_confirmed_again(shop):
    paid = shop.paid()
    raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.cancel(paid.id), code="payment_intent_unexpected_state", http_status=400)
    raises(stripe.InvalidRequestError, lambda: shop.confirm(paid), code="payment_intent_unexpected_state", http_status=400)
    raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.update(paid.id, {"amount": 5}), http_status=400)


@check
def an_unpaid_intent_changes_its_amount(shop):
    made = shop.intent()
    changed = shop.api.payment_intents.update(made.id, {"amount": 2500, "description": "Order 7"})
    equal((changed.amount, changed.description), (2500, "Order 7"))
    equal(shop.confirm(made).amount_received, 2500)


@check
def yen_have_no_minor_unit(shop):
    equal(shop.paid(500, "jpy").amount_received, 500)


# Idempotency


@check
def the_same_key_is_the_same_intent(shop):
    options, customer = key(), shop.customer().id
    params = {"amount": 2000, "currency": "eur", "customer": customer}
    first = shop.api.payment_intents.create(params, options)
    again = shop.api.payment_intents.create(params, options)
    equal(again.id, first.id)
    equal(again.last_response.headers.get("Idempotent-Replayed"), "true")
    equal(again.last_response.headers.get("Idempotency-Key"), options["idempotency_key"])
    equal(len(shop.api.payment_intents.list({"customer": customer}).data), 1)


@check
def the_same_key_with_another_body_is_refused(shop):
    options = key()
    shop.api.payment_intents.create({"amount": 2000, "currency": "eur"}, options)
    raises(stripe.IdempotencyError, lambda: shop.api.payment_intents.create({"amount": 2001, "currency": "eur"}, options), http_status=400)


@check
def the_same_key_on_another_path_is_refused(shop):
    options = key()
    shop.api.customers.create({"name": "Ada"}, options)
    raises(stripe.IdempotencyError, lambda: shop.api.payment_intents.create({"amount": 200, "currency": "eur"}, options))


@check
def a_decline_is_replayed(shop):
    made, options = shop.intent(), key()
    first = raises(stripe.CardError, lambda: shop.confirm(made, "pm_card_visa_chargeDeclined", options))
    again = raises(stripe.CardError, lambda: shop.confirm(made, "pm_card_visa_chargeDeclined", options))
    equal(again.error.charge, first.error.charge)
    equal(len(shop.api.charges.list({"payment_intent": made.id}).data), 1)


@check
def a_validation_failure_does_not_use_up_the_key(shop):
    options = key()
    raises(stripe.InvalidRequestError, lambda: shop.api.customers.create({"nmae": "Ada"}, options), code="parameter_unknown")
    equal(shop.api.customers.create({"name": "Ada"}, options).name, "Ada")


# Refunds


@check
def refunds_use_up_the_charge(shop):
    paid = shop.paid()
    part = shop.api.refunds.create({"payment_intent": paid.id, "amount": 500, "metadata": {"r": "1"}, "reason": "requested_by_customer"})
    equal((part.status, part.amount, part.charge, part.payment_intent), ("succeeded", 500, paid.latest_charge, paid.id))
    charge = shop.api.charges.retrieve(paid.latest_charge)
    equal((charge.amount_refunded, charge.refunded), (500, False))
    raises(stripe.InvalidRequestError, lambda: shop.api.refunds.create({"charge": charge.id, "amount": 1501}), http_status=400)
    rest = shop.api.refunds.create({"charge": charge.id})
    equal(rest.amount, 1500)
    equal(shop.api.charges.retrieve(charge.id).refunded, True)
    raises(stripe.InvalidRequestError, lambda: shop.api.refunds.create({"payment_intent": paid.id}), code="charge_already_refunded", http_status=400)
    for filters in ({"payment_intent": paid.id}, {"charge": charge.id}):
        equal([r.id for r in shop.api.refunds.list(filters).data], [rest.id, part.id])
    entry = shop.api.balance_transactions.retrieve(part.balance_transaction)
    equal((entry.type, entry.amount, entry.source), ("refund", -500, part.id))
    equal(shop.api.payment_intents.retrieve(paid.id).status, "succeeded")


@check
def a_slow_refund_is_pending(shop):
    paid = shop.paid(card="pm_card_pendingRefund")
    made = shop.api.refunds.create({"payment_intent": paid.id})
    equal(made.status, "pending")


@check
def an_unpaid_intent_cannot_be_refunded(shop):
    made = shop.intent()
    raises(stripe.InvalidRequestError, lambda: shop.api.refunds.create({"payment_intent": made.id}), http_status=400)


# Saved cards


@check
def cards_are_saved_listed_and_removed(shop):
    customer = shop.customer()
    card = shop.api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    assert card.id.startswith("pm_") and card.id != "pm_card_visa"
    equal((card.customer, card.card.last4), (customer.id, "4242"))
    equal([c.id for c in shop.api.customers.payment_methods.list(customer.id).data], [card.id])
    equal([c.id for c in shop.api.payment_methods.list({"customer": customer.id, "type": "card"}).data], [card.id])
    paid = shop.confirm(shop.intent(customer=customer.id), card.id, off_session=True)
    equal((paid.status, paid.payment_method), ("succeeded", card.id))
    equal(shop.api.payment_methods.detach(card.id).customer, None)
    equal(shop.api.customers.payment_methods.list(customer.id).data, [])


@check
def a_declining_card_cannot_be_saved(shop):
    customer = shop.customer().id
    raises(stripe.CardError, lambda: shop.api.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer}), code="card_declined")
    saved = shop.api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    made = shop.intent(customer=customer)
    raises(stripe.CardError, lambda: shop.confirm(made, saved.id, off_session=True), code="card_declined")


@check
@optional
def a_setup_intent_saves_a_card(shop):
    customer = shop.customer()
    made = shop.api.setup_intents.create(
        {"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True, "automatic_payment_methods": NO_REDIRECTS}
    )
    equal((made.status, made.usage, made.customer), ("succeeded", "off_session", customer.id))
    equal([c.id for c in shop.api.customers.payment_methods.list(customer.id).data], [made.payment_method])


@check
def paying_can_save_the_card(shop):
    customer = shop.customer()
    paid = shop.paid(customer=customer.id, setup_future_usage="off_session")
    equal([c.id for c in shop.api.customers.payment_methods.list(customer.id).data], [paid.payment_method])


# Lists and expansion


@check
def lists_page_forwards_and_backwards(shop):
    email = f"{uuid.uuid4().hex[:8]}@example.com"
    made = [shop.api.customers.create({"email": email, "name": str(n)}).id for n in range(120)]
    newest_first = made[::-1]
    first = shop.api.customers.list({"email": email})
    equal((len(first.data), first.has_more, first.url), (10, True, "/v1/customers"))
    equal([c.id for c in shop.api.customers.list({"email": email, "limit": 50}).auto_paging_iter()], newest_first)
    backwards = shop.api.customers.list({"email": email, "limit": 50, "ending_before": newest_first[-1]})
    equal(backwards.has_more, True)
    equal([c.id for c in backwards.auto_paging_iter()], newest_first[:-1][::-1])
    last = shop.api.customers.list({"email": email, "limit": 100, "starting_after": newest_first[99]})
    equal(([c.id for c in last.data], last.has_more), (newest_first[100:], False))


@check
def limits_and_cursors_are_checked(shop):
    for limit in (0, 101):
        raises(stripe.InvalidRequestError, lambda: shop.api.customers.list({"limit": limit}), http_status=400, param="limit")
    raises(stripe.InvalidRequestError, lambda: shop.api.customers.list({"starting_after": "cus_nope"}), code="resource_missing", param="starting_after")


@check
def created_windows_bound_a_list(shop):
    made = shop.customer()
    def ids(window):
        return [c.id for c in shop.api.customers.list({"email": made.email, "created": window}).data]

    equal(ids({"gte": made.created}), [made.id])
    equal(ids({"gt": made.created}), [])
    equal(ids({"lt": made.created}), [])
    equal(ids({"lte": made.created}), [made.id])
    equal(ids(made.created), [made.id])


@check
def ids_expand_to_objects(shop):
    customer = shop.customer()
    paid = shop.paid(customer=customer.id)
    soon(lambda: shop.api.charges.retrieve(paid.latest_charge).balance_transaction)
    full = shop.api.payment_intents.retrieve(paid.id, {"expand": ["customer", "latest_charge.balance_transaction", "payment_method"]})
    equal((full.customer.id, full.latest_charge.id), (customer.id, paid.latest_charge))
    equal(full.latest_charge.balance_transaction.object, "balance_transaction")
    equal(full.payment_method.object, "payment_method")
    listed = shop.api.payment_intents.list({"customer": customer.id, "expand": ["data.customer"]})
    equal(listed.data[0].customer.email, customer.email)
    shop.api.refunds.create({"payment_intent": paid.id, "amount": 100})
    charge = shop.api.charges.retrieve(paid.latest_charge, {"expand": ["refunds"]})
    equal(charge.refunds.data[0].amount, 100)
    raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.retrieve(paid.id, {"expand": ["unicorn"]}), http_status=400)


# Checkout


@check
def a_session_opens_and_makes_no_intent_yet(shop):
    made = shop.session(client_reference_id="order-7", customer_email="ada@example.com", expand=["line_items"])
    equal((made.status, made.payment_status, made.mode, made.payment_intent), ("open", "unpaid", "payment", None))
    equal((made.amount_total, made.amount_subtotal, made.currency, made.client_reference_id), (1500, 1500, "eur", "order-7"))
    assert made.id.startswith("cs_test_") and made.url.startswith("http")
    equal(made.expires_at - made.created, 86400)
    equal((made.line_items.data[0].quantity, made.line_items.data[0].amount_total, made.line_items.data[0].description), (2, 1500, "Tea"))
    lines = shop.api.checkout.sessions.line_items.list(made.id)
    equal([(l.quantity, l.price.unit_amount) for l in lines.data], [(2, 750)])
    assert not hasattr(shop.api.checkout.sessions.retrieve(made.id), "line_items")


@check
def a_session_expires_once(shop):
    customer = shop.customer()
    made = shop.session(customer=customer.id)
    equal([s.id for s in shop.api.checkout.sessions.list({"customer": customer.id, "status": "open"}).data], [made.id])
    gone = shop.api.checkout.sessions.expire(made.id)
    equal((gone.status, gone.url, gone.payment_status), ("expired", None, "unpaid"))
    raises(stripe.InvalidRequestError, lambda: shop.api.checkout.sessions.expire(made.id), http_status=400)
    equal([s.id for s in shop.api.checkout.sessions.list({"customer": customer.id, "status": "open"}).data], [])


@check
def a_session_is_checked_when_it_is_made(shop):
    # The simulator's clock, which may have been moved.
    now = shop.customer().created
    raises(stripe.InvalidRequestError, lambda: shop.session(expires_at=now + 60), http_status=400, param="expires_at")
    raises(stripe.InvalidRequestError, lambda: shop.session(expires_at=now + 90_000), http_status=400, param="expires_at")
    raises(stripe.InvalidRequestError, lambda: shop.session(payment_method_types=["card"]), code="payment_method_types_no_longer_supported")
    line = {"quantity": 1, "price_data": {"unit_amount": 5, "product_data": {"name": "x"}}}
    raises(stripe.InvalidRequestError, lambda: shop.session(line_items=[line]), code="parameter_missing", param="line_items[0][price_data][currency]")


def submit(url, **fields):
    """A buyer sends the page's form; the page that follows, and where it stands."""
    try:
        opener = build_opener(NoRedirect)
        with opener.open(Request(url, urlencode(fields).encode(), method="POST"), timeout=10) as page:
            return page.status, page.read().decode(), page.headers.get("Location")
    except HTTPError as page:
        return page.code, page.read().decode(), page.headers.get("Location")


CARD = {"exp": "12 / 40", "cvc": "123", "action": "pay"}


@check
def a_buyer_pays_a_session(shop):
    customer = shop.customer()
    made = shop.session(
        customer=customer.id, success_url="https://shop.example/ok?s={CHECKOUT_SESSION_ID}", payment_intent_data={"metadata": {"order": "7"}}
    )
    # The page shows the customer's own address and does not let it be changed.
    status, page, _ = submit(made.url, email=customer.email, card_number="4000000000000002", **CARD)
    assert "declined" in page.lower(), (status, page[:300])
    open_still = shop.api.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    equal((open_still.status, open_still.payment_status), ("open", "unpaid"))
    equal((open_still.payment_intent.status, open_still.payment_intent.metadata["order"]), ("requires_payment_method", "7"))
    equal(open_still.payment_intent.last_payment_error.decline_code, "generic_decline")
    raises(stripe.InvalidRequestError, lambda: shop.confirm(open_still.payment_intent), http_status=400)
    raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.cancel(open_still.payment_intent.id), http_status=400)
    status, _, place = submit(made.url, email=customer.email, card_number="4242 4242 4242 4242", **CARD)
    equal((status, place), (303, f"https://shop.example/ok?s={made.id}"))
    done = shop.api.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent.latest_charge"]})
    equal((done.status, done.payment_status, done.url, done.customer), ("complete", "paid", None, customer.id))
    equal((done.payment_intent.amount_received, done.payment_intent.latest_charge.paid), (1500, True))
    equal(done.customer_details.email, customer.email)
    equal([s.id for s in shop.api.checkout.sessions.list({"payment_intent": done.payment_intent.id}).data], [made.id])
    raises(stripe.InvalidRequestError, lambda: shop.api.checkout.sessions.expire(made.id), http_status=400)
    body, _ = shop.hooks.wait(lambda e: e["type"] == "checkout.session.completed" and e["data"]["object"]["id"] == made.id)
    equal(json.loads(body)["data"]["object"]["payment_status"], "paid")


@check
def a_buyer_authenticates_and_the_hold_is_captured(shop):
    made = shop.session(payment_intent_data={"capture_method": "manual", "setup_future_usage": "off_session"}, customer=shop.customer().id)
    submit(made.url, email="ada@example.com", card_number="4000002760003184", **CARD)
    equal(shop.api.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]}).payment_intent.status, "requires_action")
    submit(made.url, action="complete")
    done = shop.api.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    equal((done.status, done.payment_status, done.payment_intent.status), ("complete", "unpaid", "requires_capture"))
    equal(shop.api.payment_intents.capture(done.payment_intent.id).status, "succeeded")


@check
def an_open_session_changes_its_metadata(shop):
    made = shop.session()
    equal(shop.api.checkout.sessions.update(made.id, {"metadata": {"extra": "1"}}).metadata.to_dict(), {"order": "7", "extra": "1"})


# Refusals


@check
def bad_parameters_are_named(shop):
    bad = [
        ({"amount": 100, "currency": "eur", "amout": 1}, "parameter_unknown", "amout"),
        ({"amount": 100}, "parameter_missing", "currency"),
        ({"amount": "ten", "currency": "eur"}, "parameter_invalid_integer", "amount"),
        ({"amount": 100, "currency": "eur", "payment_method_types": ["card"]}, "payment_method_types_no_longer_supported", "payment_method_types"),
        ({"amount": 100, "currency": "eur", "capture_method": "later"}, None, "capture_method"),
        ({"amount": 1, "currency": "eur"}, "amount_too_small", "amount"),
    ]
    for params, code, param in bad:
        raises(stripe.InvalidRequestError, lambda: shop.api.payment_intents.create(params), http_status=400, code=code, param=param)


@check
def metadata_is_limited(shop):
    for metadata in ({str(n): "x" for n in range(51)}, {"k" * 41: "x"}, {"k": "x" * 501}):
        raises(stripe.InvalidRequestError, lambda: shop.customer(metadata=metadata), http_status=400)


@check
def a_wrong_key_is_unauthorized(shop):
    client = shop.client("sk_" + "test_wrong")
    raises(stripe.AuthenticationError, lambda: client.v1.customers.list(), http_status=401)


@check
def a_restricted_key_is_forbidden_the_rest(shop):
    restricted = shop.start.get("restricted_key")
    if not restricted:
        raise Skipped("the simulator names no restricted key")
    client = shop.client(restricted)
    client.v1.charges.list({"limit": 1})
    raises(stripe.PermissionError, lambda: client.v1.refunds.create({"charge": "ch_1"}), http_status=403)
    raises(stripe.PermissionError, lambda: client.v1.customers.create({"name": "x"}), http_status=403)


@check
def rate_limits_name_their_reason(shop):
    shop.control("/faults", {"method": "GET", "path": "/v1/payouts", "times": 1, "mode": {"rate_limited": "endpoint-rate"}})
    error = raises(stripe.RateLimitError, lambda: shop.api.payouts.list(), http_status=429)
    equal(error.headers.get("Stripe-Rate-Limited-Reason"), "endpoint-rate")
    shop.api.payouts.list()


@check
def lock_timeouts_are_retried_by_the_sdk(shop):
    shop.control("/faults", {"method": "GET", "path": "/v1/payouts", "times": 1, "mode": "lock_timeout"})
    client = stripe.StripeClient(shop.start["key"], base_addresses={"api": shop.start["base_url"]}, max_network_retries=1)
    client.v1.payouts.list()


# Events and webhooks


@check
def events_tell_what_happened(shop):
    options = key()
    made = shop.intent()
    shop.confirm(made, options=options)
    since = {"created": {"gte": made.created}, "limit": 100}
    mine = [e for e in shop.api.events.list(since).auto_paging_iter() if e.data.object.to_dict().get("id") == made.id]
    equal([e.type for e in mine], ["payment_intent.succeeded", "payment_intent.created"])
    done = mine[0]
    equal((done.object, done.api_version, done.livemode), ("event", "2026-10-28.endive", False))
    equal(done.request.idempotency_key, options["idempotency_key"])
    equal((done.data.object["status"], mine[1].data.object["status"]), ("succeeded", "requires_payment_method"))
    equal(shop.api.events.retrieve(done.id).id, done.id)
    for filters in ({"type": "payment_intent.*"}, {"types": ["payment_intent.succeeded", "charge.refunded"]}):
        kinds = {e.type for e in shop.api.events.list({**since, **filters}).auto_paging_iter()}
        assert "payment_intent.succeeded" in kinds and not any(k.startswith("customer") or k == "charge.succeeded" for k in kinds), kinds


@check
def webhooks_are_signed(shop):
    made = shop.paid()
    body, signature = shop.hooks.wait(lambda e: e["type"] == "payment_intent.succeeded" and e["data"]["object"]["id"] == made.id)
    secret = shop.endpoint.secret
    event = stripe.Webhook.construct_event(body, signature, secret)
    equal((event.type, event.api_version), ("payment_intent.succeeded", "2026-10-28.endive"))
    equal(shop.api.events.retrieve(event.id).type, event.type)
    for bad_body, bad_signature, bad_secret in (
        (body.replace(b"succeeded", b"succeedet"), signature, secret),
        (body, signature, secret + "x"),
        (body, signature.replace("t=", "t=1"), secret),
    ):
        try:
            stripe.Webhook.construct_event(bad_body, bad_signature, bad_secret)
        except stripe.SignatureVerificationError:
            continue
        raise AssertionError("an altered delivery was accepted")


@check
def an_endpoint_hears_only_what_it_asked_for(shop):
    other = Hooks()
    made = shop.api.webhook_endpoints.create({"url": other.url, "enabled_events": ["refund.created"]})
    assert made.secret.startswith("whsec_")
    assert not hasattr(shop.api.webhook_endpoints.retrieve(made.id), "secret")
    refund = shop.api.refunds.create({"payment_intent": shop.paid().id})
    body, _ = other.wait(lambda e: True)
    equal((json.loads(body)["type"], json.loads(body)["data"]["object"]["id"]), ("refund.created", refund.id))
    equal(shop.api.webhook_endpoints.delete(made.id).deleted, True)


# Disputes, payouts, account


@check
def a_disputed_charge_can_be_answered(shop):
    paid = shop.paid(card="pm_card_createDispute")
    dispute = soon(lambda: shop.api.disputes.list({"payment_intent": paid.id}).data)[0]
    equal((dispute.status, dispute.reason, dispute.amount, dispute.charge), ("needs_response", "fraudulent", 2000, paid.latest_charge))
    equal(shop.api.charges.retrieve(paid.latest_charge).disputed, True)
    answered = shop.api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True})
    assert answered.status in ("under_review", "won"), answered.status


@check
def an_inquiry_takes_no_money(shop):
    paid = shop.paid(card="pm_card_createDisputeInquiry")
    inquiry = soon(lambda: shop.api.disputes.list({"payment_intent": paid.id}).data)[0]
    equal((inquiry.status, inquiry.balance_transactions), ("warning_needs_response", []))


@check
def an_accepted_dispute_is_lost(shop):
    paid = shop.paid(card="pm_card_createDispute")
    dispute = soon(lambda: shop.api.disputes.list({"charge": paid.latest_charge}).data)[0]
    equal(dispute.balance_transactions[0].amount, -2000)
    equal(shop.api.disputes.close(dispute.id).status, "lost")
    equal(shop.api.disputes.retrieve(dispute.id).status, "lost")
    raises(stripe.InvalidRequestError, lambda: shop.api.refunds.create({"charge": paid.latest_charge}), http_status=400)


@check
def a_failed_refund_gives_the_money_back(shop):
    paid = shop.paid(card="pm_card_refundFail")
    made = shop.api.refunds.create({"payment_intent": paid.id})
    equal(made.status, "succeeded")
    shop.control("/clock", {"advance_seconds": 3600})
    failed = soon(lambda: [r for r in [shop.api.refunds.retrieve(made.id)] if r.status == "failed"])[0]
    assert failed.failure_reason and failed.failure_balance_transaction
    equal(shop.api.charges.retrieve(paid.latest_charge).amount_refunded, 0)


@check
def the_other_calls_answer(shop):
    paid = shop.paid()
    equal(shop.api.charges.update(paid.latest_charge, {"metadata": {"a": "1"}}).metadata["a"], "1")
    refund = shop.api.refunds.create({"charge": paid.latest_charge, "amount": 100})
    equal(shop.api.refunds.update(refund.id, {"metadata": {"a": "1"}}).metadata["a"], "1")
    pending = shop.api.refunds.create({"payment_intent": shop.paid(card="pm_card_pendingRefund").id})
    equal(shop.api.refunds.retrieve(pending.id, {"expand": ["charge"]}).charge.object, "charge")
    card = shop.api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"name": "Ada"}})
    equal(shop.api.payment_methods.retrieve(card.id).billing_details.name, "Ada")
    equal(shop.api.payment_methods.update(card.id, {"metadata": {"a": "1"}}).metadata["a"], "1")
    customer = shop.customer()
    held = shop.api.payment_methods.attach(card.id, {"customer": customer.id})
    equal(shop.api.customers.payment_methods.retrieve(customer.id, held.id).id, held.id)
    endpoint = shop.api.webhook_endpoints.create({"url": shop.hooks.url, "enabled_events": ["payout.paid"], "description": "judge"})
    equal(shop.api.webhook_endpoints.update(endpoint.id, {"disabled": True}).status, "disabled")
    assert endpoint.id in [e.id for e in shop.api.webhook_endpoints.list().data]
    shop.api.webhook_endpoints.delete(endpoint.id)
    kinds = {t.type for t in shop.api.balance_transactions.list({"limit": 100})}
    assert "charge" in kinds or "refund" in kinds, kinds


@check
@optional
def the_account_can_be_read(shop):
    account = shop.api.accounts.retrieve_current()
    assert account.id.startswith("acct_")


@check
def the_balance_and_the_payouts_can_be_read(shop):
    balance = shop.api.balance.retrieve()
    assert balance.livemode is False and balance.pending is not None
    equal(shop.api.payouts.list({"limit": 3}).object, "list")


def start():
    if os.environ.get("TANDEM_STRIPE_URL"):
        names = {"base_url": "URL", "key": "KEY", "restricted_key": "RESTRICTED_KEY", "control": "CONTROL"}
        return None, {k: os.environ.get(f"TANDEM_STRIPE_{v}") for k, v in names.items()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = os.environ.get("TANDEM_STRIPE_COMMAND", "target/debug/tandem stripe --port {port} --json").format(port=port)
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
            line = traceback.extract_tb(error.__traceback__)
            own = [frame.lineno for frame in line if frame.filename == __file__]
            print(f"  FAILED {function.__name__} (line {own[-1] if len(own) == 1 else own[1]}): {type(error).__name__}: {str(error)[:300]}")
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

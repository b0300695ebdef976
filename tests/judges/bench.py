"""The bench on which Stripe's SDK tries our simulator: a recording client, a webhook receiver, and short cuts."""

import http.server
import json
import queue
import threading
import time
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


def submit(url, **fields):
    """A buyer sends the page's form; the page that follows, and where it stands."""
    try:
        opener = build_opener(NoRedirect)
        with opener.open(Request(url, urlencode(fields).encode(), method="POST"), timeout=10) as page:
            return page.status, page.read().decode(), page.headers.get("Location")
    except HTTPError as page:
        return page.code, page.read().decode(), page.headers.get("Location")


CARD = {"exp": "12 / 40", "cvc": "123", "action": "pay"}

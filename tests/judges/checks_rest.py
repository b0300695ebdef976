"""What the SDK must see of lists, Checkout, refusals, events, webhooks, disputes and the account."""

import json
import uuid

import stripe

from bench import CARD, Hooks, Skipped, check, equal, key, optional, raises, soon, submit


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
    shop.control("/faults", {"method": "GET", "path": "/v1/payouts", "times": 1, "mode": "rate_limited", "reason": "endpoint-rate"})
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

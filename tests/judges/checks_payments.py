"""What the SDK must see of customers, intents, idempotency, refunds and saved cards."""

import time

import stripe

from bench import NO_REDIRECTS, check, equal, key, optional, raises, soon


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

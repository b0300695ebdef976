//! `/v1/payment_intents`.

use serde_json::json;

use super::Answer;
use crate::stripe::charging::Manner;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::objects::{IntentStatus, Object as _, PaymentIntent};
use crate::stripe::world::World;
use crate::stripe::{list, money};

const CAPTURE_METHODS: &[&str] = &["automatic", "automatic_async", "manual"];

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    form.required("amount")?;
    let currency = money::currency(form.required("currency")?)?;
    let amount = form.int("amount")?.unwrap_or_default();
    money::chargeable(amount, &currency, "amount")?;
    let confirm = form.flag("confirm")?.unwrap_or(false);
    if form.has("off_session") && !confirm {
        return Err(ApiError::plain_param(
            "off_session",
            "You can only set `off_session` with `confirm=true`.",
        ));
    }
    let customer = super::customers::named(world, form, "customer")?;
    let method = match form.filled("payment_method") {
        Some(pm) => {
            let pm = super::methods::resolve(world, pm, "payment_method")?;
            super::methods::usable(&pm, customer.as_deref())?;
            Some(pm.id)
        }
        None if confirm => {
            let text = "You cannot confirm this PaymentIntent because it's missing a payment method.";
            return Err(ApiError::param("payment_intent_unexpected_state", "payment_method", text));
        }
        None => None,
    };
    let mut intent = world.blank_intent(amount, &currency);
    intent.customer = customer;
    intent.payment_method = method;
    if intent.payment_method.is_some() {
        intent.status = IntentStatus::RequiresConfirmation;
    }
    intent.confirmation_method =
        form.one_of("confirmation_method", &["automatic", "manual"])?.unwrap_or_else(|| "automatic".into());
    for (param, field) in [
        ("allowed_payment_method_types", &mut intent.allowed_payment_method_types),
        ("excluded_payment_method_types", &mut intent.excluded_payment_method_types),
    ] {
        if form.has(param) {
            *field = Some(form.array(param).into_iter().map(str::to_owned).collect());
        }
    }
    if let Some(redirects) =
        form.one_of("automatic_payment_methods[allow_redirects]", &["always", "never"])?
    {
        intent.automatic_payment_methods = Some(json!({ "enabled": true, "allow_redirects": redirects }));
    }
    describe(&mut intent, form)?;
    pay_with(&mut intent, form)?;
    let manner = manner(form)?;
    if confirm {
        needs_return_url(&intent, &manner)?;
    }
    let method = intent.payment_method.clone().unwrap_or_default();
    let id = world.add_intent(intent);
    if confirm {
        world.confirm(&id, &method, &manner)?;
    }
    retrieve(world, &id)
}

/// What may be said of an intent in any state.
fn describe(intent: &mut PaymentIntent, form: &Form) -> Result<(), ApiError> {
    form.metadata("metadata", &mut intent.metadata)?;
    for (param, field) in
        [("description", &mut intent.description), ("receipt_email", &mut intent.receipt_email)]
    {
        if let Some(sent) = form.text(param) {
            *field = (!sent.is_empty()).then(|| sent.to_owned());
        }
    }
    Ok(())
}

/// What decides how it is paid: only before it is paid.
fn pay_with(intent: &mut PaymentIntent, form: &Form) -> Result<(), ApiError> {
    let card = form.filled("payment_method_options[card][capture_method]");
    if let Some(capture) = form.one_of("capture_method", CAPTURE_METHODS)?.or_else(|| card.map(str::to_owned))
    {
        intent.capture_method = capture;
    }
    if let Some(usage) = form.one_of("setup_future_usage", &["off_session", "on_session"])? {
        intent.setup_future_usage = Some(usage);
    }
    if form.has("shipping") {
        intent.shipping = Some(super::customers::shipping(form, "shipping"));
    }
    for (param, field) in [
        ("statement_descriptor_suffix", &mut intent.statement_descriptor_suffix),
        ("transfer_group", &mut intent.transfer_group),
    ] {
        if let Some(sent) = form.text(param) {
            *field = (!sent.is_empty()).then(|| sent.to_owned());
        }
    }
    Ok(())
}

fn manner(form: &Form) -> Result<Manner, ApiError> {
    let off_session = match form.filled("off_session") {
        Some("one_off" | "recurring") => true,
        _ => form.flag("off_session")?.unwrap_or(false),
    };
    Ok(Manner {
        off_session,
        fail_on_action: form.flag("error_on_requires_action")?.unwrap_or(false),
        return_url: form.owned("return_url"),
    })
}

/// Where a redirect is possible, the buyer must be able to come back.
fn needs_return_url(intent: &PaymentIntent, manner: &Manner) -> Result<(), ApiError> {
    if manner.return_url.is_some() || !intent.may_redirect() {
        return Ok(());
    }
    let text = "This PaymentIntent may use payment methods that redirect the buyer: provide a `return_url`, or create it with `automatic_payment_methods[allow_redirects]` set to `never`.";
    Err(ApiError::plain_param("return_url", text))
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    find(world, id).map(|i| i.render())
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a PaymentIntent, ApiError> {
    world.intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", id))
}

/// The refusal of an action that the state does not allow: it carries the intent.
fn unexpected(intent: &PaymentIntent, action: &str) -> ApiError {
    let text = format!(
        "This PaymentIntent could not be {action} because it has a status of {}.",
        intent.status.name()
    );
    ApiError::state("payment_intent_unexpected_state", &text).with("payment_intent", intent.render())
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let mut intent = find(world, id)?.clone();
    describe(&mut intent, form)?;
    let money_params = [
        "amount",
        "currency",
        "customer",
        "payment_method",
        "capture_method",
        "setup_future_usage",
        "shipping",
    ];
    if money_params.iter().any(|p| form.has(p)) {
        if !intent.status.is_open() {
            return Err(unexpected(&intent, "updated"));
        }
        if intent.session.is_some() {
            let text = "This PaymentIntent belongs to a Checkout Session: it cannot be changed.";
            return Err(ApiError::state("payment_intent_unexpected_state", text));
        }
        change(world, &mut intent, form)?;
    }
    intent.last_payment_error = None;
    let answer = intent.render();
    if let Some(row) = world.intents.get_mut(id) {
        *row = intent;
    }
    Ok(answer)
}

fn change(world: &mut World, intent: &mut PaymentIntent, form: &Form) -> Result<(), ApiError> {
    if let Some(currency) = form.filled("currency") {
        intent.currency = money::currency(currency)?;
    }
    if let Some(amount) = form.int("amount")? {
        money::chargeable(amount, &intent.currency, "amount")?;
        intent.amount = amount;
    }
    if let Some(customer) = super::customers::named(world, form, "customer")? {
        intent.customer = Some(customer);
    }
    match form.text("payment_method") {
        Some("") => {
            intent.payment_method = None;
            intent.status = IntentStatus::RequiresPaymentMethod;
        }
        Some(pm) => {
            let pm = super::methods::resolve(world, pm, "payment_method")?;
            super::methods::usable(&pm, intent.customer.as_deref())?;
            intent.payment_method = Some(pm.id);
            intent.status = IntentStatus::RequiresConfirmation;
            intent.next_action = None;
        }
        None => {}
    }
    pay_with(intent, form)
}

pub(super) fn confirm(world: &mut World, id: &str, form: &Form) -> Answer {
    let intent = find(world, id)?.clone();
    if intent.session.is_some() {
        let text = "You cannot confirm this PaymentIntent because it belongs to a Checkout Session.";
        return Err(ApiError::state("payment_intent_unexpected_state", text));
    }
    if !intent.status.is_open() {
        return Err(unexpected(&intent, "confirmed"));
    }
    let manner = manner(form)?;
    needs_return_url(&intent, &manner)?;
    let method = match form.filled("payment_method") {
        Some(pm) => super::methods::resolve(world, pm, "payment_method")?,
        None => match intent.payment_method.as_deref() {
            Some(pm) => super::methods::resolve(world, pm, "payment_method")?,
            None => {
                let text = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.";
                return Err(ApiError::state("payment_intent_unexpected_state", text)
                    .with("payment_intent", intent.render()));
            }
        },
    };
    super::methods::usable(&method, intent.customer.as_deref())?;
    if let Some(row) = world.intents.get_mut(id) {
        pay_with(row, form)?;
        describe(row, form)?;
    }
    world.confirm(id, &method.id, &manner)?;
    retrieve(world, id)
}

pub(super) fn capture(world: &mut World, id: &str, form: &Form) -> Answer {
    let intent = find(world, id)?.clone();
    if form.flag("final_capture")? == Some(false) {
        let text = "Multicapture is not available for this PaymentIntent.";
        return Err(ApiError::param("payment_intent_invalid_parameter", "final_capture", text));
    }
    let amount = form.int("amount_to_capture")?;
    if intent.status != IntentStatus::RequiresCapture {
        return Err(unexpected(&intent, "captured"));
    }
    let amount = amount.unwrap_or(intent.amount_capturable);
    if amount < 1 {
        let text = "This value must be greater than or equal to 1.";
        return Err(ApiError::param("parameter_invalid_integer", "amount_to_capture", text));
    }
    if amount > intent.amount_capturable {
        let text = format!(
            "The amount_to_capture ({amount}) is greater than the amount that can be captured ({}).",
            intent.amount_capturable
        );
        return Err(ApiError::param("amount_too_large", "amount_to_capture", &text).executed());
    }
    money::representable(amount, &intent.currency, "amount_to_capture")?;
    if let Some(row) = world.intents.get_mut(id) {
        form.metadata("metadata", &mut row.metadata)?;
    }
    world.capture(id, amount);
    retrieve(world, id)
}

pub(super) fn cancel(world: &mut World, id: &str, form: &Form) -> Answer {
    let reason = form
        .one_of("cancellation_reason", &["abandoned", "duplicate", "fraudulent", "requested_by_customer"])?;
    let intent = find(world, id)?.clone();
    if !intent.status.is_open() && intent.status != IntentStatus::RequiresCapture {
        return Err(unexpected(&intent, "canceled"));
    }
    if intent.session.is_some() && intent.status != IntentStatus::RequiresCapture {
        let text = "You cannot cancel this PaymentIntent because it belongs to a Checkout Session. Expire the Checkout Session instead.";
        return Err(
            ApiError::state("payment_intent_unexpected_state", text).with("payment_intent", intent.render())
        );
    }
    world.cancel(id, reason.as_deref());
    retrieve(world, id)
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.intents, form, "/v1/payment_intents", |i| {
        list::same(form, "customer", i.customer.as_deref())
    })
}

//! `/v1/payment_methods` and the methods of a customer.

use serde_json::json;

use super::Answer;
use crate::stripe::cards::{self, Behaviour};
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{BillingDetails, Object as _, PaymentMethod};
use crate::stripe::world::World;

/// The expiry of cards made from tokens: far enough for any clock a test uses.
const TOKEN_EXPIRY: (i64, i64) = (12, 2034);

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    let kind = form.required("type")?;
    let number = match kind {
        "card" => match form.filled("card[token]") {
            Some(token) => {
                let name = format!("pm_card_{}", token.trim_start_matches("tok_"));
                let card = cards::by_token(&name)
                    .ok_or_else(|| ApiError::missing_param("token", "card[token]", token))?;
                card.number.to_owned()
            }
            None => form.required("card[number]")?.to_owned(),
        },
        "sepa_debit" => form.required("sepa_debit[iban]")?.to_owned(),
        other => {
            return Err(ApiError::plain_param(
                "type",
                &format!("The simulator has no payment methods of type {other}."),
            ));
        }
    };
    let card = cards::by_number(&number)
        .map_err(|text| ApiError::card(text).coded("incorrect_number").with("param", "number"))?;
    let month = form.int("card[exp_month]")?.unwrap_or(TOKEN_EXPIRY.0);
    let year = form.int("card[exp_year]")?.unwrap_or(TOKEN_EXPIRY.1);
    let details = BillingDetails {
        address: super::customers::address(form, "billing_details[address]"),
        email: form.owned("billing_details[email]"),
        name: form.owned("billing_details[name]"),
        phone: form.owned("billing_details[phone]"),
        tax_id: None,
    };
    let id = world.new_method(card, details, month, year);
    if let Some(row) = world.methods.get_mut(&id) {
        form.metadata("metadata", &mut row.metadata)?;
    }
    retrieve(world, &id)
}

/// The method a parameter names: an id, or a `pm_card_*` token, which makes a new one.
pub(super) fn resolve(world: &mut World, id: &str, param: &str) -> Result<PaymentMethod, ApiError> {
    let id = match cards::by_token(id) {
        Some(card) => world.new_method(card, BillingDetails::default(), TOKEN_EXPIRY.0, TOKEN_EXPIRY.1),
        None => id.to_owned(),
    };
    world.methods.get(&id).cloned().ok_or_else(|| ApiError::missing_param("PaymentMethod", param, &id))
}

/// A method may pay for an intent of its own customer only, and a loose one only once.
pub(super) fn usable(pm: &PaymentMethod, customer: Option<&str>) -> Result<(), ApiError> {
    if pm.consumed {
        return Err(ApiError::param(
            "payment_method_unexpected_state",
            "payment_method",
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, or was detached from a Customer, and may not be used again.",
        )
        .executed());
    }
    match pm.customer.as_deref() {
        Some(owner) if customer != Some(owner) => Err(ApiError::param(
            "payment_method_unexpected_state",
            "payment_method",
            "The PaymentMethod belongs to a Customer: the PaymentIntent must have the same `customer`.",
        )
        .executed()),
        _ => Ok(()),
    }
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.methods.get(id).map(|m| m.render()).ok_or_else(|| ApiError::missing("PaymentMethod", id))
}

pub(super) fn of_customer(world: &World, customer: &str, id: &str) -> Answer {
    let theirs = world.methods.get(id).filter(|m| m.customer.as_deref() == Some(customer));
    theirs.map(|m| m.render()).ok_or_else(|| ApiError::missing("PaymentMethod", id))
}

pub(super) fn list(world: &World, form: &Form, customer: Option<&str>) -> Answer {
    if let Some(id) = customer {
        super::customers::retrieve(world, id)?;
    }
    let owner = customer.or_else(|| form.filled("customer"));
    let url = customer
        .map_or_else(|| "/v1/payment_methods".to_owned(), |c| format!("/v1/customers/{c}/payment_methods"));
    list::page(&world.methods, form, &url, |m| {
        owner.is_some()
            && m.customer.as_deref() == owner
            && list::same(form, "type", Some(&m.kind))
            && list::same(form, "allow_redisplay", Some(&m.allow_redisplay))
    })
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let redisplay = form.one_of("allow_redisplay", &["always", "limited", "unspecified"])?;
    let (month, year) = (form.int("card[exp_month]")?, form.int("card[exp_year]")?);
    let Some(row) = world.methods.get_mut(id) else { return Err(ApiError::missing("PaymentMethod", id)) };
    form.metadata("metadata", &mut row.metadata)?;
    if let Some(redisplay) = redisplay {
        row.allow_redisplay = redisplay;
    }
    if let Some(card) = &mut row.card {
        card.exp_month = month.unwrap_or(card.exp_month);
        card.exp_year = year.unwrap_or(card.exp_year);
    }
    let answer = row.render();
    world.emit("payment_method.updated", &answer, Some(json!({})));
    Ok(answer)
}

pub(super) fn attach(world: &mut World, id: &str, form: &Form) -> Answer {
    form.required("customer")?;
    let customer = super::customers::named(world, form, "customer")?.unwrap_or_default();
    let id = attach_to(world, id, &customer)?;
    retrieve(world, &id)
}

/// A method or token that may still be given to a customer. Cards that always decline cannot be saved.
pub(super) fn attachable(world: &mut World, method: &str) -> Result<PaymentMethod, ApiError> {
    let pm = resolve(world, method, "payment_method")?;
    if pm.customer.is_some() {
        let text = "The payment method you provided has already been attached to a customer.";
        return Err(ApiError::bad_request(text).executed());
    }
    usable(&pm, None)?;
    if let Behaviour::Decline(reason) = pm.test.behaviour {
        let decline = reason.decline();
        return Err(decline.onto(ApiError::card(decline.message)));
    }
    Ok(pm)
}

/// Attaches a method or token to a customer.
pub(super) fn attach_to(world: &mut World, method: &str, customer: &str) -> Result<String, ApiError> {
    if world.methods.get(method).is_some_and(|m| m.customer.as_deref() == Some(customer)) {
        return Ok(method.to_owned());
    }
    let pm = attachable(world, method)?;
    if let Some(row) = world.methods.get_mut(&pm.id) {
        row.customer = Some(customer.to_owned());
        row.set_up = row.test.behaviour == Behaviour::AuthenticateOnSession;
    }
    let shape = retrieve(world, &pm.id)?;
    world.emit("payment_method.attached", &shape, None);
    Ok(pm.id)
}

pub(super) fn detach(world: &mut World, id: &str) -> Answer {
    let Some(row) = world.methods.get_mut(id) else { return Err(ApiError::missing("PaymentMethod", id)) };
    let Some(customer) = row.customer.take() else {
        let text =
            "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::bad_request(text).executed());
    };
    row.consumed = true;
    let answer = row.render();
    for c in world.customers.rows_mut() {
        if c.invoice_settings.default_payment_method.as_deref() == Some(id) {
            c.invoice_settings.default_payment_method = None;
        }
    }
    world.emit("payment_method.detached", &answer, Some(json!({ "customer": customer })));
    Ok(answer)
}

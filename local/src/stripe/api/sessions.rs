//! `/v1/checkout/sessions`.

use serde_json::{Value, json};

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::objects::{IntentData, Line, Metadata, Object as _, Session};
use crate::stripe::world::{Later, World};
use crate::stripe::{list, money};

const HOUR: i64 = 3600;

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    let success_url = what_for(form)?;
    let customer = buyer(world, form)?;
    let (currency, lines) = lines(world, form)?;
    let total = lines.iter().map(|l| l.unit_amount.saturating_mul(l.quantity)).fold(0, i64::saturating_add);
    if total != 0 {
        money::chargeable(total, &currency, "line_items")?;
    }
    let now = world.now();
    let expires_at = expiry(form, now)?;
    let mut metadata = Metadata::new();
    form.metadata("metadata", &mut metadata)?;
    let intent_data = intent_data(form)?;
    let id = format!("cs_test_{}", world.token(58));
    let creation = form.one_of("customer_creation", &["always", "if_required"])?;
    let session = Session {
        url: Some(format!("{}/c/pay/{id}", world.options.base_url)),
        id: id.clone(),
        created: now,
        amount_subtotal: total,
        amount_total: total,
        cancel_url: url(form, "cancel_url")?,
        client_reference_id: form.owned("client_reference_id"),
        currency,
        customer_creation: customer.is_none().then(|| creation.unwrap_or_else(|| "if_required".into())),
        customer_details: details(world, customer.as_deref(), form.filled("customer_email")),
        customer,
        customer_email: form.owned("customer_email"),
        expires_at,
        locale: form.owned("locale"),
        metadata,
        mode: "payment".into(),
        payment_intent: None,
        payment_method_types: vec!["card".into()],
        payment_status: "unpaid".into(),
        status: "open".into(),
        submit_type: form.owned("submit_type"),
        success_url,
        lines,
        intent_data,
        notice: None,
    };
    world.sessions.insert(session);
    world.plan_at(expires_at * 1000, Later::ExpireSession(id.clone()));
    retrieve(world, &id)
}

/// A one-time payment that returns somewhere: the place.
fn what_for(form: &Form) -> Result<Option<String>, ApiError> {
    match form.one_of("mode", &["payment", "setup", "subscription"])?.as_deref() {
        Some("payment") => {}
        Some(other) => {
            let text = format!("The simulator has no sessions of mode {other}.");
            return Err(ApiError::plain_param("mode", &text));
        }
        None => return Err(ApiError::param("parameter_missing", "mode", "Missing required param: mode.")),
    }
    let success_url = url(form, "success_url")?;
    if success_url.is_none() {
        return Err(ApiError::param(
            "parameter_missing",
            "success_url",
            "Missing required param: success_url.",
        ));
    }
    Ok(success_url)
}

/// The customer, if one is named; then nothing else may say who pays.
fn buyer(world: &World, form: &Form) -> Result<Option<String>, ApiError> {
    let customer = super::customers::named(world, form, "customer")?;
    if customer.is_some() && form.has("customer_email") {
        let text = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::bad_request(text));
    }
    if customer.is_some() && form.has("customer_creation") {
        let text = "`customer_creation` can only be used without `customer`.";
        return Err(ApiError::plain_param("customer_creation", text));
    }
    Ok(customer)
}

/// Who pays, as far as it is known before the page was seen.
fn details(world: &World, customer: Option<&str>, email: Option<&str>) -> Option<Value> {
    let known = customer.and_then(|c| world.customers.get(c)).and_then(|c| c.email.as_deref());
    let email = known.or(email)?;
    Some(json!({
        "address": null, "business_name": null, "email": email, "individual_name": null, "name": null,
        "phone": null, "tax_exempt": "none", "tax_ids": null,
    }))
}

/// An absolute http(s) URL, if sent.
fn url(form: &Form, param: &str) -> Result<Option<String>, ApiError> {
    match form.filled(param) {
        None => Ok(None),
        Some(u) if u.starts_with("https://") || u.starts_with("http://") => Ok(Some(u.to_owned())),
        Some(_) => Err(ApiError::param("url_invalid", param, "Not a valid URL")),
    }
}

/// 30 minutes to 24 hours from now; 24 hours if not sent.
fn expiry(form: &Form, now: i64) -> Result<i64, ApiError> {
    let at = form.int("expires_at")?.unwrap_or(now + 24 * HOUR);
    if at < now + HOUR / 2 {
        return Err(ApiError::plain_param(
            "expires_at",
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        ));
    }
    if at > now + 24 * HOUR {
        return Err(ApiError::plain_param(
            "expires_at",
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        ));
    }
    Ok(at)
}

/// The lines and their one currency.
fn lines(world: &mut World, form: &Form) -> Result<(String, Vec<Line>), ApiError> {
    let names = form.children("line_items");
    if names.is_empty() {
        return Err(ApiError::param(
            "parameter_missing",
            "line_items",
            "Missing required param: line_items.",
        ));
    }
    if names.len() > 100 {
        return Err(ApiError::plain_param("line_items", "You may have at most 100 line items."));
    }
    let mut currency: Option<String> = None;
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        if let Some(price) = form.filled(&format!("{name}[price]")) {
            return Err(ApiError::missing_param("price", &format!("{name}[price]"), price));
        }
        let data = format!("{name}[price_data]");
        let own = money::currency(form.required(&format!("{data}[currency]"))?)?;
        if currency.get_or_insert_with(|| own.clone()) != &own {
            return Err(ApiError::bad_request("All line items must have the same currency."));
        }
        let amount = format!("{data}[unit_amount]");
        form.required(&amount)?;
        let unit_amount = form.int(&amount)?.unwrap_or_default();
        let quantity = form.int(&format!("{name}[quantity]"))?.unwrap_or(1);
        if unit_amount < 0 || quantity < 1 {
            return Err(ApiError::param(
                "parameter_invalid_integer",
                &amount,
                "Amounts must not be negative and quantities at least 1.",
            ));
        }
        money::representable(unit_amount, &own, &amount)?;
        let product_name = match form.filled(&format!("{data}[product]")) {
            Some(product) => {
                return Err(ApiError::missing_param("product", &format!("{data}[product]"), product));
            }
            None => form.required(&format!("{data}[product_data][name]"))?.to_owned(),
        };
        lines.push(Line {
            id: world.id("li_1"),
            price: world.id("price_1"),
            product: world.id("prod_"),
            name: product_name,
            quantity,
            unit_amount,
            created: world.now(),
        });
    }
    Ok((currency.unwrap_or_default(), lines))
}

fn intent_data(form: &Form) -> Result<IntentData, ApiError> {
    let at = |name: &str| format!("payment_intent_data[{name}]");
    let mut metadata = Metadata::new();
    form.metadata(&at("metadata"), &mut metadata)?;
    Ok(IntentData {
        capture_method: form.one_of(&at("capture_method"), &["automatic", "automatic_async", "manual"])?,
        description: form.owned(&at("description")),
        metadata,
        receipt_email: form.owned(&at("receipt_email")),
        setup_future_usage: form.one_of(&at("setup_future_usage"), &["off_session", "on_session"])?,
        statement_descriptor_suffix: form.owned(&at("statement_descriptor_suffix")),
        transfer_group: form.owned(&at("transfer_group")),
    })
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    find(world, id).map(|s| s.render())
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Session, ApiError> {
    world.sessions.get(id).ok_or_else(|| ApiError::missing("checkout.session", id))
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let Some(row) = world.sessions.get_mut(id) else { return Err(ApiError::missing("checkout.session", id)) };
    form.metadata("metadata", &mut row.metadata)?;
    retrieve(world, id)
}

pub(super) fn expire(world: &mut World, id: &str) -> Answer {
    world.expire_session(id)?;
    retrieve(world, id)
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.sessions, form, "/v1/checkout/sessions", |s| {
        let email = s.customer_details.as_ref().and_then(|d| d.get("email")).and_then(Value::as_str);
        list::same(form, "customer", s.customer.as_deref())
            && list::same(form, "customer_details[email]", email)
            && list::same(form, "payment_intent", s.payment_intent.as_deref())
            && list::same(form, "status", Some(&s.status))
            && form.filled("payment_link").is_none()
            && form.filled("subscription").is_none()
    })
}

/// In the order of the lines, not newest first.
pub(super) fn line_items(world: &World, id: &str, form: &Form) -> Answer {
    let session = find(world, id)?;
    let limit = usize::try_from(form.int("limit")?.unwrap_or(10).clamp(1, 100)).unwrap_or(10);
    let start = match form.filled("starting_after") {
        None => 0,
        Some(cursor) => match session.lines.iter().position(|l| l.id == cursor) {
            Some(at) => at + 1,
            None => return Err(ApiError::missing_param("item", "starting_after", cursor)),
        },
    };
    let rest = session.lines.iter().skip(start);
    let data: Vec<Value> = rest.take(limit).map(|l| l.render(&session.currency)).collect();
    let has_more = start + data.len() < session.lines.len();
    Ok(
        json!({ "object": "list", "url": format!("/v1/checkout/sessions/{id}/line_items"), "has_more": has_more, "data": data }),
    )
}

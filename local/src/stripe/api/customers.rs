//! `/v1/customers`.

use serde_json::{Map, Value};

use super::Answer;
use crate::stripe::error::ApiError;
use crate::stripe::form::Form;
use crate::stripe::list;
use crate::stripe::objects::{Customer, Object as _};
use crate::stripe::world::World;

pub(super) fn create(world: &mut World, form: &Form) -> Answer {
    let mut customer = Customer::default();
    apply(&mut customer, form)?;
    // Refused together or done together.
    let method = form.filled("payment_method").map(|pm| super::methods::attachable(world, pm)).transpose()?;
    let id = world.new_customer(customer);
    if let Some(pm) = method {
        super::methods::attach_to(world, &pm.id, &id)?;
    }
    retrieve(world, &id)
}

pub(super) fn update(world: &mut World, id: &str, form: &Form) -> Answer {
    let mut customer = live(world, id)?.clone();
    apply(&mut customer, form)?;
    if let Some(pm) = customer.invoice_settings.default_payment_method.as_deref() {
        let theirs = world.methods.get(pm).is_some_and(|m| m.customer.as_deref() == Some(id));
        if !theirs {
            return Err(ApiError::missing_param(
                "PaymentMethod",
                "invoice_settings[default_payment_method]",
                pm,
            ));
        }
    }
    if let Some(row) = world.customers.get_mut(id) {
        *row = customer;
    }
    let answer = retrieve(world, id)?;
    world.emit("customer.updated", &answer, Some(Value::Object(Map::new())));
    Ok(answer)
}

fn apply(customer: &mut Customer, form: &Form) -> Result<(), ApiError> {
    let Customer { email, name, phone, description, individual_name, business_name, .. } = customer;
    let fields = [
        ("email", email),
        ("name", name),
        ("phone", phone),
        ("description", description),
        ("individual_name", individual_name),
        ("business_name", business_name),
    ];
    for (param, field) in fields {
        if let Some(sent) = form.text(param) {
            *field = (!sent.is_empty()).then(|| sent.to_owned());
        }
    }
    if customer.email.as_deref().is_some_and(|e| !e.contains('@')) {
        let text = format!("Invalid email address: {}", customer.email.as_deref().unwrap_or_default());
        return Err(ApiError::param("email_invalid", "email", &text));
    }
    if form.has("address") {
        customer.address = address(form, "address");
    }
    if form.has("shipping") {
        customer.shipping = (!form.children("shipping").is_empty()).then(|| shipping(form, "shipping"));
    }
    if form.has("preferred_locales") {
        customer.preferred_locales = form.array("preferred_locales").into_iter().map(str::to_owned).collect();
    }
    if let Some(balance) = form.int("balance")? {
        customer.balance = balance;
    }
    if let Some(sent) = form.text("invoice_settings[default_payment_method]") {
        customer.invoice_settings.default_payment_method = (!sent.is_empty()).then(|| sent.to_owned());
    }
    form.metadata("metadata", &mut customer.metadata)
}

/// A whole address; none if it was unset.
pub(super) fn address(form: &Form, name: &str) -> Option<Value> {
    if form.children(name).is_empty() {
        return None;
    }
    let parts = ["city", "country", "line1", "line2", "postal_code", "state"];
    let map = parts.iter().map(|p| ((*p).to_owned(), form.filled(&format!("{name}[{p}]")).into())).collect();
    Some(Value::Object(map))
}

/// A shipping hash.
pub(super) fn shipping(form: &Form, name: &str) -> Value {
    serde_json::json!({
        "address": address(form, &format!("{name}[address]")).unwrap_or_else(|| serde_json::json!({})),
        "name": form.filled(&format!("{name}[name]")).unwrap_or_default(),
        "phone": form.filled(&format!("{name}[phone]")),
        "carrier": form.filled(&format!("{name}[carrier]")),
        "tracking_number": form.filled(&format!("{name}[tracking_number]")),
    })
}

pub(super) fn retrieve(world: &World, id: &str) -> Answer {
    world.customers.get(id).map(|c| c.render()).ok_or_else(|| ApiError::missing("customer", id))
}

fn live<'a>(world: &'a World, id: &str) -> Result<&'a Customer, ApiError> {
    world.customers.get(id).filter(|c| !c.deleted).ok_or_else(|| ApiError::missing("customer", id))
}

/// The customer a parameter names must exist.
pub(super) fn named(world: &World, form: &Form, param: &str) -> Result<Option<String>, ApiError> {
    let Some(id) = form.filled(param) else { return Ok(None) };
    match live(world, id) {
        Ok(customer) => Ok(Some(customer.id.clone())),
        Err(_) => Err(ApiError::missing_param("customer", param, id)),
    }
}

pub(super) fn list(world: &World, form: &Form) -> Answer {
    list::page(&world.customers, form, "/v1/customers", |c| {
        !c.deleted && list::same(form, "email", c.email.as_deref())
    })
}

pub(super) fn delete(world: &mut World, id: &str) -> Answer {
    let gone = live(world, id)?.render();
    if let Some(row) = world.customers.get_mut(id) {
        row.deleted = true;
    }
    for method in world.methods.rows_mut().iter_mut().filter(|m| m.customer.as_deref() == Some(id)) {
        method.customer = None;
        method.consumed = true;
    }
    world.emit("customer.deleted", &gone, None);
    retrieve(world, id)
}

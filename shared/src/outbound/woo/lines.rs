//! An order's lines, as the buyer reads them on the payment page.
//!
//! Invariant: lines are for reading. What is owed is the order's `total`, which the shop rounds; a unit's `price` is a
//! float and never used.

use serde_json::Value;

use crate::domain::money::Currency;
use crate::domain::order::Item;
use crate::outbound::shop::field::money;

/// All lines, or none where one of them is finer than the currency: then the order is one line.
pub(super) fn items(order: &Value, currency: Currency) -> Vec<Item> {
    read(order, currency).unwrap_or_default()
}

fn read(order: &Value, currency: Currency) -> Option<Vec<Item>> {
    let amount = |value: &Value, key: &str| money(key, value.get(key), currency).ok();
    let list = |key: &str| order.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut items = Vec::new();
    for line in list("line_items") {
        items.push(product(line, amount(line, "total")?));
    }
    for line in list("shipping_lines") {
        let total = amount(line, "total")?;
        items.extend((total != 0).then(|| one(&text(line, "method_title"), total, "shipping")));
    }
    for line in list("fee_lines") {
        let total = amount(line, "total")?;
        let kind = if total < 0 { "discount" } else { "fee" };
        items.extend((total != 0).then(|| one(&text(line, "name"), total, kind)));
    }
    let tax = amount(order, "total_tax")?;
    items.extend((tax != 0).then(|| one("Tax", tax, "tax")));
    Some(items)
}

/// A line's total is after its discount; where it does not divide, the line is one thing.
fn product(line: &Value, total: i64) -> Item {
    let (name, sku) = (text(line, "name"), text(line, "sku"));
    let quantity = line.get("quantity").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let divides = quantity.filter(|n| *n > 0 && total % i64::from(*n) == 0);
    let (quantity, unit_amount, name) = match (divides, quantity) {
        (Some(n), _) => (n, total / i64::from(n), name),
        (None, Some(n)) => (1, total, format!("{n} x {name}")),
        (None, None) => (1, total, name),
    };
    Item { sku, name, quantity, unit_amount, kind: "product".to_owned() }
}

fn one(name: &str, total: i64, kind: &str) -> Item {
    let name = if name.is_empty() { kind } else { name };
    Item { sku: String::new(), name: name.to_owned(), quantity: 1, unit_amount: total, kind: kind.to_owned() }
}

/// WordPress escapes what it shows.
fn text(line: &Value, key: &str) -> String {
    let text = line.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut text: String = text.chars().take(250).collect();
    for (entity, plain) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&#39;", "'"), ("&amp;", "&")]
    {
        text = text.replace(entity, plain);
    }
    text
}

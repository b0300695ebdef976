//! Lists as Stripe gives them: newest first, cursors by id, `created` windows.

use serde_json::{Value, json};

use super::error::ApiError;
use super::form::Form;
use super::objects::{Object, Table};

/// A bound on `created`.
type Bound = fn(i64, i64) -> bool;

/// One page of the rows that pass `filter`.
pub(crate) fn page<T: Object>(
    table: &Table<T>,
    form: &Form,
    url: &str,
    filter: impl Fn(&T) -> bool,
) -> Result<Value, ApiError> {
    let limit = form.int("limit")?.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::plain_param("limit", "Invalid integer: limit must be between 1 and 100."));
    }
    let limit = usize::try_from(limit).unwrap_or(10);
    let window = window(form)?;
    let rows = table.rows();
    let position = |param: &str| -> Result<Option<usize>, ApiError> {
        let Some(id) = form.filled(param) else { return Ok(None) };
        match rows.iter().position(|r| r.id() == id) {
            Some(at) => Ok(Some(at)),
            None => Err(ApiError::missing_param(T::NAME, param, id)),
        }
    };
    let after = position("starting_after")?;
    let before = position("ending_before")?;
    if after.is_some() && before.is_some() {
        return Err(ApiError::bad_request("You may only use one of starting_after and ending_before."));
    }
    let passes = |r: &&T| window.iter().all(|(bound, at)| bound(r.created(), *at)) && filter(r);
    let (data, has_more) = match before {
        // The page that ends just before the cursor: the oldest of the newer ones, still newest first.
        Some(at) => {
            let mut newer: Vec<&T> = rows.iter().skip(at + 1).filter(passes).collect();
            let more = newer.len() > limit;
            newer.truncate(limit);
            newer.reverse();
            (newer, more)
        }
        None => {
            let older = rows.get(..after.unwrap_or(rows.len())).unwrap_or_default();
            let found: Vec<&T> = older.iter().rev().filter(passes).take(limit + 1).collect();
            let more = found.len() > limit;
            (found.into_iter().take(limit).collect(), more)
        }
    };
    let data: Vec<Value> = data.into_iter().map(Object::render).collect();
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}

/// The bounds of `created`.
fn window(form: &Form) -> Result<Vec<(Bound, i64)>, ApiError> {
    let bounds: [(&str, Bound); 5] = [
        ("created", |a, b| a == b),
        ("created[gt]", |a, b| a > b),
        ("created[gte]", |a, b| a >= b),
        ("created[lt]", |a, b| a < b),
        ("created[lte]", |a, b| a <= b),
    ];
    let mut found = Vec::new();
    for (name, bound) in bounds {
        if let Some(at) = form.int(name)? {
            found.push((bound, at));
        }
    }
    Ok(found)
}

/// Whether an optional filter, if sent, equals the row's value.
pub(crate) fn same(form: &Form, param: &str, value: Option<&str>) -> bool {
    form.filled(param).is_none_or(|want| value == Some(want))
}

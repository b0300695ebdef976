//! The API: v3 as documented, and of v4 what an import needs.

use std::collections::BTreeMap;

use http::{HeaderValue, Method, header};
use serde_json::{Value, json};
use shared::domain::money::{Currency, Money};
use shared::domain::order::{Order, OrderStatus};
use shared::domain::time::Seconds;
use shared::domain::view::WriteBack;
use shared::outbound::http::{HttpRequest, HttpResponse};

use super::super::answer::json_answer;
use super::super::face::Native;
use super::super::{Shop, ShopError};
use super::book::{Transaction, change, local};
use super::{Note, ZONE, shown};
use crate::aws::{percent_decode, query_value};

/// Rows on a page without `limit`, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 250;
/// Longest note.
const NOTE_CHARS_MAX: usize = 3000;
/// The notes that are listed without a date.
const NOTES_OF: Seconds = Seconds::days(30);
/// The staff account behind the API key.
const ACTING: u64 = 7;
/// The account's currency. Bookings of the demo in others stand for other accounts: their own currency is in the booking.
const CURRENCY: &str = "EUR";

/// A refusal: no envelope, only this.
fn refusal(status: u16, message: &str) -> HttpResponse {
    json_answer(status, &json!({"error": {"code": status.to_string(), "message": message}}))
}

fn refused(why: &ShopError) -> HttpResponse {
    let status = if matches!(why, ShopError::NoOrder(_)) { 404 } else { 400 };
    refusal(status, &why.to_string())
}

fn form_of(request: &HttpRequest) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(request.body());
    let pairs = text.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")));
    pairs.map(|(k, v)| (percent_decode(k), percent_decode(v))).collect()
}

impl Shop {
    pub(super) fn checkfront_api(&self, request: &HttpRequest) -> HttpResponse {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(&self.0.config.api_token);
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        if shown != Some(format!("Basic {pair}").as_str()) {
            return refusal(401, "access token not found / invalid");
        }
        let throttled = self.checkfront(|account| {
            let now = account.throttle > 0;
            account.throttle = account.throttle.saturating_sub(1);
            now
        });
        if throttled {
            let mut answer = refusal(429, "rate limit exceeded");
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            return answer;
        }
        let path = request.uri().path().trim_start_matches("/api/").to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method(), parts.as_slice()) {
            (&Method::GET, ["3.0", "ping"]) => self.enveloped(
                "ping",
                json!({"pong": {"remote_addr": "203.0.113.5", "time": self.now().0, "timezone": ZONE, "provider": {}}}),
            ),
            (&Method::GET, ["3.0", "company"]) => self.enveloped(
                "company",
                json!({"company": {"name": self.0.config.name, "currency_id": CURRENCY, "timezone": ZONE, "locale_id": "en_CA"}}),
            ),
            (&Method::GET, ["3.0", "booking"] | ["3.0", "booking", "index"]) => self.index(request),
            (&Method::GET | &Method::POST, ["3.0", "booking", "notes"]) => self.notes(request),
            (&Method::GET, ["3.0", "booking", code]) => self.one(code),
            (&Method::POST, ["3.0", "booking", code, "update"]) => self.update(code, &form_of(request), request),
            (&Method::POST, ["3.0", "booking", code, "note"]) => self.add_note(code, &form_of(request)),
            (&Method::GET, ["4.0", "bookings", code]) => self.one_of_v4(code),
            (&Method::POST, ["4.0", "bookings", code, "transactions", "import"]) => {
                self.import(code, request.body())
            }
            _ => refusal(404, "no such resource"),
        }
    }

    fn enveloped(&self, resource: &str, payload: Value) -> HttpResponse {
        let now = self.now();
        let mut body = json!({
            "version": "3.0", "account_id": ACTING, "host_id": self.0.config.name, "name": self.0.config.name,
            "locale": {"id": "en_CA", "lang": "en", "currency": CURRENCY},
            "request": {"status": "OK", "resource": resource, "time": 0.01, "timestamp": now.0, "method": "get"},
        });
        for (key, value) in payload.as_object().into_iter().flatten() {
            body[key.as_str()] = value.clone();
        }
        let mut answer = json_answer(200, &body);
        // Not every answer says its time; the server does.
        let date =
            jiff::Timestamp::from_second(now.0).map(|t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if let Ok(date) = HeaderValue::try_from(date.unwrap_or_default()) {
            answer.headers_mut().insert(header::DATE, date);
        }
        answer
    }

    /// One page. `limit` and `page` are the caller's; the rest of the query was used by whoever made the rows.
    fn paged(&self, request: &HttpRequest, key: &str, rows: Vec<(String, Value)>) -> HttpResponse {
        let number = |name: &str| query_value(request.uri(), name).and_then(|v| v.parse::<usize>().ok());
        let limit = number("limit").unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
        let page = number("page").unwrap_or(1).max(1);
        let pages = rows.len().div_ceil(limit).max(1);
        let all = rows.len();
        let rows: Vec<_> = rows.into_iter().skip((page - 1) * limit).take(limit).collect();
        let about = json!({
            "status": "OK", "resource": key, "records": rows.len(), "total_records": all, "limit": limit, "page": page,
            "pages": pages, "method": "get",
        });
        let rows: serde_json::Map<String, Value> = rows.into_iter().collect();
        self.enveloped(key, json!({key: rows, "request": about}))
    }

    /// Newest first; an object keyed by the internal id.
    fn index(&self, request: &HttpRequest) -> HttpResponse {
        let bound = query_value(request.uri(), "last_modified").unwrap_or_default();
        let after = bound.strip_prefix('>').map(str::parse::<i64>);
        let Some(after) = after.unwrap_or(Ok(-1)).ok() else {
            return refusal(400, "last_modified is a date or Unix seconds, with < or > before it");
        };
        let status = query_value(request.uri(), "status_id");
        let rows = {
            let state = self.lock();
            let mut rows: Vec<(u64, Value)> = state
                .record
                .orders
                .values()
                .filter(|kept| kept.order.updated_at.0 > after)
                .filter_map(|kept| {
                    Some((kept.booking()?.booking_id, shown::row(&kept.order, kept.booking()?)))
                })
                .filter(|(_, row)| status.as_ref().is_none_or(|s| row["status_id"] == **s))
                .collect();
            rows.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
            rows.into_iter().map(|(id, row)| (id.to_string(), row)).collect()
        };
        self.paged(request, "booking/index", rows)
    }

    /// Of the whole account, in one piece: the last 30 days, or those of one day or of one month.
    fn notes(&self, request: &HttpRequest) -> HttpResponse {
        let now = self.now();
        let date = query_value(request.uri(), "date");
        let asked = date.as_deref().unwrap_or_default();
        let good =
            matches!(asked.len(), 0 | 7 | 10) && asked.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if !good {
            return refusal(400, "date is a day or a month");
        }
        let state = self.lock();
        let mut notes: Vec<(u64, Value)> = state
            .record
            .orders
            .values()
            .filter_map(|kept| Some((kept, kept.booking()?)))
            .flat_map(|(kept, book)| book.notes.iter().map(move |note| (kept, note)))
            .filter(|(_, note)| match asked {
                "" => note.at >= now - NOTES_OF,
                asked => local(note.at, "%Y-%m-%d").starts_with(asked),
            })
            .map(|(kept, note)| (note.id, shown::note(&kept.order, note)))
            .collect();
        drop(state);
        notes.sort_by_key(|(id, _)| *id);
        let notes: Vec<Value> = notes.into_iter().map(|(_, note)| note).collect();
        // Seconds with parts, as a number.
        let timestamp = serde_json::from_str::<Value>(&format!("{}.018568", now.0)).unwrap_or_default();
        let about = json!({
            "status": "OK", "resource": "booking", "id": "notes", "records": notes.len(), "limit": 0, "page": 1, "pages": 1,
            "time": 0.003, "timestamp": timestamp, "method": "get",
        });
        self.enveloped("booking", json!({"notes": notes, "request": about}))
    }

    fn booking(&self, code: &str) -> Result<(Order, super::Book), ShopError> {
        match self.shown(code)? {
            (order, Native::Checkfront(book)) => Ok((order, *book)),
            _ => Err(ShopError::NoOrder(code.to_owned())),
        }
    }

    fn one(&self, code: &str) -> HttpResponse {
        let shape = self.checkfront(|account| account.shape);
        match self.booking(code) {
            Ok((order, book)) => {
                self.enveloped("booking", json!({"booking": shown::booking(&order, &book, shape)}))
            }
            Err(why) => refused(&why),
        }
    }

    /// A change of status. With `set_paid` the whole balance is recorded as paid at the counter: only on a booking that is
    /// unpaid, and with nothing else.
    fn update(&self, code: &str, form: &BTreeMap<String, String>, request: &HttpRequest) -> HttpResponse {
        let now = self.now();
        let Some(status) = form.get("status_id").filter(|s| !s.is_empty()) else {
            return refusal(400, "status_id is required");
        };
        let set_paid = form.get("set_paid").is_some_and(|v| v == "1");
        if set_paid && form.keys().any(|key| !["status_id", "set_paid", "notify"].contains(&key.as_str())) {
            return refusal(400, "set_paid cannot be mixed with other inputs");
        }
        let mut state = self.lock();
        let Some(meaning) = state.checkfront.meaning(status) else {
            return refusal(400, "no such status");
        };
        let due = state.record.orders.get(code).map(|k| k.order.total - k.booking().map_or(0, |b| b.paid()));
        if set_paid && due.is_some_and(|due| due <= 0) {
            return refusal(400, "the booking is paid");
        }
        // The documents differ on what happens without it: then the buyer is notified here.
        let notify = form.get("notify").is_none_or(|v| v != "0");
        let text = String::from_utf8_lossy(request.body()).into_owned();
        let changed = change(&mut state, code, now, |order, book, account| {
            let made = set_paid.then(|| Transaction {
                id: account.number(),
                at: now,
                amount: order.total - book.paid(),
                mask: "POS".to_owned(),
            });
            book.transactions.extend(made.clone());
            book.updates.push(text);
            book.notified += u32::from(notify);
            book.status = status.clone();
            if !(order.status == OrderStatus::Fulfilled && meaning == OrderStatus::Open) {
                order.status = meaning;
            }
            made
        });
        drop(state);
        match changed {
            Ok(_) => {
                self.enveloped("booking/update", json!({"booking": {"code": code, "status_id": status}}))
            }
            Err(why) => refused(&why),
        }
    }

    /// A note of the acting account. One that carries our marker is what the shop was told.
    fn add_note(&self, code: &str, form: &BTreeMap<String, String>) -> HttpResponse {
        let body = form.get("body").cloned().unwrap_or_default();
        if body.is_empty() || body.chars().count() > NOTE_CHARS_MAX {
            return refusal(400, "a note has from 1 to 3000 characters");
        }
        let now = self.now();
        let noted = change(&mut self.lock(), code, now, |_, book, account| {
            book.notes.push(Note { id: account.number(), account: ACTING, at: now, body: body.clone() });
            None
        });
        if let Err(why) = noted {
            return refused(&why);
        }
        let told = body.lines().filter(|line| line.starts_with("tandem v")).find_map(|line| {
            let json = line.find('{').and_then(|at| line.get(at..))?;
            serde_json::from_str::<WriteBack>(json).ok()
        });
        if let Some(told) = told
            && let Err(why) = self.write_back(code, &told)
        {
            tracing::debug!(%why, "a marker that does not fit its booking");
        }
        self.enveloped("booking/note", json!({"note": {"date": local(now, "%Y-%m-%dT%H:%M:%S%:z")}}))
    }

    fn one_of_v4(&self, code: &str) -> HttpResponse {
        let major = self.checkfront(|account| account.v4_in_major_units);
        match self.booking(code) {
            Ok((order, book)) => {
                let unit = if major { 100 } else { 1 };
                let data = json!({
                    "id": book.booking_id, "code": order.id, "total": order.total / unit, "paidTotal": book.paid() / unit,
                    "statusId": book.code_of(&order.status), "created": local(book.created, "%Y-%m-%dT%H:%M:%S%:z"),
                });
                json_answer(200, &json!({ "data": data }))
            }
            Err(why) => json_answer(404, &json!({"message": why.to_string()})),
        }
    }

    /// `{"amount": 2900, "currency": "EUR", "reference": "pi_1"}`: what the demo's template sends; the real body is not known.
    fn import(&self, code: &str, body: &[u8]) -> HttpResponse {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let amount = told["amount"].as_i64().filter(|a| *a > 0);
        let currency = told["currency"].as_str().and_then(|c| Currency::parse(c).ok());
        let (Some(amount), Some(currency)) = (amount, currency) else {
            return json_answer(400, &json!({"message": "Bad Request", "errors": ["amount"]}));
        };
        let now = self.now();
        let reference = told["reference"].as_str().unwrap_or_default().to_owned();
        let made = change(&mut self.lock(), code, now, |_, book, account| {
            let made = Transaction { id: account.number(), at: now, amount, mask: reference };
            book.transactions.push(made.clone());
            Some(made)
        });
        match made {
            Ok(order) => json_answer(
                201,
                &json!({"data": {"amount": amount, "shown": Money::new(amount, currency).decimal(), "code": order.id}}),
            ),
            Err(why) => json_answer(404, &json!({"message": why.to_string()})),
        }
    }
}

//! Request bodies as Stripe's SDKs send them, and the mistakes people make in them.

use super::*;

fn params(form: &str) -> Vec<(String, String)> {
    form.split('&')
        .filter(|p| !p.is_empty())
        .map(|p| {
            p.split_once('=').map_or((p.to_owned(), String::new()), |(k, v)| (k.to_owned(), v.to_owned()))
        })
        .collect()
}

fn accepted(call: &str, form: &str) {
    let (method, path) = call.split_once(' ').unwrap();
    assert!(covers(method, path), "{call} is not covered");
    assert_eq!(check(method, path, &params(form)), Ok(()), "{call} {form}");
}

fn refused(call: &str, form: &str, param: &str, code: &str) -> String {
    let (method, path) = call.split_once(' ').unwrap();
    let error = check(method, path, &params(form)).expect_err(form);
    assert_eq!((error.param.as_str(), error.code), (param, code), "{}", error.message);
    error.message
}

const INTENT: &str = "amount=2000&currency=eur&customer=cus_1&capture_method=manual&automatic_payment_methods[enabled]=true\
    &automatic_payment_methods[allow_redirects]=never&metadata[tandem_order]=a#b&description=Order 7&setup_future_usage=off_session\
    &expand[0]=latest_charge";
const SESSION: &str = "mode=payment&success_url=https://shop/ok&customer=cus_1&expires_at=1790000000&line_items[0][quantity]=2\
    &line_items[0][price_data][currency]=eur&line_items[0][price_data][unit_amount]=500&line_items[0][price_data][product_data][name]=Tea\
    &payment_intent_data[metadata][tandem_order]=x&payment_intent_data[capture_method]=manual&metadata[tandem_attempt]=1&customer_update[address]=auto";

#[test]
fn the_embedded_contract_is_whole() {
    let contract = contract().unwrap();
    let known = |kind: &usize| *kind < contract.types.len();
    for kind in &contract.types {
        assert!(match kind {
            Kind::Array(k) | Kind::Map(k) => known(k),
            Kind::AnyOf(kinds) => kinds.iter().all(known),
            Kind::Object(fields) => fields.iter().all(|f| known(&f.kind)),
            _ => true,
        });
    }
    assert!(contract.calls.values().flatten().all(|c| known(&c.kind)));
    assert_eq!(api_version(), "2026-10-28.endive");
    assert!(include_str!("../contract.json").len() < 400_000);
}

#[test]
fn what_the_bundle_sends_is_accepted() {
    accepted("POST /v1/payment_intents", INTENT);
    accepted("POST /v1/checkout/sessions", SESSION);
    accepted(
        "POST /v1/customers",
        "email=a@example.com&name=Ada&address[line1]=1 Rd&address[country]=DE&metadata[tandem_order]=x",
    );
    accepted(
        "POST /v1/payment_intents/pi_1/confirm",
        "payment_method=pm_card_visa&off_session=true&return_url=https://shop/back",
    );
    accepted("POST /v1/payment_intents/pi_1/capture", "amount_to_capture=1500&final_capture=true");
    accepted("POST /v1/payment_intents/pi_1/cancel", "cancellation_reason=abandoned");
    accepted(
        "POST /v1/refunds",
        "payment_intent=pi_1&amount=100&reason=requested_by_customer&metadata[tandem_request]=r1",
    );
    accepted("GET /v1/refunds", "charge=ch_1&limit=100&starting_after=re_1&created[gte]=1790000000");
    accepted("GET /v1/events", "created=1790000000&types[]=charge.refunded&types[]=refund.failed&limit=100");
    accepted(
        "POST /v1/webhook_endpoints",
        "url=https://x/webhooks/stripe&enabled_events[0]=*&api_version=2026-10-28.endive",
    );
    accepted("POST /v1/checkout/sessions/cs_1/expire", "");
    accepted(
        "POST /v1/prices",
        "currency=eur&product=prod_1&unit_amount_decimal=0.05&recurring[interval]=month",
    );
}

#[test]
fn an_unknown_parameter_is_named_with_its_place() {
    refused("POST /v1/refunds", "payment_intent=pi_1&amout=5", "amout", "parameter_unknown");
    let form = format!("{SESSION}&line_items[1][prize]=p");
    let message = refused("POST /v1/checkout/sessions", &form, "line_items[1][prize]", "parameter_unknown");
    assert_eq!(message, "Received unknown parameter: line_items[1][prize]");
    let message = refused("POST /v1/refunds", "a=1&b=2", "a", "parameter_unknown");
    assert_eq!(message, "Received unknown parameters: a, b");
    refused("GET /v1/customers", "name=Ada", "name", "parameter_unknown");
    refused("POST /v1/refunds", "amount[=5", "amount[", "parameter_unknown");
}

#[test]
fn a_wrong_type_is_refused() {
    refused("POST /v1/refunds", "amount=5.00", "amount", "parameter_invalid_integer");
    refused("POST /v1/refunds", "amount=+5", "amount", "parameter_invalid_integer");
    refused("POST /v1/refunds", "amount[x]=5", "amount", "parameter_invalid_integer");
    refused("POST /v1/payment_intents/pi_1/capture", "final_capture=1", "final_capture", "");
    refused("POST /v1/prices", "currency=eur&unit_amount_decimal=1e3", "unit_amount_decimal", "");
    refused("POST /v1/prices", "currency=eur&unit_amount_decimal=0.1234567890123", "unit_amount_decimal", "");
    refused("POST /v1/refunds", "metadata=x", "metadata", "");
    refused("POST /v1/refunds", "expand=charge", "expand", "");
    refused("POST /v1/refunds", "expand[a]=charge", "expand", "");
    refused("POST /v1/refunds", "charge[id]=ch_1", "charge", "");
    refused("GET /v1/refunds", "created[gte]=yesterday", "created[gte]", "parameter_invalid_integer");
    refused("GET /v1/refunds", "created=yesterday", "created", "parameter_invalid_integer");
}

#[test]
fn an_unknown_enum_value_lists_the_known_ones() {
    let message = refused("POST /v1/refunds", "reason=bored", "reason", "");
    assert_eq!(message, "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer");
}

#[test]
fn a_missing_required_parameter_is_named() {
    let message = refused("POST /v1/payment_intents", "amount=100", "currency", "parameter_missing");
    assert_eq!(message, "Missing required param: currency.");
    let form = "mode=payment&line_items[0][quantity]=1&line_items[0][price_data][unit_amount]=5";
    refused("POST /v1/checkout/sessions", form, "line_items[0][price_data][currency]", "parameter_missing");
}

#[test]
fn the_empty_string_unsets_only_what_can_be_unset() {
    accepted("POST /v1/payment_intents/pi_1", "metadata=");
    accepted("POST /v1/payment_intents/pi_1", "metadata[key]=");
    accepted("POST /v1/payment_intents/pi_1", "receipt_email=");
    refused("POST /v1/payment_intents", "amount=&currency=eur", "amount", "parameter_invalid_empty");
    refused("POST /v1/refunds", "charge=", "charge", "parameter_invalid_empty");
}

#[test]
fn the_list_of_payment_method_types_is_refused_by_name() {
    let code = "payment_method_types_no_longer_supported";
    refused(
        "POST /v1/payment_intents",
        "amount=5&currency=eur&payment_method_types[]=card",
        "payment_method_types",
        code,
    );
    refused("POST /v1/checkout/sessions", "payment_method_types[0]=card", "payment_method_types", code);
}

#[test]
fn items_without_position_are_grouped_until_a_name_repeats() {
    let form =
        "line_items[][price]=p1&line_items[][quantity]=1&line_items[][price]=p2&line_items[][quantity]=x";
    refused("POST /v1/checkout/sessions", form, "line_items[1][quantity]", "parameter_invalid_integer");
}

#[test]
fn a_written_path_wins_over_an_id_and_an_unknown_path_passes() {
    refused("GET /v1/charges/search", "limit=5", "query", "parameter_missing");
    accepted("GET /v1/charges/ch_1", "expand[]=customer");
    assert!(!covers("GET", "/v1/unicorns"));
    assert_eq!(check("GET", "/v1/unicorns", &params("a=b")), Ok(()));
    assert_eq!(check("PUT", "/v1/refunds", &params("a=b")), Ok(()));
}

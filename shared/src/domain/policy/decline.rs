//! Decline classes: what a failed payment allows next. Stripe's advice code wins over the table.
//!
//! Source of the table: Stripe's decline code documentation, card-network rules as published by acquirers.

use serde::{Deserialize, Serialize};

/// The words Stripe uses for one decline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// `card_declined`, `expired_card`, `authentication_required`, ...
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// The issuer's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// `do_not_try_again`, `try_again_later`, `confirm_card_data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice_code: Option<String>,
    /// Two digits from the network; Mastercard 03 and 21 mean never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_advice_code: Option<String>,
    /// Radar blocked it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineClass {
    /// Nobody's fault; again soon.
    Technical,
    /// Perhaps another day.
    Soft,
    /// Only the buyer can help: authenticate, correct data, another card.
    NeedsCustomer,
    /// This method never again; the buyer may bring another.
    Never,
}

const TECHNICAL: &[&str] =
    &["approve_with_id", "issuer_not_available", "processing_error", "reenter_transaction"];
const NEEDS_CUSTOMER: &[&str] = &[
    "authentication_required",
    "authentication_not_handled",
    "mobile_device_authentication_required",
    "expired_card",
    "incorrect_address",
    "incorrect_cvc",
    "invalid_cvc",
    "incorrect_number",
    "invalid_number",
    "incorrect_pin",
    "invalid_pin",
    "incorrect_zip",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "new_account_information_available",
    "offline_pin_required",
    "online_or_offline_pin_required",
    "payment_intent_authentication_failure",
];
const NEVER: &[&str] = &[
    "card_not_supported",
    "currency_not_supported",
    "do_not_try_again",
    "fraudulent",
    "highest_risk_level",
    "invalid_account",
    "merchant_blacklist",
    "not_permitted",
    "pickup_card",
    "pin_try_exceeded",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "stolen_card",
    "lost_card",
    "stop_payment_order",
    "transaction_not_allowed",
    "testmode_decline",
    "duplicate_transaction",
    "invalid_amount",
];

/// The class of a decline. Words this build does not know are soft: capped by ladder and card budget.
pub fn class_of(decline: &Decline) -> DeclineClass {
    if matches!(decline.network_advice_code.as_deref(), Some("03" | "21")) || decline.blocked {
        return DeclineClass::Never;
    }
    match decline.advice_code.as_deref() {
        Some("do_not_try_again") => return DeclineClass::Never,
        Some("confirm_card_data") => return DeclineClass::NeedsCustomer,
        Some("try_again_later") => return DeclineClass::Soft,
        _ => {}
    }
    let words = [decline.decline_code.as_deref(), Some(decline.code.as_str())];
    for word in words.into_iter().flatten() {
        if NEVER.contains(&word) {
            return DeclineClass::Never;
        }
        if NEEDS_CUSTOMER.contains(&word) {
            return DeclineClass::NeedsCustomer;
        }
        if TECHNICAL.contains(&word) {
            return DeclineClass::Technical;
        }
    }
    DeclineClass::Soft
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decline(code: &str, decline_code: Option<&str>, advice: Option<&str>) -> Decline {
        Decline {
            code: code.into(),
            decline_code: decline_code.map(Into::into),
            advice_code: advice.map(Into::into),
            ..Decline::default()
        }
    }

    #[test]
    fn each_class_is_reached_by_its_words() {
        let of = |code, dc| class_of(&decline(code, dc, None));
        assert_eq!(of("card_declined", Some("insufficient_funds")), DeclineClass::Soft);
        assert_eq!(of("card_declined", Some("lost_card")), DeclineClass::Never);
        assert_eq!(of("processing_error", None), DeclineClass::Technical);
        assert_eq!(of("authentication_required", None), DeclineClass::NeedsCustomer);
        assert_eq!(of("expired_card", None), DeclineClass::NeedsCustomer);
        assert_eq!(of("card_declined", Some("a_word_of_next_year")), DeclineClass::Soft);
    }

    #[test]
    fn stripes_advice_wins_over_the_table() {
        let soft = Some("insufficient_funds");
        assert_eq!(class_of(&decline("card_declined", soft, Some("do_not_try_again"))), DeclineClass::Never);
        assert_eq!(
            class_of(&decline("card_declined", soft, Some("confirm_card_data"))),
            DeclineClass::NeedsCustomer
        );
        let mut mac = decline("card_declined", soft, Some("try_again_later"));
        mac.network_advice_code = Some("03".into());
        assert_eq!(class_of(&mac), DeclineClass::Never);
    }
}

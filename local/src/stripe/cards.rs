//! Stripe's documented test cards and `pm_card_*` tokens, and what each does when it is charged.

use serde_json::{Value, json};

use super::error::ApiError;

/// What happens when a card is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// The charge succeeds.
    Succeed,
    /// The issuer declines, with this reason.
    Decline(Reason),
    /// Can be saved, and is declined whenever it is charged.
    AttachThenDecline,
    /// Always needs the buyer.
    Authenticate,
    /// Needs the buyer unless it was set up for later use.
    AuthenticateUnlessSetUp,
    /// Needs the buyer only while the buyer is there.
    AuthenticateOnSession,
    /// Needs the buyer, and is then declined.
    AuthenticateThenDecline(Reason),
    /// Succeeds, and is disputed soon after.
    Dispute(&'static str),
    /// Succeeds, and an inquiry is opened soon after.
    Inquiry,
    /// Succeeds; its refunds stay pending for a while.
    PendingRefund,
    /// Succeeds; its refunds succeed and fail later.
    FailingRefund,
    /// Blocked by Radar.
    Blocked,
    /// A bank debit: processing, then succeeded.
    SettlesLater,
    /// A bank debit: processing, then failed.
    FailsLater,
}

/// Why a charge is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Stripe's")]
pub enum Reason {
    Generic,
    InsufficientFunds,
    LostCard,
    StolenCard,
    ExpiredCard,
    IncorrectCvc,
    ProcessingError,
    Velocity,
    DoNotHonor,
    Fraudulent,
    AuthenticationRequired,
    /// Radar refused to send it to the network.
    Blocked,
    /// The bank returned a debit.
    DebitFailed,
}

/// The fields of a decline as they appear in errors, charges and intents.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decline {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) advice: Option<&'static str>,
    pub(crate) network: Option<&'static str>,
    pub(crate) message: &'static str,
}

impl Reason {
    /// The reason behind a decline code, or a code that has none.
    pub fn from_code(code: &str) -> Option<Self> {
        let all = [
            Self::Generic,
            Self::InsufficientFunds,
            Self::LostCard,
            Self::StolenCard,
            Self::ExpiredCard,
            Self::IncorrectCvc,
            Self::ProcessingError,
            Self::Velocity,
            Self::DoNotHonor,
            Self::Fraudulent,
            Self::AuthenticationRequired,
        ];
        all.into_iter().find(|r| {
            let decline = r.decline();
            decline.decline_code.unwrap_or(decline.code) == code
        })
    }

    pub(crate) fn decline(self) -> Decline {
        let declined = "Your card was declined.";
        let (later, never, check) =
            (Some("try_again_later"), Some("do_not_try_again"), Some("confirm_card_data"));
        let generic = "card_declined";
        let (code, decline_code, advice, network, message) = match self {
            Self::Generic => (generic, Some("generic_decline"), later, Some("05"), declined),
            Self::InsufficientFunds => {
                (generic, Some("insufficient_funds"), later, Some("51"), "Your card has insufficient funds.")
            }
            Self::LostCard => (generic, Some("lost_card"), never, Some("41"), declined),
            Self::StolenCard => (generic, Some("stolen_card"), never, Some("43"), declined),
            Self::ExpiredCard => ("expired_card", None, check, Some("54"), "Your card has expired."),
            Self::IncorrectCvc => {
                ("incorrect_cvc", None, check, Some("N7"), "Your card's security code is incorrect.")
            }
            Self::ProcessingError => {
                let text = "An error occurred while processing your card. Try again in a little bit.";
                ("processing_error", None, later, Some("96"), text)
            }
            Self::Velocity => {
                let text = "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.";
                (generic, Some("card_velocity_exceeded"), later, Some("61"), text)
            }
            Self::DoNotHonor => (generic, Some("do_not_honor"), later, Some("05"), declined),
            Self::Fraudulent => (generic, Some("fraudulent"), never, None, declined),
            Self::AuthenticationRequired => {
                let text = "Your card was declined. This transaction requires authentication.";
                let code = "authentication_required";
                (code, Some(code), None, Some("1A"), text)
            }
            Self::Blocked => (generic, Some("generic_decline"), never, None, declined),
            Self::DebitFailed => {
                let text = "The payment failed: the bank returned the debit.";
                ("payment_intent_payment_attempt_failed", None, None, None, text)
            }
        };
        Decline { code, decline_code, advice, network, message }
    }
}

impl Decline {
    /// Adds what a decline says to an error.
    pub(crate) fn onto(&self, mut error: ApiError) -> ApiError {
        error = error.coded(self.code);
        let fields = [
            ("decline_code", self.decline_code),
            ("advice_code", self.advice),
            ("network_decline_code", self.network),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                error = error.with(name, value);
            }
        }
        error
    }

    /// `outcome` of the failed charge.
    pub(crate) fn outcome(&self, blocked: bool) -> Value {
        json!({
            "advice_code": self.advice,
            "network_advice_code": null,
            "network_decline_code": self.network,
            "network_status": if blocked { "not_sent_to_network" } else { "declined_by_network" },
            "reason": if blocked { "highest_risk_level" } else { self.decline_code.unwrap_or(self.code) },
            "risk_level": if blocked { "highest" } else { "normal" },
            "seller_message": if blocked { "Stripe blocked this payment." } else { "The bank declined the payment." },
            "type": if blocked { "blocked" } else { "issuer_declined" },
        })
    }
}

/// One documented test card.
#[derive(Debug, PartialEq, Eq)]
pub struct TestCard {
    /// The token without `pm_card_`; empty where only the number is documented.
    pub token: &'static str,
    /// The number a buyer types.
    pub number: &'static str,
    /// `visa`, `mastercard`, ...
    pub brand: &'static str,
    /// Two letters.
    pub country: &'static str,
    /// `credit`, `debit`, `prepaid`.
    pub funding: &'static str,
    /// What charging it does.
    pub behaviour: Behaviour,
}

/// A Visa card of the USA.
const fn visa(token: &'static str, number: &'static str, behaviour: Behaviour) -> TestCard {
    TestCard { token, number, brand: "visa", country: "US", funding: "credit", behaviour }
}

const fn good(
    token: &'static str,
    number: &'static str,
    brand: &'static str,
    country: &'static str,
    funding: &'static str,
) -> TestCard {
    TestCard { token, number, brand, country, funding, behaviour: Behaviour::Succeed }
}

use Behaviour as B;

/// All of them.
pub const TEST_CARDS: &[TestCard] = &[
    visa("visa", "4242424242424242", B::Succeed),
    good("us", "4242424242424242", "visa", "US", "credit"),
    good("visa_debit", "4000056655665556", "visa", "US", "debit"),
    good("mastercard", "5555555555554444", "mastercard", "US", "credit"),
    good("mastercard_debit", "5200828282828210", "mastercard", "US", "debit"),
    good("mastercard_prepaid", "5105105105105100", "mastercard", "US", "prepaid"),
    good("amex", "378282246310005", "amex", "US", "credit"),
    good("amex_threeDSecureNotSupported", "378282246310005", "amex", "US", "credit"),
    good("discover", "6011111111111117", "discover", "US", "credit"),
    good("diners", "3056930009020004", "diners", "US", "credit"),
    good("jcb", "3566002020360505", "jcb", "JP", "credit"),
    good("unionpay", "6200000000000005", "unionpay", "CN", "credit"),
    good("de", "4000002760000016", "visa", "DE", "credit"),
    good("gb", "4000008260000000", "visa", "GB", "credit"),
    good("fr", "4000002500000003", "visa", "FR", "credit"),
    good("ie", "4000003720000005", "visa", "IE", "credit"),
    good("ca", "4000001240000000", "visa", "CA", "credit"),
    good("br", "4000000760000002", "visa", "BR", "credit"),
    good("mx", "4000004840008001", "visa", "MX", "credit"),
    good("au", "4000000360000006", "visa", "AU", "credit"),
    visa("bypassPending", "4000000000000077", B::Succeed),
    good("bypassPendingInternational", "4000003720000278", "visa", "IE", "credit"),
    visa("visa_chargeDeclined", "4000000000000002", B::Decline(Reason::Generic)),
    visa("chargeDeclined", "4000000000000002", B::Decline(Reason::Generic)),
    visa("visa_chargeDeclinedInsufficientFunds", "4000000000009995", B::Decline(Reason::InsufficientFunds)),
    visa("visa_chargeDeclinedLostCard", "4000000000009987", B::Decline(Reason::LostCard)),
    visa("visa_chargeDeclinedStolenCard", "4000000000009979", B::Decline(Reason::StolenCard)),
    visa("chargeDeclinedExpiredCard", "4000000000000069", B::Decline(Reason::ExpiredCard)),
    visa("chargeDeclinedIncorrectCvc", "4000000000000127", B::Decline(Reason::IncorrectCvc)),
    visa("chargeDeclinedProcessingError", "4000000000000119", B::Decline(Reason::ProcessingError)),
    visa("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", B::Decline(Reason::Velocity)),
    visa("chargeCustomerFail", "4000000000000341", B::AttachThenDecline),
    TestCard {
        token: "authenticationRequired",
        number: "4000002760003184",
        brand: "visa",
        country: "DE",
        funding: "credit",
        behaviour: B::Authenticate,
    },
    TestCard {
        token: "authenticationRequiredOnSetup",
        number: "4000002500003155",
        brand: "visa",
        country: "FR",
        funding: "credit",
        behaviour: B::AuthenticateUnlessSetUp,
    },
    TestCard {
        token: "authenticationRequiredSetupForOffSession",
        number: "4000003800000446",
        brand: "visa",
        country: "HR",
        funding: "credit",
        behaviour: B::AuthenticateOnSession,
    },
    TestCard {
        token: "authenticationRequiredChargeDeclinedInsufficientFunds",
        number: "4000008260003178",
        brand: "visa",
        country: "GB",
        funding: "credit",
        behaviour: B::AuthenticateThenDecline(Reason::InsufficientFunds),
    },
    visa("threeDSecure2Required", "4000000000003220", B::Authenticate),
    visa(
        "threeDSecureRequiredChargeDeclined",
        "4000008400001629",
        B::AuthenticateThenDecline(Reason::Generic),
    ),
    visa("threeDSecureRequiredProcessingError", "4000008400001280", B::Decline(Reason::ProcessingError)),
    visa("threeDSecureOptional", "4000000000003055", B::Succeed),
    visa("createDispute", "4000000000000259", B::Dispute("fraudulent")),
    visa("createDisputeProductNotReceived", "4000000000002685", B::Dispute("product_not_received")),
    visa("createDisputeInquiry", "4000000000001976", B::Inquiry),
    visa("pendingRefund", "4000000000007726", B::PendingRefund),
    visa("refundFail", "4000000000005126", B::FailingRefund),
    visa("radarBlock", "4100000000000019", B::Blocked),
    visa("riskLevelHighest", "4000000000004954", B::Blocked),
    visa("riskLevelElevated", "4000000000009235", B::Succeed),
    visa("cvcCheckFail", "4000000000000101", B::Succeed),
    TestCard {
        token: "",
        number: "AT611904300234573201",
        brand: "sepa_debit",
        country: "AT",
        funding: "debit",
        behaviour: B::SettlesLater,
    },
    TestCard {
        token: "",
        number: "AT861904300235473202",
        brand: "sepa_debit",
        country: "AT",
        funding: "debit",
        behaviour: B::FailsLater,
    },
];

/// The test card behind a `pm_card_*` token.
pub(crate) fn by_token(id: &str) -> Option<&'static TestCard> {
    let token = id.strip_prefix("pm_card_").filter(|t| !t.is_empty())?;
    TEST_CARDS.iter().find(|c| c.token == token)
}

/// The test card with a number; spaces are ignored. Says what the buyer must correct.
pub(crate) fn by_number(typed: &str) -> Result<&'static TestCard, &'static str> {
    let number: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let known = TEST_CARDS.iter().find(|c| c.number.eq_ignore_ascii_case(&number));
    match known {
        Some(card) => Ok(card),
        None if number.is_empty() => Err("Your card number is incomplete."),
        None if !luhn(&number) => Err("Your card number is incorrect."),
        None => Err("This is a test payment: use one of the test card numbers."),
    }
}

fn luhn(number: &str) -> bool {
    let mut sum = 0;
    for (i, c) in number.chars().rev().enumerate() {
        let Some(digit) = c.to_digit(10) else { return false };
        let doubled = if i % 2 == 1 { digit * 2 } else { digit };
        sum += if doubled > 9 { doubled - 9 } else { doubled };
    }
    number.len() >= 12 && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_check_digit_is_an_incorrect_number() {
        assert_eq!(by_number("4242 4242 4242 4241"), Err("Your card number is incorrect."));
        assert_eq!(by_number("4242-4242-4242-4242").map(|c| c.token), Ok("visa"));
    }

    #[test]
    fn tokens_and_numbers_name_the_same_card() {
        let token = by_token("pm_card_chargeCustomerFail").unwrap();
        assert_eq!(by_number("4000000000000341"), Ok(token));
    }
}

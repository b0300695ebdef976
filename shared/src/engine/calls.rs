//! The bytes of each call, from the terms of its effect and the order just read.

use super::{Engine, EngineError, Prepared};
use crate::domain::fact::{EffectResult, Terms, What};
use crate::domain::ids::OrderKey;
use crate::domain::money::Money;
use crate::domain::order::Order;
use crate::domain::plan::{Action, Do, Reason};
use crate::domain::state::State;
use crate::domain::time::Seconds;
use crate::outbound::stripe::calls::{
    self, Buyer, CreateIntent, CreateRefund, CreateSession, RefundOf, SessionLine, StripeCall, marks,
};
use crate::outbound::stripe::objects::CaptureMethod;
use crate::store::keys;

/// Stripe's limit of lines in payment mode.
const LINES_MAX: usize = 100;
/// Longest line name sent.
const NAME_CHARS_MAX: usize = 120;

/// The call of an effect whose terms say all. `None` for what is not Stripe's or needs the order.
pub fn of_terms(key: &OrderKey, terms: &Terms) -> Option<StripeCall> {
    match terms {
        Terms::Confirm { intent, method, .. } => Some(calls::confirm(intent, method)),
        Terms::CancelIntent { intent, .. } => {
            Some(calls::cancel_intent(intent, Some("requested_by_customer")))
        }
        Terms::ExpireSession { session, .. } => Some(calls::expire_session(session)),
        Terms::Capture { intent, amount_stripe, .. } => Some(calls::capture(intent, Some(*amount_stripe))),
        Terms::Refund { request, charge, amount_stripe } => {
            let refund = CreateRefund {
                of: RefundOf::Charge(charge.clone()),
                amount: *amount_stripe,
                reason: None,
                metadata: marks(Some(key.as_str()), None, Some(request)),
            };
            Some(refund.call())
        }
        Terms::CreateSession { .. }
        | Terms::CreateIntent { .. }
        | Terms::Tell { .. }
        | Terms::Notice { .. } => None,
    }
}

/// The session's lines: the order's own if they are sellable as they are and sum to what is due, else one line.
fn lines(order: &Order, due: Money) -> Result<Vec<SessionLine>, crate::domain::money::MoneyError> {
    let clip = |name: &str| name.chars().take(NAME_CHARS_MAX).collect::<String>();
    let sum: Option<i64> = order
        .items
        .iter()
        .map(|i| i.unit_amount.checked_mul(i64::from(i.quantity)))
        .try_fold(0_i64, |sum, line| sum.checked_add(line?));
    let plain = order.items.iter().all(|i| i.unit_amount >= 0 && i.quantity > 0 && !i.name.is_empty());
    if plain && sum == Some(due.minor) && !order.items.is_empty() && order.items.len() <= LINES_MAX {
        let line = |i: &crate::domain::order::Item| {
            let unit_amount = Money::new(i.unit_amount, order.currency).to_stripe()?;
            Ok(SessionLine { name: clip(&i.name), unit_amount, quantity: i.quantity })
        };
        return order.items.iter().map(line).collect();
    }
    let name = if order.number.is_empty() { &order.id } else { &order.number };
    Ok(vec![SessionLine { name: clip(&format!("Order {name}")), unit_amount: due.to_stripe()?, quantity: 1 }])
}

fn is_web_url(url: &str) -> bool {
    url.parse::<http::Uri>()
        .is_ok_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some())
}

/// Stripe takes 30 minutes to 24 hours, counted on its own clock from the moment at which the request arrives
/// (`checkout/sessions`, `expires_at`). Its clock is not ours, and a request may be on its way for a while: both ends are kept
/// clear of.
fn page_life(wanted: Seconds) -> Seconds {
    const CLEAR: i64 = 5;
    wanted.clamp(Seconds::minutes(30 + CLEAR), Seconds::minutes(24 * 60 - CLEAR))
}

impl Engine {
    /// Prepares the creation of a session. `base`: public base of the stable links.
    pub fn prepare_session(
        &self,
        key: &OrderKey,
        state: &State,
        order: &Order,
        action: &Do,
        base: &str,
    ) -> Result<Prepared, EngineError> {
        let Do::CreateSession { attempt, amount, currency, ttl, manual_capture, save_method, fingerprint } =
            action
        else {
            return Ok(Prepared::Nothing);
        };
        let terms = Terms::CreateSession {
            attempt: *attempt,
            amount: *amount,
            currency: *currency,
            fingerprint: fingerprint.clone(),
        };
        let effect = format!("session:{attempt}");
        let lines = match lines(order, Money::new(*amount, *currency)) {
            Ok(lines) => lines,
            Err(_) => return Ok(not_at_stripe(state, effect, terms)),
        };
        let token = state.pay_token.as_deref().unwrap_or_default();
        let link = format!("{}/pay/{token}", base.trim_end_matches('/'));
        let email = order.customer.as_ref().and_then(|c| c.email.clone());
        let buyer = match (&state.customer, email) {
            (Some(customer), _) => Buyer::Customer(customer.clone()),
            (None, Some(email)) => Buyer::Email(email),
            (None, None) => Buyer::Unknown,
        };
        let private = matches!(buyer, Buyer::Email(_));
        let call = CreateSession {
            currency: currency.stripe_code(),
            lines,
            buyer,
            success_url: order.return_url.clone().filter(|u| is_web_url(u)).unwrap_or_else(|| link.clone()),
            cancel_url: Some(link),
            expires_at: Some(self.clock.now() + page_life(*ttl)),
            locale: None,
            client_reference_id: Some(order.id.chars().take(200).collect()),
            capture_method: manual_capture.then_some(CaptureMethod::Manual),
            save_for_off_session: *save_method,
            metadata: marks(Some(key.as_str()), Some(*attempt), None),
        }
        .call();
        Ok(Prepared::Call { effect, terms, call, private })
    }

    /// Prepares the creation of an unconfirmed intent on a saved method.
    pub fn prepare_intent(&self, key: &OrderKey, state: &State, action: &Do) -> Prepared {
        let Do::CreateIntent { attempt, amount, currency, method, card, manual_capture, fingerprint } =
            action
        else {
            return Prepared::Nothing;
        };
        let terms = Terms::CreateIntent {
            attempt: *attempt,
            amount: *amount,
            currency: *currency,
            fingerprint: fingerprint.clone(),
            method: method.clone(),
            card: card.clone(),
        };
        let effect = format!("intent:{attempt}");
        let Ok(at_stripe) = Money::new(*amount, *currency).to_stripe() else {
            return not_at_stripe(state, effect, terms);
        };
        let call = CreateIntent {
            amount: at_stripe,
            currency: currency.stripe_code(),
            customer: state.customer.clone(),
            payment_method: Some(method.clone()),
            capture_method: manual_capture.then_some(CaptureMethod::Manual),
            description: None,
            metadata: marks(Some(key.as_str()), Some(*attempt), None),
        }
        .call();
        Prepared::Call { effect, terms, call, private: false }
    }

    /// Prepares an effect whose terms say all.
    pub fn prepare_effect(&self, key: &OrderKey, effect: &str, terms: &Terms) -> Prepared {
        match of_terms(key, terms) {
            Some(call) => {
                Prepared::Call { effect: effect.to_owned(), terms: terms.clone(), call, private: false }
            }
            None => Prepared::Nothing,
        }
    }

    /// Asks for a place in the card's budget; granted or refused is a fact of the order.
    pub async fn prepare_budget(&self, key: &OrderKey, action: &Action) -> Result<Prepared, EngineError> {
        let Do::ReserveCard { attempt, try_no, card } = &action.what else { return Ok(Prepared::Nothing) };
        let source = self.stripe_of(key)?;
        let pk = keys::card(&self.config.stack, &source.account, card);
        let place = format!("{key}:{attempt}:{try_no}");
        let budget =
            self.store.reserve_card(&pk, &place, &self.config.policy.retry, self.clock.now()).await?;
        let fact = What::CardBudget {
            attempt: *attempt,
            try_no: *try_no,
            granted: budget.granted,
            again_at: budget.again_at,
        };
        Ok(Prepared::Facts(vec![(fact, Reason::CardBudget)]))
    }
}

/// An amount that Stripe cannot express is refused before any call.
fn not_at_stripe(state: &State, effect: String, terms: Terms) -> Prepared {
    let generation = state.generations.get(&effect).copied().unwrap_or(1);
    let refused = EffectResult::Refused { code: "amount_not_at_stripe".into(), decline: None };
    Prepared::Facts(vec![
        (What::Claimed { effect: effect.clone(), generation, terms }, Reason::FirstSession),
        (What::Outcome { effect, generation, result: refused }, Reason::Carried),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::order::{Item, OrderStatus};
    use crate::domain::time::UnixTime;

    /// The deployed stack found it: its clock was a second ahead of Stripe's, and every page of 24 hours was refused.
    #[test]
    fn a_page_s_life_keeps_clear_of_both_of_stripe_s_limits() {
        let of = |minutes: i64| page_life(Seconds::minutes(minutes));
        assert_eq!((of(24 * 60), of(30)), (Seconds::minutes(24 * 60 - 5), Seconds::minutes(35)));
        assert_eq!(of(60), Seconds::hours(1));
    }

    fn order(items: &[(i64, u32)]) -> Order {
        let item = |(unit_amount, quantity): &(i64, u32)| Item {
            sku: "s".into(),
            name: "Mug".into(),
            quantity: *quantity,
            unit_amount: *unit_amount,
            kind: String::new(),
        };
        Order {
            id: "1".into(),
            number: "A-1".into(),
            status: OrderStatus::Open,
            currency: Currency::parse("EUR").unwrap(),
            total: 0,
            items: items.iter().map(item).collect(),
            customer: None,
            collection: Default::default(),
            capture: Default::default(),
            deposit: None,
            balance_due_at: None,
            refund_requests: Vec::new(),
            refunds: Vec::new(),
            return_url: None,
            metadata: Default::default(),
            updated_at: UnixTime(0),
            version: 1,
            payment: None,
            paid: None,
        }
    }

    #[test]
    fn items_are_listed_only_if_they_sum_to_what_is_due() {
        let due = Money::new(1000, Currency::parse("EUR").unwrap());
        assert_eq!(lines(&order(&[(500, 2)]), due).unwrap().len(), 1);
        assert_eq!(lines(&order(&[(600, 1), (400, 1)]), due).unwrap().len(), 2);
        for other in [&[(500, 1)][..], &[(1200, 1), (-200, 1)], &[]] {
            let one = lines(&order(other), due).unwrap();
            assert_eq!((one.len(), one[0].unit_amount, one[0].name.as_str()), (1, 1000, "Order A-1"));
        }
    }

    #[test]
    fn only_web_addresses_are_returned_to() {
        assert!(is_web_url("https://shop.test/thanks?o=1"));
        for bad in ["javascript:alert(1)", "/relative", "ftp://x/y", ""] {
            assert!(!is_web_url(bad), "{bad}");
        }
    }
}

//! Stripe's objects in the few fields that are compared.

use shared::domain::fact::What;
use shared::domain::reconcile::{TheirCharge, TheirRefund};
use shared::engine::seen;
use shared::outbound::stripe::calls::TANDEM_ORDER;
use shared::outbound::stripe::objects::{Charge, Refund};

/// A charge; `None` if its currency is no currency.
pub(crate) fn charge(object: &Charge) -> Option<TheirCharge> {
    let Ok(What::ChargeSeen(charge)) = seen::charge(object) else { return None };
    let order = object.metadata.get(TANDEM_ORDER).cloned();
    Some(TheirCharge { charge, order, customer: object.customer.as_ref().map(|c| c.id().to_owned()) })
}

/// A refund; `None` if its currency is no currency.
pub(crate) fn refund(object: &Refund) -> Option<TheirRefund> {
    let Ok(What::RefundSeen(refund)) = seen::refund(object) else { return None };
    Some(TheirRefund {
        refund,
        order: object.metadata.get(TANDEM_ORDER).cloned(),
        intent: object.payment_intent.as_ref().map(|i| i.id().to_owned()),
        created: object.created,
    })
}

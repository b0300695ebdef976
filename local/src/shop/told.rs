//! What the shop is told: a write-back taken into the record, and the record edited behind everybody's back.
//!
//! Invariant: a version that is not above the known one changes nothing, and is written down all the same.

use shared::domain::order::{Order, PaymentEcho, ReportedRefund};
use shared::domain::time::UnixTime;
use shared::domain::view::{PaymentStatus, PaymentView, WriteBack};

use super::face::Change;
use super::{OrderRecord, Shop, ShopError, WriteBackSeen, notices};

impl OrderRecord {
    /// Takes what it was told under a version; one that is not above the known one is only noted.
    pub(super) fn take(&mut self, body: &WriteBack, at: UnixTime) -> bool {
        let (version, view) = (body.payment_version, body.payment.clone());
        let applied = version > self.payment_version;
        if applied {
            self.payment_version = version;
            self.order.payment = Some(PaymentEcho { version, status: view.status.name().to_owned() });
            self.order.refunds = refunds(&view);
            self.payment = Some(view.clone());
        }
        self.write_backs.push(WriteBackSeen { at, version, applied, view });
        applied
    }
}

impl Shop {
    /// Edits the payment status by hand, as a person with access to the shop's tables would. Nobody is told.
    pub fn tamper(&self, id: &str, status: PaymentStatus) -> Result<(), ShopError> {
        let mut state = self.lock();
        let kept = state.record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        if let Some(view) = &mut kept.payment {
            view.status = status;
        }
        if let Some(echo) = &mut kept.order.payment {
            echo.status = status.name().to_owned();
        }
        self.0.face.tamper(kept, status);
        Ok(())
    }

    /// Takes a write-back: a version not above the known one changes nothing.
    pub(super) fn write_back(&self, id: &str, body: &WriteBack) -> Result<Order, ShopError> {
        let now = self.now();
        let mut state = self.lock();
        let announce = state.knobs.announce_write_backs;
        let kept = state.record.orders.get_mut(id).ok_or_else(|| ShopError::NoOrder(id.to_owned()))?;
        if body.payment.currency != kept.order.currency {
            return Err(ShopError::Invalid("the payment's currency is not the order's"));
        }
        let before = (kept.order.clone(), kept.native.clone());
        let applied = kept.take(body, now);
        if applied {
            kept.before = Some(Box::new(before));
            kept.order.version += 1;
            kept.order.updated_at = now;
        }
        let order = kept.order.clone();
        if applied && announce {
            notices::announce(&mut state, self.0.face, Change::Updated, &order, now);
        }
        Ok(order)
    }
}

/// The refunds the shop records as made: those it was told of that have not failed.
fn refunds(view: &PaymentView) -> Vec<ReportedRefund> {
    let made = view.refunds.iter().filter(|r| !matches!(r.status.as_str(), "failed" | "canceled"));
    made.map(|r| ReportedRefund { id: r.id.clone(), amount: r.amount, request: r.request.clone() }).collect()
}

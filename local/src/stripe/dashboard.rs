//! What people, banks and card networks do outside the API: verbs for scenarios.

use super::StripeSim;
use super::aftermath::RefundRequest;

impl StripeSim {
    /// A refund as the dashboard makes it: nothing of ours in its metadata. `None` refunds all that is left.
    pub fn refund(&self, charge: &str, amount: Option<i64>) -> Result<String, String> {
        let mut world = self.world();
        world.catch_up();
        let ask = RefundRequest {
            charge: charge.to_owned(),
            amount,
            reason: Some("requested_by_customer".into()),
            ..RefundRequest::default()
        };
        world.refund(&ask).map_err(|e| e.message().to_owned())
    }

    /// A refund that had succeeded (or was pending) fails at the bank.
    pub fn fail_refund(&self, refund: &str) {
        let mut world = self.world();
        world.catch_up();
        world.finish_refund(refund, false);
    }

    /// The card's holder disputes a captured charge; `None` for all of it that is not refunded.
    pub fn create_dispute(&self, charge: &str, reason: &str, amount: Option<i64>) -> Option<String> {
        let mut world = self.world();
        world.catch_up();
        world.open_dispute(charge, reason, false, amount)
    }

    /// The card's holder only asks: no money moves.
    pub fn create_inquiry(&self, charge: &str, reason: &str) -> Option<String> {
        let mut world = self.world();
        world.catch_up();
        world.open_dispute(charge, reason, true, None)
    }

    /// The bank decides a dispute.
    pub fn close_dispute(&self, dispute: &str, won: bool) {
        let mut world = self.world();
        world.catch_up();
        world.close_dispute(dispute, won);
    }

    /// Pays out everything available in a currency. None when there is nothing.
    pub fn create_payout(&self, currency: &str) -> Option<String> {
        let mut world = self.world();
        world.catch_up();
        world.pay_out(currency)
    }

    /// The bank sends a payout back.
    pub fn fail_payout(&self, payout: &str) {
        let mut world = self.world();
        world.catch_up();
        world.fail_payout(payout);
    }
}

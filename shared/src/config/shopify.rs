//! What only a Shopify store is told: which money counts, whose orders are collected, what is written into its books.
//!
//! Invariant: whatever is not written here keeps Tandem from charging an order that somebody else collects.

use std::collections::BTreeMap;

use super::reader::Section;
use crate::domain::order::OrderStatus;
use crate::domain::view::PaymentView;

/// Names of payment methods whose money nobody collects but Tandem: Shopify's own manual methods.
pub const MANUAL_GATEWAYS: [&str; 4] = ["manual", "bank deposit", "money order", "cash on delivery (cod)"];

/// The words of `displayFulfillmentStatus`, API 2026-10.
pub const FULFILMENT_WORDS: [&str; 11] = [
    "FULFILLED",
    "FULFILLMENT_NOT_REQUIRED",
    "IN_PROGRESS",
    "ON_HOLD",
    "OPEN",
    "PARTIALLY_FULFILLED",
    "PENDING_FULFILLMENT",
    "REQUEST_DECLINED",
    "RESTOCKED",
    "SCHEDULED",
    "UNFULFILLED",
];

/// Which of an order's two currencies is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderMoney {
    /// The store's own.
    Shop,
    /// The one the buyer saw.
    Presentment,
}

/// What happens in Shopify's books while an order is paid only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartPayments {
    /// Only tag and metafields say it; the whole is recorded when it is paid in full.
    Note,
    /// `orderCreateManualPayment` records each part.
    Manual,
}

/// How a refund made at Stripe is recorded in Shopify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundRecords {
    /// As a refund of the manual payment that we recorded: the gateway is manual, so no money moves.
    Manual,
    /// As a refund without any transaction: a note in the order's history.
    Note,
}

/// Who keeps the webhook subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscriptions {
    /// Tandem, through the API: asked about and made anew.
    Api,
    /// The app's `shopify.app.toml`: the API does not show those.
    App,
}

/// `[sources.NAME] kind = "shopify"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shopify {
    /// Which money counts.
    pub money: OrderMoney,
    /// Payment methods, lower case, whose orders Tandem collects; an order that names another one is not charged.
    pub gateways: Vec<String>,
    /// What is recorded of a part payment.
    pub part_payments: PartPayments,
    /// What is recorded of a refund.
    pub refunds: RefundRecords,
    /// What a word of `displayFulfillmentStatus` means, where it differs from the default.
    pub statuses: BTreeMap<String, OrderStatus>,
    /// Read names and addresses: needs Shopify's approval for protected customer data.
    pub contact: bool,
    /// Who keeps the webhook subscriptions.
    pub webhooks: Subscriptions,
    /// Whether test orders are collected: only into a Stripe account in test mode.
    pub test_orders: bool,
}

impl Shopify {
    /// The defaults, for a Stripe account in this mode.
    pub fn defaults(livemode: bool) -> Self {
        Self {
            money: OrderMoney::Shop,
            gateways: MANUAL_GATEWAYS.map(str::to_owned).to_vec(),
            part_payments: PartPayments::Note,
            refunds: RefundRecords::Manual,
            statuses: BTreeMap::new(),
            contact: true,
            webhooks: Subscriptions::Api,
            test_orders: !livemode,
        }
    }

    /// What Shopify's books hold as ours once they were told `view`.
    pub fn books(&self, view: &PaymentView) -> i64 {
        let whole = view.amount_due == 0 || self.part_payments == PartPayments::Manual;
        if whole { view.amount_captured } else { 0 }
    }
}

pub(super) fn read(section: &Section<'_>, livemode: bool) -> Shopify {
    let base = Shopify::defaults(livemode);
    let money = [("shop", OrderMoney::Shop), ("presentment", OrderMoney::Presentment)];
    let parts = [("note", PartPayments::Note), ("orderCreateManualPayment", PartPayments::Manual)];
    let refunds = [("manual", RefundRecords::Manual), ("note", RefundRecords::Note)];
    let webhooks = [("api", Subscriptions::Api), ("app", Subscriptions::App)];
    let gateways = if section.has("gateways") {
        section.strings("gateways", "[\"manual\"]").into_iter().map(|f| f.value.to_lowercase()).collect()
    } else {
        base.gateways
    };
    Shopify {
        money: section.choice("money", &money, base.money),
        gateways,
        part_payments: section.choice("part_payments", &parts, base.part_payments),
        refunds: section.choice("refunds", &refunds, base.refunds),
        statuses: statuses(&section.section("statuses")),
        contact: section.boolean("contact", None, base.contact),
        webhooks: section.choice("webhooks", &webhooks, base.webhooks),
        test_orders: base.test_orders,
    }
}

fn statuses(section: &Section<'_>) -> BTreeMap<String, OrderStatus> {
    let words = [("open", Some(0_u8)), ("on_hold", Some(1)), ("cancelled", Some(2)), ("fulfilled", Some(3))];
    let mut statuses = BTreeMap::new();
    for (word, place) in section.names() {
        if !FULFILMENT_WORDS.contains(&word.as_str()) {
            let instead = format!("write one of {}", FULFILMENT_WORDS.join(", "));
            section.reader.mistake(place, &section.key(&word), "is no fulfilment status of Shopify", instead);
        }
        let status = match section.choice(&word, &words, None) {
            Some(0) => OrderStatus::Open,
            Some(1) => OrderStatus::OnHold,
            Some(2) => OrderStatus::Cancelled,
            Some(_) => OrderStatus::Fulfilled,
            None => continue,
        };
        statuses.insert(word, status);
    }
    statuses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};

    const BASE: &str = "[stack]\nname = \"s\"\n[sources.stripe]\nkind = \"stripe\"\naccount = \"acct_1\"\n\
        webhook_secrets = [\"w\"]\napi_keys = { default = \"k\" }\n[sources.tea]\nkind = \"shopify\"\n\
        base_url = \"https://tea.myshopify.com\"\nstripe = \"stripe\"\napi_key = \"tea-key\"\n\
        webhook_secrets = [\"tea-secret\"]\n";

    fn parse(more: &str) -> Result<Shopify, String> {
        let config = Config::parse(&format!("{BASE}{more}"), &|_| None).map_err(|e| e.to_string())?;
        match &config.shop("tea").unwrap().system {
            System::Shopify(settings) => Ok(settings.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn without_settings_only_manual_methods_are_collected_and_parts_are_only_noted() {
        let settings = parse("").unwrap();
        assert_eq!(settings, Shopify::defaults(false));
        assert!(settings.test_orders && settings.gateways.contains(&"bank deposit".to_owned()));
    }

    #[test]
    fn test_orders_are_never_collected_into_a_live_account() {
        let text = BASE.replace("account =", "livemode = true\naccount =");
        let config = Config::parse(&text, &|_| None).unwrap();
        let System::Shopify(settings) = &config.shop("tea").unwrap().system else { panic!() };
        assert!(!settings.test_orders);
    }

    #[test]
    fn every_setting_is_read() {
        let settings = parse(
            "money = \"presentment\"\ngateways = [\"Pay by Stripe\"]\npart_payments = \"orderCreateManualPayment\"\n\
             refunds = \"note\"\ncontact = false\nwebhooks = \"app\"\nstatuses = { ON_HOLD = \"on_hold\" }\n",
        )
        .unwrap();
        assert_eq!(settings.money, OrderMoney::Presentment);
        assert_eq!(settings.gateways, ["pay by stripe"]);
        assert_eq!(settings.part_payments, PartPayments::Manual);
        assert_eq!(settings.refunds, RefundRecords::Note);
        assert_eq!(settings.statuses["ON_HOLD"], OrderStatus::OnHold);
        assert_eq!((settings.contact, settings.webhooks), (false, Subscriptions::App));
    }

    #[test]
    fn mistakes_name_the_key_and_what_to_write() {
        let error =
            parse("money = \"euro\"\ngateway = \"x\"\nstatuses = { HELD = \"open\", OPEN = \"lost\" }\n");
        let error = error.unwrap_err();
        for part in [
            "sources.tea.money: \"euro\" is not known; write one of \"shop\", \"presentment\"",
            "sources.tea.gateway: is not a key of Tandem; did you mean \"gateways\"?",
            "sources.tea.statuses.HELD: is no fulfilment status of Shopify",
            "sources.tea.statuses.OPEN: \"lost\" is not known; write one of \"open\"",
        ] {
            assert!(error.contains(part), "{part}\n{error}");
        }
    }

    #[test]
    fn what_is_recorded_follows_from_the_view_and_the_setting_alone() {
        let view = |due, captured| PaymentView {
            status: crate::domain::view::PaymentStatus::Paid,
            payment_url: None,
            currency: crate::domain::money::Currency::parse("EUR").unwrap(),
            amount_due: due,
            amount_captured: captured,
            amount_refunded: 0,
            payment_id: None,
            reason: String::new(),
            refunds: vec![],
        };
        let note = Shopify::defaults(false);
        let manual = Shopify { part_payments: PartPayments::Manual, ..note.clone() };
        for (due, captured, noted, booked) in [(0, 0, 0, 0), (700, 300, 0, 300), (0, 1000, 1000, 1000)] {
            assert_eq!(note.books(&view(due, captured)), noted);
            assert_eq!(manual.books(&view(due, captured)), booked);
        }
    }
}

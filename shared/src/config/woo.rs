//! What only a WooCommerce shop is told: how its statuses and payment methods are taken, and what Tandem may do to an
//! order besides recording money.
//!
//! Invariant: a status that nobody named is charged nothing.

use std::collections::BTreeMap;

use super::reader::Section;
use crate::domain::order::OrderStatus;

/// Where the buyer's link goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaymentLink {
    /// Into a note to the buyer, which WooCommerce sends by e-mail.
    #[default]
    CustomerNote,
    /// Only into the order's metadata, for a plug-in or a mail of the shop's own.
    Meta,
}

/// What becomes of an order's status meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meanwhile {
    /// `on-hold`, and back when it is over.
    #[default]
    Hold,
    /// As it is.
    Leave,
}

/// The settings of one WooCommerce shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Woo {
    /// Status in the shop's words -> what it means.
    pub statuses: BTreeMap<String, OrderStatus>,
    /// Values of `payment_method` whose orders Tandem collects.
    pub payment_methods: Vec<String>,
    /// Where the buyer's link goes.
    pub payment_link: PaymentLink,
    /// While a bank confirms a debit.
    pub on_processing: Meanwhile,
    /// While a dispute is open.
    pub on_dispute: Meanwhile,
}

const OPEN: OrderStatus = OrderStatus::Open;
const HELD: OrderStatus = OrderStatus::OnHold;

/// WooCommerce's own statuses.
const STATUSES: [(&str, OrderStatus); 10] = [
    ("pending", OPEN),
    ("failed", OPEN),
    ("processing", OPEN),
    ("completed", OrderStatus::Fulfilled),
    ("cancelled", OrderStatus::Cancelled),
    ("on-hold", HELD),
    ("refunded", HELD),
    ("checkout-draft", HELD),
    ("auto-draft", HELD),
    // Whoever throws an order away may not mean to cancel it: that takes an entry of its own.
    ("trash", HELD),
];

/// What a status may mean, as written.
const MEANINGS: [(&str, u8); 4] = [("open", 0), ("on_hold", 1), ("cancelled", 2), ("fulfilled", 3)];

const MEANWHILE: [(&str, Meanwhile); 2] = [("hold", Meanwhile::Hold), ("leave", Meanwhile::Leave)];
const LINKS: [(&str, PaymentLink); 2] =
    [("customer_note", PaymentLink::CustomerNote), ("meta", PaymentLink::Meta)];

impl Default for Woo {
    fn default() -> Self {
        Self {
            statuses: STATUSES.map(|(name, meaning)| (name.to_owned(), meaning)).into(),
            payment_methods: vec![String::new()],
            payment_link: PaymentLink::default(),
            on_processing: Meanwhile::default(),
            on_dispute: Meanwhile::default(),
        }
    }
}

/// Reads what a section of kind "woocommerce" has besides what every order system has.
pub(super) fn read(section: &Section<'_>) -> Woo {
    let base = Woo::default();
    Woo {
        statuses: statuses(&section.section("statuses"), base.statuses),
        payment_methods: payment_methods(section).unwrap_or(base.payment_methods),
        payment_link: section.choice("payment_link", &LINKS, base.payment_link),
        on_processing: section.choice("on_processing", &MEANWHILE, base.on_processing),
        on_dispute: section.choice("on_dispute", &MEANWHILE, base.on_dispute),
    }
}

fn statuses(table: &Section<'_>, base: BTreeMap<String, OrderStatus>) -> BTreeMap<String, OrderStatus> {
    let mut statuses = base;
    for (name, place) in table.names() {
        if !is_slug(&name) || name.starts_with("wc-") {
            let instead =
                "write the status as the REST API shows it: lower case, without wc-, e.g. \"on-hold\"";
            table.reader.mistake(place, &table.key(&name), "is no status of an order", instead);
        }
        let meaning = match table.choice(&name, &MEANINGS, 1) {
            0 => OrderStatus::Open,
            2 => OrderStatus::Cancelled,
            3 => OrderStatus::Fulfilled,
            _ => OrderStatus::OnHold,
        };
        statuses.insert(name, meaning);
    }
    statuses
}

fn payment_methods(section: &Section<'_>) -> Option<Vec<String>> {
    let key = "payment_methods";
    section.names().iter().find(|(name, _)| name == key)?;
    let mut methods = Vec::new();
    for found in section.strings(key, "[\"\", \"cheque\"]") {
        // The empty one is an order without a method: made by staff or by an API.
        if !found.value.is_empty() && !is_slug(&found.value) {
            let instead = "write the method's id as the REST API shows it, e.g. \"cheque\", or \"\" for none";
            let wrong = format!("{:?} is no id of a payment method", found.value);
            section.reader.mistake(found.place, &found.key, wrong, instead);
        }
        methods.push(found.value);
    }
    Some(methods)
}

fn is_slug(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigErrors, System};

    const STRIPE: &str = "[stack]\nname = \"s\"\n[sources.stripe]\nkind = \"stripe\"\naccount = \"acct_1\"\n\
        webhook_secrets = [\"w\"]\napi_keys = { default = \"k\" }\n";
    const SHOP: &str = "[sources.woo]\nkind = \"woocommerce\"\nbase_url = \"https://shop.example.com\"\nstripe = \"stripe\"\n\
        api_key = \"woo-key\"\nwebhook_secrets = [\"woo-webhook\"]\n";

    fn parse(more: &str) -> Result<Config, ConfigErrors> {
        Config::parse(&format!("{STRIPE}{SHOP}{more}"), &|_| None)
    }

    fn woo(more: &str) -> Woo {
        let config = parse(more).unwrap();
        let shop = config.shop("woo").unwrap();
        assert_eq!(shop.system.name(), "woocommerce");
        let System::Woo(woo) = shop.system.clone() else { panic!("no WooCommerce shop") };
        woo
    }

    #[test]
    fn without_a_word_woocommerces_own_statuses_have_their_meaning() {
        let woo = woo("");
        assert_eq!(woo, Woo::default());
        assert_eq!(woo.statuses["pending"], OrderStatus::Open);
        assert_eq!(woo.statuses["trash"], OrderStatus::OnHold, "cancelled only when the shop says so");
        assert_eq!(woo.payment_methods, [""]);
        assert_eq!(woo.payment_link, PaymentLink::CustomerNote);
    }

    #[test]
    fn a_shop_names_statuses_of_its_own_and_changes_the_meaning_of_others() {
        let woo = woo(
            "payment_methods = [\"\", \"cheque\"]\npayment_link = \"meta\"\non_processing = \"leave\"\n\
             on_dispute = \"leave\"\n[sources.woo.statuses]\npacked = \"open\"\non-hold = \"open\"\ntrash = \"cancelled\"\n\
             picked_up = \"fulfilled\"\n",
        );
        assert_eq!(woo.statuses["packed"], OrderStatus::Open);
        assert_eq!(woo.statuses["on-hold"], OrderStatus::Open);
        assert_eq!(woo.statuses["trash"], OrderStatus::Cancelled);
        assert_eq!(woo.statuses["picked_up"], OrderStatus::Fulfilled);
        assert_eq!(woo.statuses["completed"], OrderStatus::Fulfilled, "what is not named stays");
        assert_eq!(woo.payment_methods, ["", "cheque"]);
        assert_eq!((woo.on_processing, woo.on_dispute), (Meanwhile::Leave, Meanwhile::Leave));
        assert_eq!(woo.payment_link, PaymentLink::Meta);
    }

    #[test]
    fn all_mistakes_are_named_at_once_with_their_cure() {
        let errors = parse(
            "payment_link = \"sms\"\npayment_methods = [\"Credit Card\"]\non_disputes = \"hold\"\n\
             [sources.woo.statuses]\nwc-packed = \"open\"\npacked = \"charged\"\n",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "\"sms\" is not known; write one of \"customer_note\", \"meta\"",
            "\"Credit Card\" is no id of a payment method",
            "on_disputes: is not a key of Tandem; did you mean \"on_dispute\"?",
            "wc-packed: is no status of an order",
            "\"charged\" is not known; write one of \"open\", \"on_hold\", \"cancelled\", \"fulfilled\"",
        ] {
            assert!(errors.contains(part), "{part}\n{errors}");
        }
    }
}

//! What only a Checkfront account is told: its status codes, its deposits, and whether payments are imported.
//!
//! Invariant: without a setting nothing is cancelled, nothing is imported and no field that a buyer might fill in counts.

use std::collections::BTreeMap;

use super::reader::Section;
use crate::domain::money::Currency;
use crate::domain::order::OrderStatus;
use crate::domain::view::PaymentView;

/// The codes that every account has, as most accounts use them.
const STATUSES: [(&str, OrderStatus); 7] = [
    ("PEND", OrderStatus::Open),
    ("HOLD", OrderStatus::Open),
    ("PART", OrderStatus::Open),
    ("PAID", OrderStatus::Open),
    ("WAIT", OrderStatus::OnHold),
    ("STOP", OrderStatus::Cancelled),
    ("VOID", OrderStatus::Cancelled),
];
/// What a code may mean.
const MEANINGS: [(&str, &str); 4] =
    [("open", "open"), ("on_hold", "on_hold"), ("cancelled", "cancelled"), ("fulfilled", "fulfilled")];
/// Longest code.
const CODE_BYTES_MAX: usize = 16;
/// What the template of an import may hold.
const PLACEHOLDERS: [(&str, &str); 4] =
    [("{amount}", "2900"), ("{currency}", "EUR"), ("{payment_id}", "pi_1"), ("{version}", "7")];

/// What is due first, where the account asks for deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// Percent of the total, rounded up to a whole minor unit.
    Percent(u32),
    /// ISO minor units, at most the total.
    Amount(i64),
}

/// `[sources.NAME] kind = "checkfront"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckfrontSettings {
    /// What a status code means. One that is not here is no status of ours: nothing is charged, a person is asked.
    pub statuses: BTreeMap<String, OrderStatus>,
    /// Written when all is paid.
    pub paid_status: String,
    /// Written when a part is paid.
    pub part_status: String,
    /// Written while a bank takes its time.
    pub processing_status: String,
    /// Written when all went back, if `cancel_when_refunded`.
    pub cancel_status: String,
    /// Whether a booking whose money went back is cancelled.
    pub cancel_when_refunded: bool,
    /// What is due first.
    pub deposit: Option<Deposit>,
    /// The balance is due so many days before the booking starts.
    pub balance_days_before_start: u32,
    /// Whether booking fields named `tandem_..` count.
    pub custom_fields: bool,
    /// The account's currency; any other is refused.
    pub currency: Option<Currency>,
    /// Body of `transactions/import` of API v4, with placeholders. `None`: payments are recorded by `set_paid` only.
    pub import_body: Option<String>,
}

impl Default for CheckfrontSettings {
    fn default() -> Self {
        Self {
            statuses: STATUSES.map(|(code, status)| (code.to_owned(), status)).into(),
            paid_status: "PAID".to_owned(),
            part_status: "PART".to_owned(),
            processing_status: "HOLD".to_owned(),
            cancel_status: "STOP".to_owned(),
            cancel_when_refunded: false,
            deposit: None,
            balance_days_before_start: 0,
            custom_fields: false,
            currency: None,
            import_body: None,
        }
    }
}

impl CheckfrontSettings {
    /// See [`super::System::books`]. `set_paid` knows only the whole balance, so until nothing is due nothing is recorded.
    pub fn books(&self, view: &PaymentView) -> i64 {
        let whole = view.amount_due == 0 || self.import_body.is_some();
        if whole { view.amount_captured } else { 0 }
    }

    /// What a code means.
    pub fn status(&self, code: &str) -> OrderStatus {
        self.statuses.get(code).cloned().unwrap_or_else(|| OrderStatus::Other(code.to_owned()))
    }

    /// The body of an import with the placeholders filled.
    pub fn import(&self, amount: i64, currency: Currency, payment: &str, version: u64) -> Option<String> {
        let text = self.import_body.as_ref()?;
        // Ids are letters, digits and underscores: they cannot leave the string they stand in.
        let payment: String = payment.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let text = text.replace("{amount}", &amount.to_string()).replace("{currency}", currency.code());
        Some(text.replace("{payment_id}", &payment).replace("{version}", &version.to_string()))
    }
}

/// Reads the keys that only this kind has.
pub(super) fn settings(section: &Section<'_>) -> CheckfrontSettings {
    let base = CheckfrontSettings::default();
    let statuses = statuses(section, &base.statuses);
    let code = |key: &str, default: &str| code(section, key, default, &statuses);
    CheckfrontSettings {
        paid_status: code("paid_status", &base.paid_status),
        part_status: code("part_status", &base.part_status),
        processing_status: code("processing_status", &base.processing_status),
        cancel_status: code("cancel_status", &base.cancel_status),
        cancel_when_refunded: section.boolean("cancel_when_refunded", None, false),
        deposit: deposit(section),
        balance_days_before_start: section.count("balance_days_before_start", 0..=730, 0),
        custom_fields: section.boolean("custom_fields", None, false),
        currency: currency(section),
        import_body: import_body(section),
        statuses,
    }
}

fn statuses(section: &Section<'_>, base: &BTreeMap<String, OrderStatus>) -> BTreeMap<String, OrderStatus> {
    let mut all = base.clone();
    let table = section.section("statuses");
    for (code, place) in table.names() {
        if !is_code(&code) {
            let instead =
                "write a code as Manage > Layout > Statuses shows it, at most 16 letters, digits, _ or -";
            section.reader.mistake(place, &table.key(&code), "is no status code", instead);
        }
        let status = match table.choice(&code, &MEANINGS, "") {
            "open" => OrderStatus::Open,
            "on_hold" => OrderStatus::OnHold,
            "cancelled" => OrderStatus::Cancelled,
            "fulfilled" => OrderStatus::Fulfilled,
            _ => continue,
        };
        all.insert(code, status);
    }
    all
}

fn is_code(text: &str) -> bool {
    (1..=CODE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A code that Tandem writes: one whose meaning is known, or the order would stop at it.
fn code(section: &Section<'_>, key: &str, default: &str, statuses: &BTreeMap<String, OrderStatus>) -> String {
    let Some(found) = section.string(key, None) else { return default.to_owned() };
    let wrong = match statuses.get(&found.value) {
        None => Some(format!("{:?} has no meaning", found.value)),
        Some(OrderStatus::Cancelled) if key != "cancel_status" => Some("would cancel the booking".to_owned()),
        Some(OrderStatus::OnHold) => Some("would put the booking on hold".to_owned()),
        Some(_) => None,
    };
    if let Some(wrong) = wrong {
        let instead = format!("name another code, or say in [{}] what it means", section.key("statuses"));
        section.reader.mistake(found.place, &found.key, wrong, instead);
    }
    found.value
}

fn deposit(section: &Section<'_>) -> Option<Deposit> {
    let percent = section.count("deposit_percent", 1..=100, 0);
    let amount = section.amount("deposit_amount");
    match (percent, amount) {
        (0, None) => None,
        (0, Some(amount)) => Some(Deposit::Amount(amount)),
        (percent, None) => Some(Deposit::Percent(percent)),
        (_, Some(_)) => {
            let place = super::reader::Place::Nowhere;
            let (key, wrong) = (section.key("deposit_amount"), "stands beside deposit_percent");
            section.reader.mistake(place, &key, wrong, "write one of them");
            None
        }
    }
}

fn currency(section: &Section<'_>) -> Option<Currency> {
    let found = section.string("currency", None)?;
    let parsed = Currency::parse(&found.value).ok().filter(|c| c.code() == found.value);
    if parsed.is_none() {
        let instead = "write the ISO 4217 code in upper case, e.g. \"CAD\"";
        section.reader.mistake(found.place, &found.key, format!("{:?} is no currency", found.value), instead);
    }
    parsed
}

/// The template, if the flag is on. It must be JSON once its placeholders are filled, and name the amount.
fn import_body(section: &Section<'_>) -> Option<String> {
    let on = section.boolean("import_v4", None, false);
    let found = section.string("import_body", None);
    if !on {
        return None;
    }
    let Some(found) = found else {
        section.missing("import_body", "the JSON that transactions/import of API v4 takes, with {amount}");
        return None;
    };
    let filled = PLACEHOLDERS.iter().fold(found.value.clone(), |text, (name, with)| text.replace(name, with));
    let json = serde_json::from_str::<serde_json::Value>(&filled).is_ok_and(|v| v.is_object());
    if !json || !found.value.contains("{amount}") {
        let instead = "write a JSON object in single quotes, with {amount} and perhaps {currency}, {payment_id}, {version}";
        section.reader.mistake(found.place, &found.key, "is no body for an import", instead);
    }
    Some(found.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SHIPPED_TOML, System};

    const SOURCE: &str = "\n[sources.tours]\nkind = \"checkfront\"\nbase_url = \"https://tours.checkfront.com\"\n\
        stripe = \"stripe\"\napi_key = \"tours-key\"\nwebhook_secrets = [\"tours-path\"]\n";

    fn parse(more: &str) -> Result<CheckfrontSettings, String> {
        let config = Config::parse(&format!("{SHIPPED_TOML}{SOURCE}{more}"), &|_| None);
        let config = config.map_err(|e| e.to_string())?;
        match config.shop("tours").map(|s| s.system.clone()) {
            Some(System::Checkfront(settings)) => Ok(*settings),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn an_account_without_settings_has_the_seven_codes_and_nothing_that_cancels_or_imports() {
        let settings = parse("").unwrap();
        assert_eq!(settings, CheckfrontSettings::default());
        assert_eq!(settings.status("WAIT"), OrderStatus::OnHold);
        assert_eq!(settings.status("CONF"), OrderStatus::Other("CONF".into()));
        assert_eq!((settings.cancel_when_refunded, settings.custom_fields), (false, false));
    }

    #[test]
    fn every_key_is_read() {
        let settings = parse(
            "part_status = \"DEPO\"\ncancel_status = \"VOID\"\ncancel_when_refunded = true\ndeposit_percent = 20\n\
             balance_days_before_start = 14\ncustom_fields = true\ncurrency = \"CAD\"\nimport_v4 = true\n\
             import_body = '{\"amount\":{amount},\"reference\":\"{payment_id}\"}'\n\
             [sources.tours.statuses]\nDEPO = \"open\"\nDONE = \"fulfilled\"\n",
        )
        .unwrap();
        assert_eq!((settings.part_status.as_str(), settings.cancel_status.as_str()), ("DEPO", "VOID"));
        assert_eq!(settings.deposit, Some(Deposit::Percent(20)));
        assert_eq!(settings.status("DONE"), OrderStatus::Fulfilled);
        let body = settings.import(2900, settings.currency.unwrap(), "pi_1\"}", 7).unwrap();
        assert_eq!(body, "{\"amount\":2900,\"reference\":\"pi_1\"}");
    }

    #[test]
    fn all_mistakes_are_listed_at_once() {
        let wrong = parse(
            "paid_status = \"NOPE\"\npart_status = \"STOP\"\ndeposit_percent = 20\ndeposit_amount = 500\n\
             currency = \"cad\"\nimport_v4 = true\nimport_body = \"{}\"\n[sources.tours.statuses]\nCONF = \"maybe\"\n",
        )
        .unwrap_err();
        for text in [
            "paid_status: \"NOPE\" has no meaning",
            "part_status: would cancel the booking",
            "deposit_amount: stands beside deposit_percent",
            "currency: \"cad\" is no currency",
            "import_body: is no body for an import",
            "statuses.CONF: \"maybe\" is not known",
        ] {
            assert!(wrong.contains(text), "{text:?} is not in {wrong}");
        }
    }
}

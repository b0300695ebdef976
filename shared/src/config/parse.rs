//! Reads the sections of `tandem.toml` into [`Config`] and checks the rules that span them.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::reader::{Found, Place, Reader, Section};
use super::urls::{Reach, check_url, reach};
use super::{
    Config, ConfigError, ConfigErrors, NoticeTarget, SecretStore, ShopSource, Source, StripeSource,
    SweeperLimits, System, checkfront, resources, shopify,
};
use crate::domain::ids::Function;
use crate::domain::money::Currency;
use crate::domain::policy::{
    Approval, CapturePolicy, Limits, PagePolicy, Policy, RefundPolicy, RetryPolicy, Uncaptured,
};
use crate::domain::time::{Seconds, UnixTime};

/// The functions that call Stripe; each needs a key of its own or the default one.
pub const CALLS_STRIPE: [Function; 7] = [
    Function::PaymentPage,
    Function::PaymentCreator,
    Function::PaymentRecorder,
    Function::RefundProcessor,
    Function::FailureHandler,
    Function::Sweeper,
    Function::Reconciler,
];

pub(super) fn parse(text: &str, overrides: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigErrors> {
    let reader = Reader::new(text, overrides);
    let (document, broken) = DeTable::parse_recoverable(text);
    for error in broken {
        let line = error.span().map_or(Place::Nowhere, |span| Place::Line(reader.line(span.start)));
        reader.mistake(line, "syntax", error.message(), "write valid TOML");
    }
    let root = Section::root(&reader, document.get_ref());
    let config = read(&root);
    root.finish();
    let mistakes = reader.into_mistakes();
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors(mistakes)) }
}

fn read(root: &Section<'_>) -> Config {
    let stack = root.section("stack");
    let name = word(&stack, "name", Some("TANDEM_STACK"), 24, "\"prod\"");
    let since = stack.string("since", Some("TANDEM_SINCE")).and_then(|found| time(root.reader, &found));
    let public_url = stack.string("public_url", Some("TANDEM_PUBLIC_URL"));
    stack.finish();

    let sources = sources(&root.section("sources"), root.reader);
    let live = sources.values().any(|s| matches!(s, Source::Stripe(s) if s.livemode));
    let notices = notices(root.section("notices"), live);
    let mut policy = policy(&root.section("policy"));
    policy.notify = notices.is_some();
    let config = Config {
        policy_hash: super::policy_hash(&policy),
        stack: name,
        public_url: public_url.and_then(|found| url(root.reader, found, reach(live))),
        since,
        policy,
        secrets: secrets(root.section("secrets")),
        notices,
        sweeper: sweeper(root.section("sweeper")),
        resources: resources::read(root.reader),
        sources,
    };
    cross_check(root.reader, &config);
    config
}

/// A word that becomes part of keys: lower case letters, digits and hyphens.
fn word(section: &Section<'_>, key: &str, over: Option<&str>, max: usize, example: &str) -> String {
    let Some(found) = section.required(key, over, example) else { return String::new() };
    if !is_word(&found.value, max) {
        let instead =
            format!("write at most {max} lower case letters, digits and hyphens, beginning with a letter");
        section.reader.mistake(
            found.place,
            &section.key(key),
            format!("{:?} is no name", found.value),
            instead,
        );
    }
    found.value
}

fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn time(reader: &Reader<'_>, found: &Found<String>) -> Option<UnixTime> {
    let time = UnixTime::parse(&found.value);
    if time.is_none() {
        let instead = "write it as \"2026-11-21T00:00:00Z\"";
        reader.mistake(found.place.clone(), &found.key, format!("{:?} is no time", found.value), instead);
    }
    time
}

fn url(reader: &Reader<'_>, found: Found<String>, reach: Reach) -> Option<String> {
    match check_url(&found.value, reach) {
        Ok(()) => Some(found.value),
        Err(wrong) => {
            let instead = match reach {
                Reach::Strict => "write https://, a DNS name and perhaps a path",
                Reach::Test => {
                    "write https://, a DNS name and perhaps a path, or http:// and a loopback address"
                }
            };
            reader.mistake(found.place, &found.key, format!("{:?} {wrong}", found.value), instead);
            None
        }
    }
}

/// A secret's name, never a secret.
fn secret_name(reader: &Reader<'_>, found: Found<String>) -> String {
    let name = &found.value;
    let good = (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
        && !name.starts_with('/');
    let looks_secret = ["whsec_", "sk_", "rk_"].iter().any(|p| name.starts_with(p));
    if looks_secret || !good {
        // The value is not repeated: it may be the secret itself.
        let wrong =
            if looks_secret { "holds a secret, not the name of one" } else { "is no name of a secret" };
        let instead =
            "write a name such as \"stripe-key\" and store the value with `tandem secrets put NAME`";
        reader.mistake(found.place, &found.key, wrong, instead);
    }
    found.value
}

fn secret_names(section: &Section<'_>, key: &str, example: &str) -> Vec<String> {
    let names = section.strings(key, example).into_iter();
    names.map(|found| secret_name(section.reader, found)).collect()
}

/// The kinds of sources, as written.
const KINDS: &[(&str, &str)] = &[
    ("stripe", "stripe"),
    ("checkout", "checkout"),
    ("woocommerce", "woocommerce"),
    ("shopify", "shopify"),
    ("checkfront", "checkfront"),
];

fn sources(section: &Section<'_>, reader: &Reader<'_>) -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    let names = section.names();
    // Where a shop may go depends on whether any account is live, wherever it stands in the file.
    let mut shops = Vec::new();
    for (name, place) in names {
        let source = section.section(&name);
        if !is_word(&name, 32) {
            let instead = "write at most 32 lower case letters, digits and hyphens, beginning with a letter";
            reader.mistake(place.clone(), &section.key(&name), "is no name of a source", instead);
        }
        match source.choice("kind", KINDS, "") {
            "stripe" => {
                sources.insert(name.clone(), Source::Stripe(stripe(source, &name)));
            }
            "" => {
                if !source.names().iter().any(|(key, _)| key == "kind") {
                    let kinds: Vec<String> = KINDS.iter().map(|(kind, _)| format!("\"{kind}\"")).collect();
                    let instead = format!("write kind = {}", kinds.join(" or "));
                    reader.mistake(place, &source.key("kind"), "is missing", instead);
                }
            }
            kind => shops.push((name, source, kind)),
        }
    }
    let live = sources.values().any(|s| matches!(s, Source::Stripe(s) if s.livemode));
    for (name, source, kind) in shops {
        let shop = shop(source, &name, kind, live, &sources);
        sources.insert(name, Source::Shop(shop));
    }
    sources
}

fn variable(source: &str, suffix: &str) -> String {
    format!("TANDEM_{}_{suffix}", source.to_ascii_uppercase().replace('-', "_"))
}

fn stripe(section: Section<'_>, name: &str) -> StripeSource {
    let reader = section.reader;
    let account = section.required("account", Some(&variable(name, "ACCOUNT")), "\"acct_...\"");
    if let Some(found) = &account {
        let tail = found.value.strip_prefix("acct_").unwrap_or_default();
        if tail.is_empty() || !tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let instead = "write the id from Stripe's dashboard, acct_ and letters and digits";
            reader.mistake(
                found.place.clone(),
                &section.key("account"),
                format!("{:?} is no account", found.value),
                instead,
            );
        }
    }
    let livemode = section.boolean("livemode", Some(&variable(name, "LIVEMODE")), false);
    let base_url = match section.string("base_url", Some(&variable(name, "BASE_URL"))) {
        Some(found) => url(reader, found, reach(livemode)).unwrap_or_default(),
        None => "https://api.stripe.com".to_owned(),
    };
    let source = StripeSource {
        name: name.to_owned(),
        account: account.map(|a| a.value).unwrap_or_default(),
        connect: section.boolean("connect", None, false),
        livemode,
        base_url,
        api_keys: api_keys(&section),
        webhook_secrets: secret_names(&section, "webhook_secrets", "[\"stripe-webhook-secret\"]"),
    };
    section.finish();
    source
}

fn api_keys(section: &Section<'_>) -> BTreeMap<String, String> {
    let table = section.section("api_keys");
    let known =
        |name: &str| matches!(name, "default" | "cli") || CALLS_STRIPE.iter().any(|f| f.name() == name);
    let mut keys = BTreeMap::new();
    for (name, place) in table.names() {
        if !known(&name) {
            let list = CALLS_STRIPE.map(Function::name).join(", ");
            section.reader.mistake(
                place,
                &table.key(&name),
                "is no function that calls Stripe",
                format!("write default, cli, or one of {list}"),
            );
        }
        if let Some(found) = table.string(&name, None) {
            keys.insert(name, secret_name(section.reader, found));
        }
    }
    if !keys.contains_key("default") {
        for function in CALLS_STRIPE.iter().filter(|f| !keys.contains_key(f.name())) {
            table.missing(function.name(), "\"stripe-key\", or name a default");
            if keys.is_empty() {
                break;
            }
        }
    }
    keys
}

/// What all order systems are told, and then what only this kind is.
fn shop(
    section: Section<'_>,
    name: &str,
    kind: &str,
    live: bool,
    stripes: &BTreeMap<String, Source>,
) -> ShopSource {
    let reader = section.reader;
    let base = section.required(
        "base_url",
        Some(&variable(name, "BASE_URL")),
        "\"https://shop.example.com/tandem\"",
    );
    let text = |found: Option<Found<String>>| found.map(|f| f.value).unwrap_or_default();
    let stripe = text(section.required("stripe", None, "\"stripe\""));
    // Of a name that no Stripe source has, the worse is taken.
    let livemode = !matches!(stripes.get(&stripe), Some(Source::Stripe(s)) if !s.livemode);
    let source = ShopSource {
        name: name.to_owned(),
        base_url: base.and_then(|found| url(reader, found, reach(live))).unwrap_or_default(),
        stripe,
        api_key: section
            .required("api_key", None, "\"shop-api-key\"")
            .map(|found| secret_name(reader, found))
            .unwrap_or_default(),
        webhook_secrets: secret_names(&section, "webhook_secrets", "[\"shop-webhook-secret\"]"),
        system: system(&section, kind, livemode),
    };
    section.finish();
    source
}

fn system(section: &Section<'_>, kind: &str, livemode: bool) -> System {
    match kind {
        "woocommerce" => System::Woo(super::woo::read(section)),
        "checkfront" => System::Checkfront(Box::new(checkfront::settings(section))),
        "shopify" => System::Shopify(shopify::read(section, livemode)),
        _ => System::Checkout,
    }
}

fn spans(from: Seconds, to: Seconds) -> std::ops::RangeInclusive<Seconds> {
    from..=to
}

const YEAR: Seconds = Seconds::days(366);

fn policy(section: &Section<'_>) -> Policy {
    let policy = Policy {
        retry: retry(section.section("retry")),
        refund: refund(section.section("refund")),
        capture: capture(section.section("capture")),
        page: page(section.section("page")),
        limits: limits(section.section("limits")),
        notify: false,
    };
    for (name, place) in section.names() {
        if !["retry", "refund", "capture", "page", "limits"].contains(&name.as_str()) {
            let instead = "remove it, or write one of retry, refund, capture, page, limits";
            section.reader.mistake(place, &section.key(&name), "is not a policy of Tandem", instead);
        }
    }
    policy
}

fn retry(section: Section<'_>) -> RetryPolicy {
    let base = RetryPolicy::default();
    let wait = spans(Seconds(1), Seconds::days(60));
    let policy = RetryPolicy {
        technical: section.durations("technical", &wait, &base.technical),
        soft: section.durations("soft", &wait, &base.soft),
        give_up_after: section.duration(
            "give_up_after",
            spans(Seconds::hours(1), Seconds::days(90)),
            base.give_up_after,
        ),
        card_tries_7_days_max: section.count("card_tries_7_days_max", 1..=10, base.card_tries_7_days_max),
        card_tries_30_days_max: section.count("card_tries_30_days_max", 1..=20, base.card_tries_30_days_max),
        reminders: section.durations("reminders", &wait, &base.reminders),
    };
    section.finish();
    policy
}

fn refund(section: Section<'_>) -> RefundPolicy {
    let base = RefundPolicy::default();
    let words = [("auto", Approval::Auto), ("ask", Approval::Ask)];
    let amounts = section.section("auto_up_to");
    let mut auto_up_to = BTreeMap::new();
    for (code, place) in amounts.names() {
        match Currency::parse(&code) {
            Ok(currency) if currency.code() == code => {
                amounts.amount(&code).map(|amount| auto_up_to.insert(code, amount));
            }
            _ => {
                let instead = "write the ISO 4217 code in upper case, e.g. EUR";
                section.reader.mistake(place, &amounts.key(&code), "is no currency", instead);
            }
        }
    }
    let policy = RefundPolicy {
        requested: section.choice("requested", &words, base.requested),
        on_cancel: section.choice("on_cancel", &words, base.on_cancel),
        auto_up_to,
        window: section.duration("window", spans(Seconds(0), YEAR), base.window),
    };
    section.finish();
    policy
}

fn capture(section: Section<'_>) -> CapturePolicy {
    let base = CapturePolicy::default();
    let words =
        [("capture", Uncaptured::Capture), ("release", Uncaptured::Release), ("case", Uncaptured::Case)];
    let policy = CapturePolicy {
        uncaptured: section.choice("uncaptured", &words, base.uncaptured),
        lead: section.duration("lead", spans(Seconds::hours(1), Seconds::days(3)), base.lead),
    };
    section.finish();
    policy
}

fn page(section: Section<'_>) -> PagePolicy {
    let base = PagePolicy::default();
    // Stripe's own limits of a session's life.
    let life = spans(Seconds::minutes(30), Seconds::hours(24));
    let policy = PagePolicy {
        session_ttl: section.duration("session_ttl", life.clone(), base.session_ttl),
        session_ttl_in_ladder: section.duration("session_ttl_in_ladder", life, base.session_ttl_in_ladder),
        sessions_per_day_max: section.count("sessions_per_day_max", 1..=100, base.sessions_per_day_max),
        save_method: section.boolean("save_method", None, base.save_method),
    };
    section.finish();
    policy
}

fn limits(section: Section<'_>) -> Limits {
    let base = Limits::default();
    let month = || spans(Seconds::hours(1), Seconds::days(31));
    let limits = Limits {
        unknown_case_after: section.duration("unknown_case_after", month(), base.unknown_case_after),
        write_back_case_after: section.duration("write_back_case_after", month(), base.write_back_case_after),
        observe_open_attempt: section.duration(
            "observe_open_attempt",
            spans(Seconds::minutes(5), Seconds::days(7)),
            base.observe_open_attempt,
        ),
        facts_max: section.count("facts_max", 50..=10_000, base.facts_max),
    };
    section.finish();
    limits
}

fn notices(section: Section<'_>, live: bool) -> Option<NoticeTarget> {
    if !section.exists() {
        return None;
    }
    let target =
        section.required("url", Some("TANDEM_NOTICES_URL"), "\"https://shop.example.com/tandem/notices\"");
    let url = target.and_then(|found| url(section.reader, found, reach(live)));
    let secret =
        section.required("secret", None, "\"notice-secret\"").map(|found| secret_name(section.reader, found));
    section.finish();
    Some(NoticeTarget { url: url?, secret: secret? })
}

fn secrets(section: Section<'_>) -> SecretStore {
    let reader = section.reader;
    let place = section.string("place", Some("TANDEM_SECRETS"));
    section.finish();
    let Some(found) = place else { return SecretStore::Ssm { prefix: "/tandem/".to_owned() } };
    let (kind, rest) = found.value.split_once(':').unwrap_or((&found.value, ""));
    let is_path = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_./".contains(&c));
    match kind {
        "ssm" if rest.len() > 1 && rest.starts_with('/') && rest.ends_with('/') && is_path(rest) => {
            SecretStore::Ssm { prefix: rest.to_owned() }
        }
        // Parameter Store cannot refer to a secret whose name begins with a slash.
        "secretsmanager" if is_path(rest) && !rest.starts_with('/') => {
            SecretStore::SecretsManager { prefix: rest.to_owned() }
        }
        "env" if rest.is_empty() => SecretStore::Env,
        "file" if !rest.is_empty() => SecretStore::File { dir: rest.to_owned() },
        _ => {
            let instead =
                "write \"ssm:/tandem/prod/\", \"secretsmanager:tandem/prod/\", \"env\" or \"file:FOLDER\"";
            reader.mistake(found.place, &found.key, format!("{:?} names no store", found.value), instead);
            SecretStore::Env
        }
    }
}

fn sweeper(section: Section<'_>) -> SweeperLimits {
    let base = SweeperLimits::default();
    let limits = SweeperLimits {
        hints_max: section.count("hints_max", 1..=100_000, base.hints_max),
        overlap: section.duration("overlap", spans(Seconds::minutes(1), Seconds::days(1)), base.overlap),
        long_overlap: section.duration(
            "long_overlap",
            spans(Seconds::hours(1), Seconds::days(30)),
            base.long_overlap,
        ),
    };
    section.finish();
    limits
}

fn cross_check(reader: &Reader<'_>, config: &Config) {
    let stripes: Vec<&StripeSource> = config
        .sources
        .values()
        .filter_map(|s| if let Source::Stripe(s) = s { Some(s) } else { None })
        .collect();
    if stripes.is_empty() {
        reader.mistake(
            Place::Nowhere,
            "sources",
            "names no Stripe account",
            "write [sources.stripe] kind = \"stripe\"",
        );
    }
    for (i, one) in stripes.iter().enumerate() {
        if stripes[..i].iter().any(|s| s.account == one.account && s.livemode == one.livemode) {
            reader.push(ConfigError {
                place: Place::Nowhere,
                key: format!("sources.{}.account", one.name),
                wrong: "names an account that another source names in the same mode".to_owned(),
                instead: "keep one of the two".to_owned(),
            });
        }
    }
    for shop in config.shops() {
        if !shop.stripe.is_empty() && !stripes.iter().any(|s| s.name == shop.stripe) {
            let names = stripes.iter().map(|s| format!("\"{}\"", s.name)).collect::<Vec<_>>().join(", ");
            let key = format!("sources.{}.stripe", shop.name);
            let wrong = format!("{:?} is no Stripe source", shop.stripe);
            reader.mistake(Place::Nowhere, &key, wrong, format!("write one of {names}"));
        }
    }
}

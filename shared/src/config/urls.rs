//! The rule for every URL Tandem calls or hands out, and the rule that binds a Stripe key to a mode.
//!
//! Invariant: what can reach live money goes over https to a DNS name on port 443. Plain http, other ports and loopback
//! exist only for a test key with `livemode = false`.

use super::{ConfigError, Place, StripeSource};

/// How far a URL may leave the strict rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// https, port 443, DNS name.
    Strict,
    /// Also http, other ports, and loopback addresses: test mode only.
    Test,
}

/// Says what is wrong with `url`, or nothing. A path is allowed; the caller appends to it.
pub(super) fn check_url(url: &str, reach: Reach) -> Result<(), &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or("has no scheme")?;
    let strict = reach == Reach::Strict;
    match scheme {
        "https" => {}
        "http" if !strict => {}
        "http" => return Err("is not https, which only a test key with livemode = false may use"),
        _ => return Err("is neither https nor http"),
    }
    if rest.contains(['#', '?', '\\']) || !rest.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        return Err("contains a fragment, a query, a blank or a character outside ASCII");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("contains a user name or password");
    }
    if url.ends_with('/') {
        return Err("ends with a slash");
    }
    let (host, port) = split_port(authority)?;
    let loopback = is_loopback(host);
    if strict {
        if port.is_some_and(|p| p != 443) {
            return Err("names a port other than 443, which only a test key with livemode = false may use");
        }
        if loopback {
            return Err("is a loopback address, which only a test key with livemode = false may use");
        }
    }
    // The runtime API of Lambda: whoever may call it can steal and forge invocations.
    if loopback && port == Some(9001) {
        return Err("is the address of Lambda's own runtime API");
    }
    if !loopback && !is_dns_name(host) {
        return Err("names no DNS name (an IP address, or a name without a dot)");
    }
    Ok(())
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or("has a broken IPv6 address")?;
        let (host, rest) = authority.split_at(end + 1);
        (host, rest.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("names no host");
    }
    match port {
        None => Ok((host, None)),
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map(|p| (host, Some(p))).map_err(|_| "has a port out of range")
        }
        Some(_) => Err("has a broken port"),
    }
}

fn is_loopback(host: &str) -> bool {
    if host == "localhost" || host == "[::1]" {
        return true;
    }
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// A name with a dot whose last label begins with a letter: so no IP address in any of its spellings (dotted, decimal,
/// octal, hexadecimal), no trailing dot, no underscore.
fn is_dns_name(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let label_is_good = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && host.len() <= 253
        && labels.iter().all(label_is_good)
        && last.starts_with(|c: char| c.is_ascii_lowercase())
        && last != "localhost"
}

/// What the configuration allows before the key is known: live mode is strict, test mode waits for [`check_key`].
pub(super) fn reach(livemode: bool) -> Reach {
    if livemode { Reach::Strict } else { Reach::Test }
}

/// Binds a Stripe key to its source, when the key is loaded: the mode of the key is the mode of the source, and only a
/// test key may be sent to an address that is not https on a DNS name. The key itself is never part of the error.
pub fn check_key(source: &StripeSource, key: &str) -> Result<(), ConfigError> {
    let error = |key: &str, wrong: &str, instead: &str| ConfigError {
        place: Place::Nowhere,
        key: format!("sources.{}.{key}", source.name),
        wrong: wrong.to_owned(),
        instead: instead.to_owned(),
    };
    let starts = |prefixes: [&str; 2]| prefixes.iter().any(|p| key.starts_with(p));
    let test_key = starts(["sk_test_", "rk_test_"]);
    if !test_key && !starts(["sk_live_", "rk_live_"]) {
        let instead = "store a restricted key (rk_test_... or rk_live_...) under the name of api_keys";
        return Err(error("api_keys", "the stored value is no secret key of Stripe", instead));
    }
    match (test_key, source.livemode) {
        (true, true) => {
            let instead = "store a live key, or write livemode = false";
            return Err(error("livemode", "is true, but the stored key is a test key", instead));
        }
        (false, false) => {
            let instead = "store a test key, or write livemode = true";
            return Err(error("livemode", "is false, but the stored key is a live key", instead));
        }
        _ => {}
    }
    let reach = if test_key && !source.livemode { Reach::Test } else { Reach::Strict };
    check_url(&source.base_url, reach)
        .map_err(|wrong| error("base_url", wrong, "write \"https://api.stripe.com\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS_GOOD: [&str; 4] = [
        "https://api.stripe.com",
        "https://shop.example.com/api/v1",
        "https://xn--bcher-kva.example",
        "https://shop.example.com:443",
    ];
    const TEST_ONLY: [&str; 5] = [
        "http://127.0.0.1:12111",
        "http://localhost:4242/api",
        "https://localhost:4242",
        "http://[::1]:8080",
        "http://stripe-mock.test",
    ];
    const NEVER: [&str; 22] = [
        "ftp://shop.example.com",
        "file:///etc/passwd",
        "shop.example.com",
        "https://",
        "https://user@shop.example.com",
        "https://api.stripe.com@evil.example",
        "https://shop.example.com#x",
        "https://shop.example.com?x=1",
        "https://10.0.0.1",
        "https://169.254.169.254",
        "https://2130706433",
        "https://0x7f.0.0.1",
        "https://0x7f000001",
        "https://0177.0.0.01",
        "https://[::ffff:127.0.0.1]",
        "https://[fd00::1]",
        "https://shop.example.com.",
        "https://shop",
        "https://shop.example.com:99999",
        "https://shop.exämple.com",
        "http://127.0.0.1:9001",
        "https://shop.example.com/",
    ];

    #[test]
    fn the_address_rules_hold_both_ways() {
        for url in ALWAYS_GOOD {
            assert_eq!(check_url(url, Reach::Strict), Ok(()), "{url}");
            assert_eq!(check_url(url, Reach::Test), Ok(()), "{url}");
        }
        for url in TEST_ONLY {
            assert!(check_url(url, Reach::Strict).is_err(), "{url}");
            assert_eq!(check_url(url, Reach::Test), Ok(()), "{url}");
        }
        for url in NEVER {
            assert!(check_url(url, Reach::Strict).is_err(), "{url}");
            assert!(check_url(url, Reach::Test).is_err(), "{url}");
        }
    }

    fn source(livemode: bool, base_url: &str) -> StripeSource {
        StripeSource {
            name: "stripe".into(),
            account: "acct_1".into(),
            connect: false,
            livemode,
            base_url: base_url.into(),
            api_keys: [("default".to_owned(), "stripe-key".to_owned())].into(),
            webhook_secrets: vec!["s".into()],
        }
    }

    #[test]
    fn a_key_meets_only_its_own_mode_and_loopback_only_a_test_key() {
        let live = format!("rk_{}_0123456789", "live");
        let simulator = "http://127.0.0.1:12111";
        for test in ["sk_test_local", "rk_test_local"] {
            assert!(check_key(&source(false, simulator), test).is_ok());
            assert!(check_key(&source(false, "https://api.stripe.com"), test).is_ok());
            assert!(check_key(&source(true, "https://api.stripe.com"), test).is_err());
        }
        assert!(check_key(&source(true, "https://api.stripe.com"), &live).is_ok());
        assert!(check_key(&source(true, simulator), &live).is_err());
        assert!(check_key(&source(false, simulator), &live).is_err());
        assert!(check_key(&source(false, "https://api.stripe.com"), &live).is_err());
        assert!(check_key(&source(false, simulator), "pk_test_local").is_err());
    }

    #[test]
    fn an_error_about_a_key_does_not_contain_it() {
        let live = format!("rk_{}_canary", "live");
        let error = check_key(&source(false, "https://api.stripe.com"), &live).unwrap_err();
        assert!(!error.to_string().contains("canary"));
    }
}

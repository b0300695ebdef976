//! Money, forms and configurations.

use shared::config::{Config, SHIPPED_TOML};
use shared::domain::money::{Currency, Money};
use shared::outbound::stripe::form::Form;

use crate::line;

/// A configuration: the project's own with lines replaced or added. Never a panic; a mistake names where it is.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut whole = String::new();
    for own in SHIPPED_TOML.lines() {
        let key = own.split_once('=').map(|(key, _)| key.trim());
        let instead = text.lines().find(|l| {
            key.is_some_and(|key| {
                !key.starts_with('#') && l.split_once('=').is_some_and(|(k, _)| k.trim() == key)
            })
        });
        whole.push_str(instead.unwrap_or(own));
        whole.push('\n');
    }
    for tried in [text, &whole, &format!("{SHIPPED_TOML}\n{text}")] {
        match Config::parse(tried, &|_| None) {
            Ok(config) => {
                assert!(!config.sources.is_empty(), "a stack without a source does nothing");
                let again = Config::parse(tried, &|_| None).map(|c| c.policy_hash);
                assert_eq!(again.ok(), Some(config.policy_hash));
            }
            Err(errors) => assert!(!errors.to_string().trim().is_empty(), "a refusal says why"),
        }
    }
}

/// Forms: what is written is read back, here and by another library; what is read is read as that library reads it.
pub fn form(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let mut form = Form::new();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        form = form.set(key, value);
    }
    let encoded = form.encode();
    let theirs: Vec<(String, String)> = form_urlencoded::parse(encoded.as_bytes()).into_owned().collect();
    assert_eq!(theirs, form.pairs(), "{encoded}");
    assert_eq!(Form::decode(&encoded).map(|f| f.pairs().to_vec()).as_deref(), Some(form.pairs()));
    if let Some(read) = Form::decode(text) {
        let theirs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        assert_eq!(read.pairs(), theirs, "{text:?}");
    }
}

/// The amount of a decimal string in minor units, digit by digit; none where it is malformed or too fine.
fn minor_of(text: &str, exponent: u32) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut sum: i128 = 0;
    let (mut after, mut whole, mut dot) = (0, 0, false);
    for c in digits.chars() {
        match c {
            '.' if dot => return None,
            '.' => dot = true,
            '0'..='9' => {
                let digit = i128::from(c.to_digit(10)?);
                if !dot {
                    whole += 1;
                    sum = sum.checked_mul(10)?.checked_add(digit)?;
                } else {
                    after += 1;
                    if after <= exponent {
                        sum = sum.checked_mul(10)?.checked_add(digit)?;
                    } else if digit != 0 {
                        return None;
                    }
                }
            }
            _ => return None,
        }
    }
    if whole == 0 || (dot && after == 0) {
        return None;
    }
    for _ in after..exponent {
        sum = sum.checked_mul(10)?;
    }
    Some(sign * sum)
}

/// Money: a currency and a decimal string, one a line. Exact, or refused.
pub fn money(data: &[u8]) {
    let Some((code, rest)) = line(data) else { return };
    let Some((text, rest)) = line(rest) else { return };
    let Ok(currency) = Currency::parse(code) else { return };
    let exponent = currency.iso_exponent();
    // A sum as long as a reference can count it.
    let expected = minor_of(text, exponent).and_then(|minor| i64::try_from(minor).ok());
    let read = Money::parse_decimal(text, currency).ok();
    // i64::MIN has no positive twin and is refused.
    assert!(read.map(|m| m.minor) == expected || expected == Some(i64::MIN), "{text:?} {currency}");
    let mut raw = [0; 8];
    for (to, from) in raw.iter_mut().zip(rest) {
        *to = *from;
    }
    for minor in read.map(|m| m.minor).into_iter().chain([i64::from_le_bytes(raw)]) {
        let money = Money::new(minor, currency);
        if minor != i64::MIN {
            assert_eq!(Money::parse_decimal(&money.decimal(), currency).ok(), Some(money));
        }
        if let Ok(stripe) = money.to_stripe() {
            assert_eq!(Money::from_stripe(stripe, currency).ok(), Some(money), "{money}");
        }
        if let Ok(back) = Money::from_stripe(minor, currency) {
            assert_eq!(
                back.to_stripe().ok().filter(|s| *s != minor),
                None,
                "{minor} at Stripe in {currency}"
            );
        }
    }
}

//! Which amounts Stripe takes, and what it charges for taking them. Integers only.

use super::error::ApiError;

/// The currencies of Stripe's list.
const SUPPORTED: &str = "\
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf \
    chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg \
    huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk \
    mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub \
    rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd \
    vuv wst xaf xcd xcg xof xpf yer zar zmw";
/// Currencies without a minor unit at Stripe.
const ZERO_DECIMAL: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf",
];
/// Currencies in thousandths, whose last digit must be 0.
const THREE_DECIMAL: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];
/// Sent in hundredths, whole units only.
const WHOLE_ONLY: &[&str] = &["isk", "ugx"];

/// Decimal places of a currency as Stripe counts them.
pub(crate) fn exponent(currency: &str) -> u32 {
    if ZERO_DECIMAL.contains(&currency) {
        0
    } else if THREE_DECIMAL.contains(&currency) {
        3
    } else {
        2
    }
}

fn minimum(currency: &str) -> i64 {
    match currency {
        "aed" | "myr" | "pln" | "ron" => 200,
        "bgn" => 100,
        "czk" => 1500,
        "dkk" => 250,
        "gbp" => 30,
        "hkd" => 400,
        "huf" => 17_500,
        "mxn" | "thb" => 1000,
        "nok" | "sek" => 300,
        _ if exponent(currency) == 0 => 50,
        _ if exponent(currency) == 3 => 100,
        _ => 50,
    }
}

fn maximum(currency: &str) -> i64 {
    match currency {
        "idr" => 999_999_999_999,
        "inr" => 999_999_999,
        "jpy" => 9_999_999_999,
        _ => 99_999_999,
    }
}

/// Refuses a currency that is not on Stripe's list.
pub(crate) fn currency(sent: &str) -> Result<String, ApiError> {
    let code = sent.to_ascii_lowercase();
    if SUPPORTED.split(' ').any(|known| known == code) {
        return Ok(code);
    }
    let text = format!("Invalid currency: {code}. Stripe currently supports these currencies: {SUPPORTED}");
    Err(ApiError::plain_param("currency", &text))
}

/// Refuses an amount that cannot be charged.
pub(crate) fn chargeable(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    if amount < 0 {
        return Err(ApiError::param(
            "parameter_invalid_integer",
            param,
            "This value must be greater than or equal to 0.",
        ));
    }
    representable(amount, currency, param)?;
    if amount < minimum(currency) {
        let text = format!("Amount must be at least {}.", print(minimum(currency), currency));
        return Err(ApiError::param("amount_too_small", param, &text));
    }
    if amount > maximum(currency) {
        let text = format!("Amount must be no more than {}.", print(maximum(currency), currency));
        return Err(ApiError::param("amount_too_large", param, &text));
    }
    Ok(())
}

/// Refuses an amount whose last digits the currency does not have.
pub(crate) fn representable(amount: i64, currency: &str, param: &str) -> Result<(), ApiError> {
    let step = if THREE_DECIMAL.contains(&currency) {
        10
    } else if WHOLE_ONLY.contains(&currency) {
        100
    } else {
        1
    };
    if amount % step == 0 {
        return Ok(());
    }
    let text = format!("Invalid amount for {}: it must be a multiple of {step}.", currency.to_uppercase());
    Err(ApiError::param("parameter_invalid_integer", param, &text))
}

/// What Stripe keeps of a charge: 2.9 % and 30 hundredths of the major unit, rounded half up.
pub(crate) fn fee(amount: i64, currency: &str) -> i64 {
    let fixed = match exponent(currency) {
        0 => 0,
        3 => 300,
        _ => 30,
    };
    (amount.saturating_mul(29) + 500) / 1000 + fixed
}

/// A lost dispute's price: fifteen major units.
pub(crate) fn dispute_fee(currency: &str) -> i64 {
    15 * 10_i64.pow(exponent(currency))
}

/// For people: `EUR 12.30`.
pub(crate) fn print(amount: i64, currency: &str) -> String {
    let places = exponent(currency);
    let code = currency.to_uppercase();
    if places == 0 {
        return format!("{code} {amount}");
    }
    let unit = 10_i64.pow(places);
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, part) = (amount.abs() / unit, amount.abs() % unit);
    format!("{code} {sign}{whole}.{part:0width$}", width = places as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_decimal_amounts_end_in_zero() {
        assert!(chargeable(5000, "kwd", "amount").is_ok());
        assert!(chargeable(5001, "kwd", "amount").is_err());
    }

    #[test]
    fn currencies_are_those_of_the_list() {
        assert_eq!(currency("EUR").ok().as_deref(), Some("eur"));
        assert!(currency("qqq").is_err() && currency("").is_err() && currency("eu r").is_err());
        for special in [ZERO_DECIMAL, THREE_DECIMAL, WHOLE_ONLY].concat() {
            assert!(currency(special).is_ok(), "{special}");
        }
    }

    #[test]
    fn amounts_print_with_their_own_decimals() {
        assert_eq!(print(1230, "eur"), "EUR 12.30");
        assert_eq!(print(500, "jpy"), "JPY 500");
        assert_eq!(print(5010, "kwd"), "KWD 5.010");
        assert_eq!(print(-5, "usd"), "USD -0.05");
    }
}

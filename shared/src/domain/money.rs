//! Money: integer minor units with a currency that knows two exponents, ISO 4217's and Stripe's.
//!
//! Invariant: no float, no silent rounding. What one side cannot express is an error that names the amount.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency of ISO 4217 that people pay in, upper case inside, lower case at Stripe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why an amount or a currency was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a currency.
    #[error("{0:?} is no currency of ISO 4217; write for example \"EUR\"")]
    Currency(String),
    /// Not a decimal number such as `12.50`.
    #[error("amount {0:?} is not a decimal number; write for example \"12.50\"")]
    Malformed(String),
    /// More digits than the currency has.
    #[error(
        "amount {amount:?} has more decimals than {currency} allows ({exponent}); it is never rounded silently"
    )]
    TooFine {
        /// As received.
        amount: String,
        /// Its currency.
        currency: Currency,
        /// Decimals the currency has.
        exponent: u32,
    },
    /// Does not fit 64 bits.
    #[error("amount {0:?} is too large")]
    Overflow(String),
    /// Stripe cannot express the amount.
    #[error("{minor} minor units of {currency} cannot be sent to Stripe: {why}")]
    NotAtStripe {
        /// ISO minor units.
        minor: i64,
        /// Its currency.
        currency: Currency,
        /// The rule that forbids it.
        why: &'static str,
    },
    /// Two currencies met.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
}

// ISO 4217's list of currencies in use, by their decimals there; funds, metals and test codes are left out, for nobody pays in
// them. ANG and BGN ended in 2025: their charges may still be refunded. Nothing is ever taken out: facts are kept for ever.
const NONE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
const TWO: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BMD",
    "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CNY", "COP", "CRC", "CUP",
    "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP",
    "GMD", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES", "KGS", "KHR",
    "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP",
    "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "PAB", "PEN",
    "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP",
    "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TOP", "TRY", "TTD", "TWD",
    "TZS", "UAH", "USD", "UYU", "UZS", "VED", "VES", "WST", "XCD", "XCG", "YER", "ZAR", "ZMW", "ZWG",
];
const THREE: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
/// Where Stripe counts other decimals than ISO: hundredths that must end in 00 of currencies that have none; whole ariary,
/// though ISO knows fifths of them, which it writes as hundredths.
const OTHERWISE_AT_STRIPE: &[(&str, u32)] = &[("ISK", 2), ("UGX", 2), ("MGA", 0)];

impl Currency {
    /// Parses the code of a currency in any case.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let upper =
            <[u8; 3]>::try_from(code.as_bytes()).map(|code| code.map(|byte| byte.to_ascii_uppercase()));
        // The lists are sorted: a million charges are read in the time of their amounts.
        let known = |code: &[u8; 3]| {
            let number = |code: &[u8]| code.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            let asked = number(code);
            let is_in = |list: &&[&str]| list.binary_search_by_key(&asked, |c| number(c.as_bytes())).is_ok();
            [TWO, NONE, THREE].iter().any(is_in)
        };
        let unknown = || MoneyError::Currency(code.chars().take(16).collect());
        upper.ok().filter(known).map(Self).ok_or_else(unknown)
    }

    /// Every currency.
    pub fn all() -> impl Iterator<Item = Self> {
        [NONE, TWO, THREE].into_iter().flatten().filter_map(|code| Self::parse(code).ok())
    }

    /// The code in upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// The code as Stripe writes it.
    pub fn stripe_code(&self) -> String {
        self.code().to_ascii_lowercase()
    }

    /// Decimals in ISO 4217 (0, 2 or 3).
    pub fn iso_exponent(self) -> u32 {
        let code = self.code();
        if NONE.contains(&code) {
            0
        } else if THREE.contains(&code) {
            3
        } else {
            2
        }
    }

    /// Decimals of the integer that Stripe's API takes.
    pub fn stripe_exponent(self) -> u32 {
        let otherwise = OTHERWISE_AT_STRIPE.iter().find(|(code, _)| *code == self.code());
        otherwise.map_or_else(|| self.iso_exponent(), |(_, exponent)| *exponent)
    }
}

impl Currency {
    /// What ISO's minor units are multiplied by, and divided by, to be Stripe's. One of them is 1.
    fn scales(self) -> (i64, i64) {
        let (iso, stripe) = (self.iso_exponent(), self.stripe_exponent());
        (10_i64.pow(stripe.saturating_sub(iso)), 10_i64.pow(iso.saturating_sub(stripe)))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = String::deserialize(d)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

/// An amount in ISO minor units of its currency. May be negative (a difference); what is charged never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// ISO 4217 minor units: cents of EUR, whole yen, thousandths of KWD.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// `minor` ISO minor units of `currency`.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum, if both are of one currency and it fits.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self
            .minor
            .checked_add(other.minor)
            .ok_or_else(|| MoneyError::Overflow(format!("{self} + {other}")))?;
        Ok(Self::new(minor, self.currency))
    }

    /// The integer Stripe's API takes, for an amount that Stripe can express.
    pub fn to_stripe(self) -> Result<i64, MoneyError> {
        let refuse = |why| MoneyError::NotAtStripe { minor: self.minor, currency: self.currency, why };
        let (up, down) = self.currency.scales();
        if self.minor % down != 0 {
            return Err(refuse("Stripe takes whole units of it only; round the order's total to them"));
        }
        let amount = (self.minor / down).checked_mul(up).ok_or_else(|| refuse("it is too large"))?;
        if self.currency.stripe_exponent() == 3 && amount % 10 != 0 {
            return Err(refuse(
                "three-decimal amounts must end in 0; round the order's total to the nearest ten",
            ));
        }
        Ok(amount)
    }

    /// From the integer Stripe's API gives.
    pub fn from_stripe(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        let (up, down) = currency.scales();
        if amount % up != 0 {
            return Err(MoneyError::TooFine {
                amount: amount.to_string(),
                currency,
                exponent: currency.iso_exponent(),
            });
        }
        let minor = (amount / up).checked_mul(down);
        Ok(Self::new(minor.ok_or_else(|| MoneyError::Overflow(amount.to_string()))?, currency))
    }

    /// Parses a decimal string of major units exactly: `12.5`, `-3`, `0.100`. Trailing zeros past the exponent are fine.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let malformed = || MoneyError::Malformed(text.chars().take(40).collect());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let well_formed = !whole.is_empty()
            && whole.bytes().all(|b| b.is_ascii_digit())
            && fraction.bytes().all(|b| b.is_ascii_digit())
            && (!digits.contains('.') || !fraction.is_empty());
        if !well_formed {
            return Err(malformed());
        }
        let exponent = currency.iso_exponent();
        let significant = fraction.trim_end_matches('0');
        let width = exponent as usize;
        if significant.len() > width {
            return Err(MoneyError::TooFine { amount: text.chars().take(40).collect(), currency, exponent });
        }
        let joined = format!("{whole}{significant:0<width$}");
        let magnitude: i64 =
            joined.parse().map_err(|_| MoneyError::Overflow(text.chars().take(40).collect()))?;
        Ok(Self::new(if negative { -magnitude } else { magnitude }, currency))
    }

    /// The decimal string in major units, with exactly the currency's decimals: `12.50`, `700`, `1.230`.
    pub fn decimal(self) -> String {
        let exponent = self.currency.iso_exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = exponent + 1);
        if exponent == 0 {
            return format!("{sign}{digits}");
        }
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        format!("{sign}{whole}.{fraction}")
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cur(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn every_currency_is_found_in_its_list_in_any_case() {
        for list in [NONE, TWO, THREE] {
            assert!(list.is_sorted(), "a search by halves needs {list:?} sorted");
        }
        assert_eq!(Currency::all().count(), NONE.len() + TWO.len() + THREE.len());
        assert_eq!(cur("eur"), cur("EUR"));
        for wrong in ["", "EU", "EURO", "XXX", "ÄÖ"] {
            assert!(Currency::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn decimal_strings_are_parsed_exactly() {
        for (text, code, minor) in [
            ("12.50", "EUR", 1250),
            ("30", "EUR", 3000),
            ("30.000", "EUR", 3000),
            ("700", "JPY", 700),
            ("1.230", "KWD", 1230),
            ("-10.00", "USD", -1000),
            ("0.05", "USD", 5),
        ] {
            assert_eq!(Money::parse_decimal(text, cur(code)).unwrap().minor, minor, "{text} {code}");
        }
    }

    #[test]
    fn what_is_finer_than_the_currency_is_refused_not_rounded() {
        assert!(matches!(Money::parse_decimal("1.005", cur("EUR")), Err(MoneyError::TooFine { .. })));
        assert!(matches!(Money::parse_decimal("700.5", cur("JPY")), Err(MoneyError::TooFine { .. })));
        for bad in ["", ".", "1.", ".5", "1,5", "1e3", "+1", " 1", "0x1", "--1", "99999999999999999999"] {
            assert!(Money::parse_decimal(bad, cur("EUR")).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn stripe_amounts_follow_stripes_own_exponents() {
        for (minor, code, at_stripe) in [
            (500, "EUR", 500),
            (5, "JPY", 5),
            (5, "ISK", 500),
            (5, "UGX", 500),
            (500, "MGA", 5),
            (5000, "KWD", 5000),
            (500, "HUF", 500),
        ] {
            let money = Money::new(minor, cur(code));
            assert_eq!(money.to_stripe().unwrap(), at_stripe, "{code}");
            assert_eq!(Money::from_stripe(at_stripe, cur(code)).unwrap(), money);
        }
        assert!(matches!(Money::new(1234, cur("KWD")).to_stripe(), Err(MoneyError::NotAtStripe { .. })));
        assert!(Money::from_stripe(550, cur("ISK")).is_err());
        assert!(matches!(Money::new(520, cur("MGA")).to_stripe(), Err(MoneyError::NotAtStripe { .. })));
        assert!(Money::from_stripe(i64::MAX, cur("MGA")).is_err());
        assert!(Money::new(i64::MAX, cur("ISK")).to_stripe().is_err());
    }

    #[test]
    fn only_currencies_that_exist_are_currencies() {
        for code in ["EUR", "eur", "Jpy", "xof", "ZWG", "BGN"] {
            assert_eq!(cur(code).code(), code.to_ascii_uppercase());
        }
        // Made up, a fund, a metal, a test, "none", and one that ended long ago.
        for none in ["", "EU", "EURO", "ABC", "eüR", "CLF", "XAU", "XTS", "XXX", "DEM", "E R"] {
            assert!(matches!(Currency::parse(none), Err(MoneyError::Currency(_))), "{none}");
        }
        let all: std::collections::BTreeSet<Currency> = Currency::all().collect();
        assert_eq!(all.len(), NONE.len() + TWO.len() + THREE.len(), "each once");
        assert!(OTHERWISE_AT_STRIPE.iter().all(|(code, _)| all.contains(&cur(code))));
    }

    fn any() -> impl Strategy<Value = Currency> {
        proptest::sample::select(Currency::all().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(minor in -10_000_000_000_i64..10_000_000_000, currency in any()) {
            let money = Money::new(minor, currency);
            prop_assert_eq!(Money::parse_decimal(&money.decimal(), money.currency).unwrap(), money);
        }

        #[test]
        fn what_stripe_takes_comes_back_the_same(minor in 0_i64..10_000_000_000, currency in any()) {
            let money = Money::new(minor, currency);
            if let Ok(amount) = money.to_stripe() {
                prop_assert_eq!(Money::from_stripe(amount, money.currency).unwrap(), money);
            }
        }
    }
}

//! Money: integer minor units with a currency that knows two exponents, ISO 4217's and Stripe's.
//!
//! Invariant: no float, no silent rounding. What one side cannot express is an error that names the amount.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A three-letter ISO 4217 code, upper case inside, lower case at Stripe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why an amount or a currency was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three ASCII letters.
    #[error("currency {0:?} is not a three-letter ISO 4217 code; write for example \"EUR\"")]
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

/// Zero-decimal at ISO and at Stripe (facts: Stripe's currency list).
const ZERO: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
];
/// Zero-decimal at ISO, sent to Stripe in hundredths that must end in 00.
const ZERO_BUT_HUNDREDTHS: &[&str] = &["ISK", "UGX"];
/// Three decimals; Stripe wants the last digit 0.
const THREE: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

impl Currency {
    /// Parses a code in any case.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let bytes = code.as_bytes();
        match bytes {
            [a, b, c] if bytes.iter().all(u8::is_ascii_alphabetic) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(MoneyError::Currency(code.chars().take(16).collect())),
        }
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
        if ZERO.contains(&code) || ZERO_BUT_HUNDREDTHS.contains(&code) {
            0
        } else if THREE.contains(&code) {
            3
        } else {
            2
        }
    }

    /// Decimals of the integer that Stripe's API takes.
    pub fn stripe_exponent(self) -> u32 {
        if ZERO_BUT_HUNDREDTHS.contains(&self.code()) { 2 } else { self.iso_exponent() }
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
        let scale = 10_i64.pow(self.currency.stripe_exponent() - self.currency.iso_exponent());
        let amount = self.minor.checked_mul(scale).ok_or_else(|| refuse("it is too large"))?;
        if self.currency.stripe_exponent() == 3 && amount % 10 != 0 {
            return Err(refuse(
                "three-decimal amounts must end in 0; round the order's total to the nearest ten",
            ));
        }
        Ok(amount)
    }

    /// From the integer Stripe's API gives.
    pub fn from_stripe(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        let scale = 10_i64.pow(currency.stripe_exponent() - currency.iso_exponent());
        if amount % scale != 0 {
            return Err(MoneyError::TooFine {
                amount: amount.to_string(),
                currency,
                exponent: currency.iso_exponent(),
            });
        }
        Ok(Self::new(amount / scale, currency))
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
            (5000, "KWD", 5000),
            (500, "HUF", 500),
        ] {
            let money = Money::new(minor, cur(code));
            assert_eq!(money.to_stripe().unwrap(), at_stripe, "{code}");
            assert_eq!(Money::from_stripe(at_stripe, cur(code)).unwrap(), money);
        }
        assert!(matches!(Money::new(1234, cur("KWD")).to_stripe(), Err(MoneyError::NotAtStripe { .. })));
        assert!(Money::from_stripe(550, cur("ISK")).is_err());
        assert!(Money::new(i64::MAX, cur("ISK")).to_stripe().is_err());
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(minor in -10_000_000_000_i64..10_000_000_000, code in "[A-Z]{3}") {
            let money = Money::new(minor, cur(&code));
            prop_assert_eq!(Money::parse_decimal(&money.decimal(), money.currency).unwrap(), money);
        }

        #[test]
        fn what_stripe_takes_comes_back_the_same(minor in 0_i64..10_000_000_000, code in "[A-Z]{3}") {
            let money = Money::new(minor, cur(&code));
            if let Ok(amount) = money.to_stripe() {
                prop_assert_eq!(Money::from_stripe(amount, money.currency).unwrap(), money);
            }
        }
    }
}

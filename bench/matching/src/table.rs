//! A CSV file, row by row, in one buffer. No field holds a comma or a quote: they are ids, words and numbers.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use pure::domain::money::Currency;
use pure::domain::time::UnixTime;

use crate::Failed;

/// An open file.
pub(crate) struct Table {
    file: BufReader<File>,
    line: String,
}

impl Table {
    /// Opens `folder/name.csv` and takes its head off.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self, Failed> {
        let path = folder.join(name).with_extension("csv");
        let file = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut table = Self { file: BufReader::with_capacity(1 << 16, file), line: String::new() };
        table.file.read_line(&mut table.line)?;
        Ok(table)
    }

    /// The next row.
    pub(crate) fn row(&mut self) -> Result<Option<Fields<'_>>, Failed> {
        self.line.clear();
        let read = self.file.read_line(&mut self.line)?;
        Ok((read > 0).then(|| Fields(self.line.strip_suffix('\n').unwrap_or(&self.line))))
    }
}

/// What is left of a row.
pub(crate) struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    /// Behind the last one there are empty ones, which are no numbers, currencies or keys.
    pub(crate) fn text(&mut self) -> Result<&'a str, Failed> {
        let end = self.0.bytes().position(|byte| byte == b',').unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    pub(crate) fn number(&mut self) -> Result<i64, Failed> {
        let text = self.text()?;
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let mut number = 0_i64;
        for byte in digits.bytes() {
            if !byte.is_ascii_digit() {
                return Err(format!("{text:?} is no number; generate the data anew").into());
            }
            number = number.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
        }
        if digits.is_empty() {
            return Err("a row is too short; generate the data anew".into());
        }
        Ok(sign * number)
    }

    pub(crate) fn time(&mut self) -> Result<UnixTime, Failed> {
        Ok(UnixTime(self.number()?))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Failed> {
        Ok(self.text()? == "true")
    }

    /// None if it is empty.
    pub(crate) fn some(&mut self) -> Result<Option<String>, Failed> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// Sets a text that was used before.
    pub(crate) fn set_text(&mut self, text: &mut String) -> Result<(), Failed> {
        self.text()?.clone_into(text);
        Ok(())
    }

    /// The same where it may be empty.
    pub(crate) fn set_some(&mut self, text: &mut Option<String>) -> Result<(), Failed> {
        match self.text()? {
            "" => *text = None,
            some => some.clone_into(text.get_or_insert_default()),
        }
        Ok(())
    }

    /// Often the same as in the row before.
    pub(crate) fn currency(&mut self, before: Currency) -> Result<Currency, Failed> {
        let text = self.text()?;
        if text == before.code() { Ok(before) } else { Ok(Currency::parse(text)?) }
    }
}

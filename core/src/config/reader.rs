//! Reading one variable, and saying what is wrong with it without giving a secret away.

use super::secret::Secret;
use super::url::{Schemes, Url, parse};
use super::variables::{Preset, find};
use core::fmt;
use core::ops::RangeInclusive;

/// How much of a refused value is repeated, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// All that is wrong with the settings; `Display` gives one line for each fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigFaults(Vec<Fault>);

/// A value that cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl ConfigFaults {
    /// The faults, in the order in which the variables are read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let line_end = if i == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

impl core::error::Error for ConfigFaults {}

/// Whether `text` can go into a header or a name: no control characters.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Looks values up and collects what is wrong with them.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> ConfigFaults {
        ConfigFaults(self.faults)
    }

    /// What is set, or the default. Empty counts as unset, and spaces around a value belong to whoever pasted it.
    pub(super) fn value(&self, name: &'static str) -> Option<String> {
        let set = (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        set.or_else(|| match find(name)?.default {
            Preset::Value(value) => Some(value.to_owned()),
            Preset::Required | Preset::Unset => None,
        })
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        self.value(name)
    }

    /// Always `None`, so that a reader can end with it.
    pub(super) fn fault<T>(&mut self, variable: &'static str, message: &str) -> Option<T> {
        self.faults.push(Fault { variable, message: message.to_owned() });
        None
    }

    fn refuse<T>(&mut self, variable: &'static str, value: &str, allowed: &str) -> Option<T> {
        self.fault(variable, &format!("{} cannot be; it must be {allowed}", shown(value)))
    }

    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(value) = self.value(name) else {
            return self.fault(name, &format!("it is not set; it must be {allowed}"));
        };
        parse(&value).or_else(|| self.refuse(name, &value, allowed))
    }

    pub(super) fn secret(
        &mut self,
        name: &'static str,
        allowed: &str,
        good: impl FnOnce(&str) -> bool,
    ) -> Option<Secret> {
        match self.value(name) {
            None => self.fault(name, &format!("it is not set; it must be {allowed}")),
            Some(value) if good(&value) => Some(Secret::new(value)),
            Some(_) => self.fault(name, &format!("its value (not shown) cannot be; it must be {allowed}")),
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Option<u64> {
        let allowed = format!("a whole number from {} to {}{unit}", range.start(), range.end());
        self.parse(name, &allowed, |text| text.parse().ok().filter(|n| range.contains(n)))
    }

    pub(super) fn fraction(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        // NaN lies in no range.
        self.parse(name, &allowed, |text| text.parse().ok().filter(|n| range.contains(n)))
    }

    pub(super) fn url(&mut self, name: &'static str, schemes: Schemes) -> Option<Url> {
        let value = self.value(name)?;
        match parse(&value, schemes) {
            Ok(url) => Some(url),
            Err(why) => {
                let scheme = match schemes.tls {
                    Some(tls) => format!("{}:// or {tls}://", schemes.plain),
                    None => format!("{}://", schemes.plain),
                };
                let value = shown(&without_secrets(&value));
                self.fault(
                    name,
                    &format!("{value} cannot be, because {why}; it must be {scheme} and host[:port]"),
                )
            }
        }
    }
}

/// A value as it may stand in one line: quoted, escaped, and cut.
fn shown(value: &str) -> String {
    let cut: String = value.chars().take(MAX_SHOWN_CHARS).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// A URL without what may be a password or a key: everything before the last `@` and after the first `?`. It
/// could not be read as a URL, so nothing finer is known about it.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_plain(scheme) && !scheme.contains(['@', '?']) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), url),
    };
    let (userinfo, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((rest, _)) => format!("{scheme}{userinfo}{rest}?***"),
        None => format!("{scheme}{userinfo}{rest}"),
    }
}

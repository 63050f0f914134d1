//! Reading one variable, and saying what is wrong with it without giving a secret away.

use super::key_files::file_variable;
use super::secret::Secret;
use super::url::{Schemes, Url, parse};
use super::variables::{Preset, find};
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::collections::BTreeMap;

/// How much of a refused value is repeated, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// All that is wrong with the settings; `Display` gives one line for each fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigFaults(Vec<Fault>);

/// A value that cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The variable.
    pub variable: String,
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
    variables: &'a BTreeMap<String, String>,
    faults: Vec<Fault>,
}

/// A variable of a family: `TRANSFER_<name>`.
pub(super) struct Member<'a> {
    /// The whole name.
    pub(super) variable: &'a str,
    /// What follows the prefix.
    pub(super) name: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(variables: &'a BTreeMap<String, String>, faults: Vec<Fault>) -> Self {
        Self { variables, faults }
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_faults(self) -> ConfigFaults {
        ConfigFaults(self.faults)
    }

    /// What is set, or the default. Empty counts as unset, and spaces around a value belong to whoever pasted it.
    pub(super) fn value(&self, name: &'static str) -> Option<String> {
        let set = self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        set.map(str::to_owned).or_else(|| match find(name)?.default {
            Preset::Value(value) => Some(value.to_owned()),
            Preset::Required | Preset::Unset | Preset::FileOf(_) | Preset::Family { .. } => None,
        })
    }

    pub(super) fn optional(&self, name: &'static str) -> Option<String> {
        self.value(name)
    }

    /// The variables that begin with `prefix`, sorted by their names and without those that are empty. A fixed
    /// variable that begins so is none of them.
    pub(super) fn family(&self, prefix: &str) -> Vec<Member<'a>> {
        let set = self.variables.iter().filter(|(variable, _)| find(variable).is_none());
        set.filter_map(|(variable, value)| {
            let (name, value) = (variable.strip_prefix(prefix)?, value.trim());
            (!value.is_empty()).then_some(Member { variable, name, value })
        })
        .collect()
    }

    /// Always `None`, so that a reader can end with it.
    pub(super) fn fault<T>(&mut self, variable: &str, message: &str) -> Option<T> {
        self.faults.push(Fault { variable: variable.to_owned(), message: message.to_owned() });
        None
    }

    pub(super) fn refuse<T>(&mut self, variable: &str, value: &str, allowed: &str) -> Option<T> {
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

    /// Like [`Reader::parse`] for what may be unset: `None` is a fault, `Some(None)` is not set.
    pub(super) fn parse_optional<T>(
        &mut self,
        name: &'static str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.value(name).is_none() { Some(None) } else { self.parse(name, allowed, parse).map(Some) }
    }

    pub(super) fn on_off(&mut self, name: &'static str) -> Option<bool> {
        self.parse(name, "on or off", |text| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    pub(super) fn secret(
        &mut self,
        name: &'static str,
        allowed: &str,
        good: impl FnOnce(&str) -> bool,
    ) -> Option<Secret> {
        let file = file_variable(name);
        let is_set =
            |variable: &str| self.variables.get(variable).is_some_and(|value| !value.trim().is_empty());
        match (self.value(name), file) {
            (Some(value), _) if good(&value) => Some(Secret::new(value)),
            // What is wrong with the file has been said.
            _ if self.faults.iter().any(|fault| Some(&*fault.variable) == file) => None,
            (Some(_), Some(file)) if is_set(file) => self.fault(
                name,
                &format!("the value in the file of {file} (not shown) cannot be; it must be {allowed}"),
            ),
            (Some(_), _) => {
                self.fault(name, &format!("its value (not shown) cannot be; it must be {allowed}"))
            }
            (None, Some(file)) => {
                self.fault(name, &format!("it is not set, nor is {file}; it must be {allowed}"))
            }
            (None, None) => self.fault(name, &format!("it is not set; it must be {allowed}")),
        }
    }

    pub(super) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Option<u64> {
        self.parse(name, &whole(&range, unit), |text| within(text, &range))
    }

    /// `None` is a fault, `Some(None)` is not set.
    pub(super) fn optional_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Option<Option<u64>> {
        self.parse_optional(name, &whole(&range, unit), |text| within(text, &range))
    }

    /// A number of milliseconds as the server wants it.
    pub(super) fn millis(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u32> {
        self.number(name, range, " milliseconds").and_then(|n| u32::try_from(n).ok())
    }

    pub(super) fn fraction(&mut self, name: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.parse(name, &from_to(&range), |text| within(text, &range))
    }

    /// `None` is a fault, `Some(None)` is not set.
    pub(super) fn optional_fraction(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Option<Option<f64>> {
        self.parse_optional(name, &from_to(&range), |text| within(text, &range))
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

fn whole(range: &RangeInclusive<u64>, unit: &str) -> String {
    format!("a whole number from {} to {}{unit}", range.start(), range.end())
}

fn from_to(range: &RangeInclusive<f64>) -> String {
    format!("a number from {} to {}", range.start(), range.end())
}

/// The number in `text`. NaN lies in no range.
pub(super) fn within<T: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|n| range.contains(n))
}

/// A value as it may stand in one line: quoted, escaped, and cut.
pub(super) fn shown(value: &str) -> String {
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

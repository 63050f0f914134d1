//! The environment variables, in one table that `--help`, `.env.example` and the README are made from.

mod table;

pub use table::{Preset, VARIABLES, Variable};

use core::fmt::Write as _;

/// The variable of that name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|v| v.name == name)
}

/// The text of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut out = String::from(
        "# Settings of ari-bridge. Copy this file to .env and change what differs from the default.\n\
         # An empty value counts as unset. A value with a $ or a # belongs in single quotes: '...'.\n",
    );
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => write!(out, "\n# {help} (required).\n{name}=\n"),
            Preset::Unset | Preset::FileOf(_) => write!(out, "\n# {help}.\n# {name}=\n"),
            Preset::Value(value) => write!(out, "\n# {help}.\n# {name}={value}\n"),
            Preset::Family { example } => write!(out, "\n# {name}: {help}.\n# {example}\n"),
        };
    }
    out
}

/// The variables for `--help`: one paragraph each.
#[must_use]
pub fn help_text() -> String {
    let mut out = String::from("Environment (a file .env is read too; an empty value counts as unset):\n");
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => write!(out, "  {name} (required)\n      {help}\n"),
            Preset::Unset | Preset::FileOf(_) | Preset::Family { .. } => {
                write!(out, "  {name}\n      {help}\n")
            }
            Preset::Value(value) => write!(out, "  {name} [default: {value}]\n      {help}\n"),
        };
    }
    out
}

/// The variables as a Markdown table, for the README.
#[must_use]
pub fn markdown_table() -> String {
    let mut out = String::from("| variable | default | what it decides |\n|---|---|---|\n");
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => writeln!(out, "| `{name}` | required | {help} |"),
            Preset::Unset | Preset::FileOf(_) | Preset::Family { .. } => {
                writeln!(out, "| `{name}` | – | {help} |")
            }
            Preset::Value(value) => writeln!(out, "| `{name}` | `{value}` | {help} |"),
        };
    }
    out
}

/// How many letters a misspelt name may differ by.
const NEAR: usize = 2;

/// One warning for each of `names` that the bridge does not read but that looks like a misspelling of one that
/// it does. Only names of our own kind (`ARI_…`, `OPENAI_…`) are looked at: `API_URL` is somebody else's.
#[must_use]
pub fn near_misses<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in names {
        let name = name.as_ref();
        if find(name).is_some() || families().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let upper = name.to_ascii_uppercase();
        // HTTP_PROXY and https_proxy are names of their own, read by other programs.
        let near = VARIABLES
            .iter()
            .filter(|v| v.name != "HTTPS_PROXY" && first_word(v.name) == first_word(&upper))
            .map(|v| (distance(&upper, v.name), v.name))
            .filter(|(d, _)| *d <= NEAR)
            .min();
        if let Some(meant) = near.map(|(_, known)| known.to_owned()).or_else(|| near_family(name)) {
            // It is what somebody has set, and this a line of the log.
            let (name, meant) = (name.escape_debug(), meant.escape_debug());
            warnings.push(format!("{name} is not a setting; did you mean {meant}?"));
        }
    }
    warnings.sort();
    warnings
}

/// What the names of each family begin with.
fn families() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().filter_map(Variable::prefix)
}

/// The member of a family that `name` may mean. What follows the first word is the operator's, so only one
/// letter of that word may be wrong.
fn near_family(name: &str) -> Option<String> {
    let (word, rest) = name.split_once('_')?;
    let word = word.to_ascii_uppercase();
    let prefix = families().find(|prefix| distance(&word, first_word(prefix)) <= 1)?;
    (!rest.is_empty()).then(|| format!("{prefix}{rest}"))
}

/// `OPENAI` of `OPENAI_API_KEY`.
fn first_word(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

/// The Levenshtein distance in bytes; anything above [`NEAR`] if the lengths alone say so.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > NEAR {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        // `diagonal` is the cell above and to the left, `left` the one just written.
        let (mut diagonal, mut left) = (i, i + 1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_the_table() {
        let file = include_str!("../../../../.env.example");
        assert_eq!(file, env_example(), "write env_example() into .env.example");
    }

    #[test]
    fn every_name_stands_once_and_every_help_in_one_line() {
        for (i, v) in VARIABLES.iter().enumerate() {
            assert!(VARIABLES.iter().skip(i + 1).all(|w| w.name != v.name), "{}", v.name);
            assert!(
                !v.help.is_empty() && !v.help.contains(['\n', '|']) && !v.help.ends_with('.'),
                "{}",
                v.name
            );
            assert!(help_text().contains(v.name) && markdown_table().contains(v.name));
        }
    }

    #[test]
    fn a_misspelt_name_is_pointed_out() {
        let names = [
            "ARI_PASWORD",
            "OPENAI_API_KYE",
            "openai_model",
            "RTP_PORT_STRAT",
            "TRANSFERS_operator",
            "transfer_sales",
            "DTM_operator",
            "ARI_AP\n",
            "TRANSFERS_\t",
        ];
        assert_eq!(
            near_misses(names),
            [
                "ARI_AP\\n is not a setting; did you mean ARI_APP?",
                "ARI_PASWORD is not a setting; did you mean ARI_PASSWORD?",
                "DTM_operator is not a setting; did you mean DTMF_operator?",
                "OPENAI_API_KYE is not a setting; did you mean OPENAI_API_KEY?",
                "RTP_PORT_STRAT is not a setting; did you mean RTP_PORT_START?",
                "TRANSFERS_\\t is not a setting; did you mean TRANSFER_\\t?",
                "TRANSFERS_operator is not a setting; did you mean TRANSFER_operator?",
                "openai_model is not a setting; did you mean OPENAI_MODEL?",
                "transfer_sales is not a setting; did you mean TRANSFER_sales?",
            ]
        );
    }

    #[test]
    fn the_names_of_others_are_left_alone() {
        let known = VARIABLES.iter().map(|v| v.name);
        assert!(near_misses(known).is_empty());
        assert!(near_misses(["TRANSFER_operator", "TRANSFER_2", "DTMF_operator", "TRANSFORM_X"]).is_empty());
        assert!(
            near_misses(["HTTP_PROXY", "https_proxy", "API_URL", "OPENAI_ORG_ID", "PATH", "", "ARI_", "MAX"])
                .is_empty()
        );
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, d) in
            [("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 2), ("abcd", "bcde", 2)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

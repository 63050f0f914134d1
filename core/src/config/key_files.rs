//! Secrets that lie in files: where `NAME_FILE` is set, the contents of that file are what `NAME` would be.

use super::reader::{Fault, is_plain};
use super::variables::{Preset, VARIABLES};
use core::fmt::Display;
use std::collections::BTreeMap;

/// The longest file that holds a key, in bytes. A runtime need not read more than one byte beyond it.
pub const MAX_KEY_FILE_BYTES: usize = 64 * 1024;

/// The variable that may name a file in the place of `variable`.
pub(super) fn file_variable(variable: &str) -> Option<&'static str> {
    let of_it = |preset| matches!(preset, Preset::FileOf(of) if of == variable);
    VARIABLES.iter().find(|v| of_it(v.default)).map(|v| v.name)
}

/// Puts what the files hold into the variables that they stand for; `read` gives the bytes of a file. What is wrong
/// with a file is told without what is in it.
pub(super) fn resolve<E: Display>(
    variables: &mut BTreeMap<String, String>,
    mut read: impl FnMut(&str) -> Result<Vec<u8>, E>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (file_variable, name) in VARIABLES.iter().filter_map(|v| match v.default {
        Preset::FileOf(name) => Some((v.name, name)),
        _ => None,
    }) {
        let set =
            |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(path) = set(file_variable) else { continue };
        let secret = if set(name).is_some() {
            Err(format!("{name} is set, too; only one of them can be"))
        } else if !is_plain(path) {
            Err("it must be a path without control characters".to_owned())
        } else {
            match read(path) {
                Ok(bytes) => secret(bytes).map_err(|why| format!("{path} cannot be used: {why}")),
                Err(error) => Err(format!("cannot read {path}: {error}")),
            }
        };
        match secret {
            Ok(secret) => drop(variables.insert(name.to_owned(), secret)),
            Err(message) => faults.push(Fault { variable: file_variable.to_owned(), message }),
        }
    }
    faults
}

/// The text of a file, without the line end that editors put there.
fn secret(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(format!("it has more than {MAX_KEY_FILE_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    let line = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if line.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const KEY: (&str, &str) = ("OPENAI_API_KEY_FILE", "/run/key");

    /// The settings where every file holds these bytes, or what is wrong with them.
    fn read(set: &[(&str, &str)], file: &[u8]) -> Result<Config, String> {
        let read = |_: &str| Ok::<_, &str>(file.to_vec());
        Config::from_variables_and_files(set.iter().copied(), read).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_key_comes_out_of_its_file_without_the_end_of_its_line() {
        for file in ["sk-1", "sk-1\n", "sk-1\r\n"] {
            let config = read(&[KEY, ("ARI_PASSWORD_FILE", "/run/password")], file.as_bytes()).unwrap();
            assert_eq!((config.realtime.api_key.expose(), config.ari.password.expose()), ("sk-1", "sk-1"));
        }
    }

    #[test]
    fn each_file_is_read_for_its_own_variable() {
        let set = [KEY, ("ARI_PASSWORD_FILE", "/run/password")];
        let config = Config::from_variables_and_files(set, |path| Ok::<_, &str>(path.into())).unwrap();
        assert_eq!(config.realtime.api_key.expose(), "/run/key");
        assert_eq!(config.ari.password.expose(), "/run/password");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_in_one_line_and_without_what_is_in_it() {
        let at = |file: &[u8]| read(&[KEY], file).unwrap_err();
        let told = "OPENAI_API_KEY_FILE: /run/key cannot be used: ";
        assert_eq!(at(b"\n"), format!("{told}it is empty"));
        assert_eq!(at(b"sk-\xff"), format!("{told}it is not UTF-8 text"));
        assert_eq!(at(&vec![b'k'; MAX_KEY_FILE_BYTES + 1]), format!("{told}it has more than 65536 bytes"));
        assert_eq!(
            at(b"sk-1\nsk-2\n"),
            "OPENAI_API_KEY: the value in the file of OPENAI_API_KEY_FILE (not shown) cannot be; it must be visible \
             ASCII characters without spaces"
        );
        let unreadable = Config::from_variables_and_files([KEY], |_| Err::<Vec<u8>, _>("no such file"));
        assert_eq!(
            unreadable.unwrap_err().to_string(),
            "OPENAI_API_KEY_FILE: cannot read /run/key: no such file"
        );
    }

    #[test]
    fn a_key_and_a_file_for_it_are_one_too_many() {
        let both = read(&[KEY, ("OPENAI_API_KEY", "sk-1")], b"sk-2").unwrap_err();
        assert_eq!(both, "OPENAI_API_KEY_FILE: OPENAI_API_KEY is set, too; only one of them can be");
        // As .env.example has it: set to nothing.
        assert!(read(&[KEY, ("OPENAI_API_KEY", " ")], b"sk-2").is_ok());
    }

    #[test]
    fn without_a_key_both_ways_to_give_one_are_named() {
        let fault = read(&[], b"").unwrap_err();
        assert!(fault.starts_with("OPENAI_API_KEY: it is not set, nor is OPENAI_API_KEY_FILE; "), "{fault}");
    }

    #[test]
    fn where_no_files_are_read_one_that_is_named_is_a_fault() {
        let fault = Config::from_variables([KEY]).unwrap_err().to_string();
        assert_eq!(fault, "OPENAI_API_KEY_FILE: cannot read /run/key: files are not read here");
    }
}

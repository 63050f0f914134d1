//! The settings, out of the environment, a file of variables, and files of keys.

use ari_bridge_core::config::{self, Config};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads `.env`, the environment and the files of keys. All faults are told at once, one per line.
pub(crate) fn settings(file: Option<&Path>) -> Result<Config, String> {
    let mut variables = env_file(file)?;
    // What is not UTF-8 can be none of ours, and must not hide what the file says.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.extend(environment);
    for line in config::near_misses(variables.keys()) {
        tracing::warn!("{line}");
    }
    Config::from_variables_and_files(variables, read_key).map_err(|faults| faults.to_string())
}

/// The bytes of a file that holds a key; of one that is too large no more than it takes to see that.
fn read_key(path: &str) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    File::open(path)?.take(config::MAX_KEY_FILE_BYTES as u64 + 1).read_to_end(&mut file)?;
    Ok(file)
}

/// The variables of the file; none if there is no `.env` and no other was asked for.
fn env_file(file: Option<&Path>) -> Result<BTreeMap<String, String>, String> {
    let path = file.unwrap_or(Path::new(".env"));
    if file.is_none() && !path.exists() {
        return Ok(BTreeMap::new());
    }
    // The error of a line repeats the line, which may hold a key; its place is all that is told.
    let told = |error: dotenvy::Error| match error {
        dotenvy::Error::LineParse(_, at) => {
            format!("{}: a line cannot be read, at its byte {at}: NAME=value is wanted", path.display())
        }
        other => format!("{}: {other}", path.display()),
    };
    dotenvy::from_path_iter(path).and_then(Iterator::collect).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME=value`, and no prose with a `=` in it.
    fn is_setting(line: &str) -> bool {
        line.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    }

    fn read(text: &str) -> BTreeMap<String, String> {
        dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_example_file_can_be_read_as_it_is_and_with_all_its_examples() {
        let example = config::env_example();
        assert_eq!(read(&example), BTreeMap::from([("OPENAI_API_KEY".to_owned(), String::new())]));
        let lines =
            example.lines().map(|line| line.strip_prefix("# ").filter(|l| is_setting(l)).unwrap_or(line));
        let mut all = read(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(all.len(), config::VARIABLES.len());
        assert_eq!(config::near_misses(all.keys()), [""; 0]);
        all.insert("OPENAI_API_KEY".to_owned(), "sk-1".to_owned());
        let settings = Config::from_variables(all).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!((settings.call.transfers.len(), &settings.call.keys.hot[..]), (1, &[('0', 0)][..]));
    }
}

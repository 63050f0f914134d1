//! Whatever an operator writes into the environment is taken, or refused by the name of what is wrong.

use super::{bytes, cases};
use ari_bridge_core::config::{Config, ConfigFaults, Preset, VARIABLES};
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::variables::{SECRET, assignment};
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEY: (&str, &str) = ("OPENAI_API_KEY", "sk-1");

/// The only file there is holds the secret.
fn read<'a>(set: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Config, ConfigFaults> {
    let set = set.into_iter().map(|(name, value)| (name.clone(), value.clone()));
    Config::from_variables_and_files(
        set,
        |path| if path == "/" { Err("it is a folder") } else { Ok(SECRET.into()) },
    )
}

fn is_known(name: &str) -> bool {
    VARIABLES
        .iter()
        .any(|known| known.name == name || known.prefix().is_some_and(|prefix| name.starts_with(prefix)))
}

/// Some assignments, the later before the earlier of the same name.
fn assignments(choices: &mut Choices<'_>, most: usize) -> BTreeMap<String, String> {
    let mut set: BTreeMap<String, String> =
        [KEY].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    set.extend((0..1 + choices.below(most)).map(|_| assignment(choices)));
    set
}

#[test]
fn the_defaults_that_are_documented_are_those_that_are_read() {
    let read = |set: &[(&str, &str)]| Config::from_variables([KEY].iter().chain(set).copied());
    let unset = read(&[]).expect("a key is enough");
    for variable in VARIABLES {
        let Preset::Value(value) = variable.default else { continue };
        assert_eq!(read(&[(variable.name, value)]), Ok(unset.clone()), "{}={value}", variable.name);
        assert_eq!(read(&[(variable.name, " \t")]), Ok(unset.clone()), "{} is empty", variable.name);
    }
    let all = VARIABLES.iter().filter_map(|variable| match variable.default {
        Preset::Value(value) => Some((variable.name, value)),
        _ => None,
    });
    assert_eq!(read(&all.collect::<Vec<_>>()), Ok(unset));
}

proptest! {
    #![proptest_config(cases(2_500))]

    /// One value or many: all is taken or each fault bears the name of a variable that was set, or names it; nothing of
    /// a secret is shown; and what does not matter does not matter.
    #[test]
    fn any_settings_are_taken_or_refused_by_name(bytes in bytes(160)) {
        let mut choices = Choices::new(&bytes);
        let most = if choices.one_in(2) { 1 } else { 8 };
        let set = assignments(&mut choices, most);
        let first = read(&set);
        prop_assert_eq!(&first, &read(set.iter().rev()), "the order matters");
        let padded: BTreeMap<String, String> =
            set.iter().map(|(name, value)| (name.clone(), format!(" {value}\n"))).collect();
        prop_assert_eq!(&first, &read(&padded), "space around a value matters");
        let (empty, other) = (String::from(" "), String::from("x"));
        let unset =
            VARIABLES.iter().map(|variable| variable.name.to_owned()).filter(|name| !set.contains_key(name));
        let unset: Vec<String> = unset.collect();
        let more = unset.iter().map(|name| (name, &empty)).chain(&set).chain([(&other, &other)]);
        prop_assert_eq!(&first, &read(more), "what is empty or unknown matters");
        match first {
            Ok(config) => {
                let shown = format!("{config:?}{config:#?}{:?}", config.warnings());
                prop_assert!(!shown.contains(SECRET), "{} in {:?}", shown, set);
            }
            Err(faults) => {
                prop_assert!(!format!("{faults}{faults:?}").contains(SECRET), "{} in {:?}", faults, set);
                prop_assert!(faults.iter().len() > 0);
                for fault in faults.iter() {
                    prop_assert!(is_known(&fault.variable) && !fault.message.is_empty(), "{}", fault);
                    prop_assert!(!fault.to_string().contains('\n'), "{} is more than a line", fault);
                    let family = fault.variable.strip_suffix("<name>");
                    let is_meant = |name: &String| {
                        fault.variable == *name
                            || fault.message.contains(name.as_str())
                            || family.is_some_and(|prefix| name.starts_with(prefix))
                    };
                    prop_assert!(set.keys().any(is_meant), "{} was said of {:?}", fault, set);
                }
            }
        }
    }

    /// What a running process keeps is kept, by names that exist, and then there is nothing more to keep.
    #[test]
    fn what_cannot_change_is_kept_once(bytes in bytes(160)) {
        let mut choices = Choices::new(&bytes);
        let (running, wanted) = (assignments(&mut choices, 5), assignments(&mut choices, 5));
        let (Ok(running), Ok(mut wanted)) = (read(&running), read(&wanted)) else { return Ok(()) };
        let before = wanted.clone();
        let kept = wanted.keep_fixed(&running);
        prop_assert!(kept.iter().all(|name| is_known(name)), "{:?}", kept);
        // A name that is the same in two places may stay without a word; whoever is told of nothing has lost nothing.
        prop_assert!(!kept.is_empty() || wanted == before, "something was kept, and nobody is told");
        prop_assert_eq!(wanted.keep_fixed(&running), Vec::<&str>::new());
    }
}

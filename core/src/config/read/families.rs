//! `TRANSFER_<name>` and `DTMF_<name>`: where the model may send a caller, and which keys lead there.

use super::super::reader::{Reader, shown, within};
use crate::settings::Transfer;
use core::ops::RangeInclusive;

const TRANSFER: &str = "TRANSFER_";

const DTMF: &str = "DTMF_";

/// The most destinations: the model reads all of their names with each turn.
const MAX_TRANSFERS: usize = 32;

/// The longest name of a destination, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The longest context and the longest extension, in bytes: Asterisk has room for 80 with the end.
const MAX_PLACE_BYTES: usize = 79;

/// What follows `DTMF_` in the name of the fixed variable, as a destination would be called.
const PAUSE: &str = "pause_ms";

/// The destinations, sorted by their names; `None` is a fault.
pub(super) fn transfers(reader: &mut Reader<'_>) -> Option<Vec<Transfer>> {
    let mut transfers: Vec<Transfer> = Vec::new();
    let mut all_good = true;
    for member in reader.family(TRANSFER) {
        let Some(name) = name(reader, TRANSFER, member.name) else {
            all_good = false;
            continue;
        };
        let good: Option<()> = if name == PAUSE {
            reader.fault(
                member.variable,
                "no destination can have this name: its key would be set by DTMF_PAUSE_MS",
            )
        } else if transfers.iter().any(|transfer| transfer.name == name) {
            reader.fault(member.variable, &twice(TRANSFER, &name))
        } else if let Some(transfer) = place(&name, member.value) {
            transfers.push(transfer);
            Some(())
        } else {
            let allowed = format!("context,extension,priority: {PLACE} each, and from 1 to 9999");
            reader.refuse(member.variable, member.value, &allowed)
        };
        all_good &= good.is_some();
    }
    if transfers.len() > MAX_TRANSFERS {
        let message = format!("there are {} of them; there may be {MAX_TRANSFERS}", transfers.len());
        return reader.fault("TRANSFER_<name>", &message);
    }
    transfers.sort_by(|a, b| a.name.cmp(&b.name));
    all_good.then_some(transfers)
}

/// The keys and the places of their destinations in `transfers`, which is `None` if those have a fault;
/// `None` is a fault.
pub(super) fn hot_keys(
    reader: &mut Reader<'_>,
    transfers: Option<&[Transfer]>,
) -> Option<Vec<(char, usize)>> {
    let mut hot: Vec<(char, usize)> = Vec::new();
    let mut all_good = true;
    for member in reader.family(DTMF) {
        let Some(name) = name(reader, DTMF, member.name) else {
            all_good = false;
            continue;
        };
        // Nothing can be said about destinations that could not be read.
        let index = match transfers {
            Some(transfers) => transfers.iter().position(|transfer| transfer.name == name),
            None => Some(0),
        };
        let good: Option<()> = match (index, key(member.value)) {
            _ if name == PAUSE => {
                reader.fault(member.variable, "the pause is set by DTMF_PAUSE_MS, in capitals")
            }
            (None, _) => reader.fault(member.variable, &format!("there is no TRANSFER_{name} for this key")),
            (_, None) if member.value == "#" => reader.refuse(
                member.variable,
                "#",
                "another key, because # ends an entry: 0 to 9, * or A to D",
            ),
            (_, None) => reader.refuse(member.variable, member.value, "one key: 0 to 9, * or A to D"),
            (Some(_), Some(key)) if hot.iter().any(|(other, _)| *other == key) => {
                reader.fault(member.variable, &format!("the key {key} already leads elsewhere"))
            }
            (Some(index), Some(_)) if transfers.is_some() && hot.iter().any(|(_, other)| *other == index) => {
                reader.fault(member.variable, &twice(DTMF, &name))
            }
            (Some(index), Some(key)) => {
                hot.push((key, index));
                Some(())
            }
        };
        all_good &= good.is_some();
    }
    all_good.then_some(hot)
}

/// The name of a destination as the model gets it.
fn name(reader: &mut Reader<'_>, prefix: &str, name: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
        let message = format!(
            "{} cannot be a name; it must be 1 to {MAX_NAME_BYTES} letters, digits or _",
            shown(name)
        );
        return reader.fault(&format!("{prefix}<name>"), &message);
    }
    Some(name.to_ascii_lowercase())
}

fn twice(prefix: &str, name: &str) -> String {
    format!("{prefix}{name} is set twice: capital and small letters are alike in it")
}

fn place(name: &str, text: &str) -> Option<Transfer> {
    let mut parts = text.split(',');
    let (context, extension) = (parts.next()?, parts.next()?);
    let priority = parts.next().map_or(Some(1), |text| within(text, &PRIORITIES))?;
    let priority = u32::try_from(priority).ok()?;
    (parts.next().is_none() && is_place(context) && is_place(extension)).then(|| Transfer {
        name: name.to_owned(),
        context: context.to_owned(),
        extension: extension.to_owned(),
        priority,
    })
}

/// What [`is_place`] takes, for faults.
pub(super) const PLACE: &str = "1 to 79 letters, digits and _.+*#-";

/// The priorities of a dialplan that can be gone to.
pub(super) const PRIORITIES: RangeInclusive<u64> = 1..=9999;

/// A context or an extension: plain characters, so that nothing can leave its place in a URL.
pub(super) fn is_place(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.+*#-".contains(&b);
    !text.is_empty() && text.len() <= MAX_PLACE_BYTES && text.bytes().all(allowed)
}

/// The one key in `text`; `#` is none, because it ends an entry.
fn key(text: &str) -> Option<char> {
    let mut keys = text.chars();
    let key = keys.next().filter(|key| matches!(key, '0'..='9' | '*' | 'A'..='D'))?;
    keys.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::super::super::Config;
    use crate::settings::{CallSettings, Transfer};

    fn read(set: &[(&str, &str)]) -> Result<CallSettings, String> {
        let key = ("OPENAI_API_KEY", "sk-secret-1");
        let config = Config::from_variables(core::iter::once(&key).chain(set).copied());
        config.map(|config| config.call).map_err(|faults| faults.to_string())
    }

    fn to(name: &str, context: &str, extension: &str, priority: u32) -> Transfer {
        Transfer { name: name.into(), context: context.into(), extension: extension.into(), priority }
    }

    #[test]
    fn destinations_come_sorted_by_name_and_keys_find_theirs() {
        let call = read(&[
            ("TRANSFER_Sales_2", "queues,sales,9999"),
            ("TRANSFER_operator", " internal,1001 "),
            ("TRANSFER_Zoo", "from-x_1.y,+49*#-_.,7"),
            ("TRANSFER_empty", " "),
            ("DTMF_SALES_2", "*"),
            ("DTMF_operator", "0"),
            ("DTMF_zoo", "A"),
            ("DTMF_none", ""),
        ])
        .unwrap();
        assert_eq!(
            call.transfers,
            [
                to("operator", "internal", "1001", 1),
                to("sales_2", "queues", "sales", 9999),
                to("zoo", "from-x_1.y", "+49*#-_.", 7),
            ]
        );
        assert_eq!(call.keys.hot, [('*', 1), ('0', 0), ('A', 2)]);
    }

    #[test]
    fn the_bounds_of_a_destination_hold() {
        let long = "x".repeat(80);
        for bad in [
            "internal",
            "internal,",
            ",1001",
            "a,b,0",
            "a,b,10000",
            "a,b,",
            "a,b,1,2",
            "a,b,x",
            "a/b,1",
            "a,b c",
            "a, b",
            "a,b?x=1",
            "a,b&c",
            "a,%31",
            "ä,1",
            &format!("{long},1"),
            &format!("a,{long}"),
        ] {
            let line = read(&[("TRANSFER_a", bad)]).unwrap_err();
            assert!(line.starts_with("TRANSFER_a: ") && line.lines().count() == 1, "{bad}: {line}");
        }
        for bad in ["TRANSFER_", "TRANSFER_a b", "TRANSFER_ä", "TRANSFER_a-b", &format!("TRANSFER_{long}")] {
            let line = read(&[(bad, "a,1")]).unwrap_err();
            assert!(line.starts_with("TRANSFER_<name>: ") && line.lines().count() == 1, "{bad}: {line}");
        }
        let line = read(&[("TRANSFER_a", "a,1"), ("TRANSFER_A", "b,1")]).unwrap_err();
        assert_eq!(line, "TRANSFER_a: TRANSFER_a is set twice: capital and small letters are alike in it");
        assert!(read(&[("TRANSFER_Pause_MS", "a,1")]).unwrap_err().contains("DTMF_PAUSE_MS"));
    }

    #[test]
    fn there_may_be_many_destinations_but_not_endlessly_many() {
        let names: Vec<String> = (0..33).map(|n| format!("TRANSFER_{n}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), "a,1")).collect();
        assert_eq!(read(&all).unwrap_err(), "TRANSFER_<name>: there are 33 of them; there may be 32");
        assert_eq!(read(&all[1..]).unwrap().transfers.len(), 32);
    }

    #[test]
    fn the_bounds_of_a_key_hold() {
        let place = ("TRANSFER_a", "a,1");
        for bad in ["E", "a", "00", "0,1", "x"] {
            let line = read(&[place, ("DTMF_a", bad)]).unwrap_err();
            assert!(line.starts_with("DTMF_a: ") && line.ends_with("0 to 9, * or A to D"), "{line}");
        }
        assert!(read(&[place, ("DTMF_a", "#")]).unwrap_err().contains("ends an entry"));
        assert_eq!(
            read(&[place, ("DTMF_b", "1")]).unwrap_err(),
            "DTMF_b: there is no TRANSFER_b for this key"
        );
        let line = read(&[place, ("TRANSFER_b", "b,1"), ("DTMF_a", "1"), ("DTMF_b", "1")]).unwrap_err();
        assert_eq!(line, "DTMF_b: the key 1 already leads elsewhere");
        let line = read(&[place, ("DTMF_a", "1"), ("DTMF_A", "2")]).unwrap_err();
        assert!(line.starts_with("DTMF_a: DTMF_a is set twice"), "{line}");
        assert!(read(&[("DTMF_pause_ms", "1000")]).unwrap_err().contains("in capitals"));
        assert!(read(&[("DTMF_a b", "1")]).unwrap_err().starts_with("DTMF_<name>: "));
    }

    #[test]
    fn a_destination_that_cannot_be_read_is_one_fault_and_not_two() {
        let line = read(&[("TRANSFER_a", "a"), ("DTMF_a", "1")]).unwrap_err();
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

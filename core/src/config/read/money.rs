//! What the model costs, and how much of that a day may bring. All of it in whole billionths of a US dollar: a sum
//! of fractions would not be the same on every machine.

use super::super::RealtimeConfig;
use super::super::reader::{Reader, shown};
use crate::observe::UsageKind;
use crate::settings::Prices;

const MAX_COST: &str = "MAX_COST_PER_DAY";

const PRICES: &str = "OPENAI_PRICES";

/// The highest limit and the highest price for a million tokens, in US dollars.
const MAX_DOLLARS: u64 = 1_000_000;

/// The decimals of a dollar that a limit may have: billionths.
const COST_DECIMALS: u32 = 9;

/// The decimals of a dollar that the price of a million tokens may have: each token costs a whole billionth, then.
const PRICE_DECIMALS: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Money {
    pub(super) prices: Option<Prices>,
    pub(super) max_cost_per_day: Option<u64>,
}

/// `None` is a fault; `realtime` is `None` if that has one.
pub(super) fn money(reader: &mut Reader<'_>, realtime: Option<&RealtimeConfig>) -> Option<Money> {
    let allowed = format!("US dollars, more than 0 and at most {MAX_DOLLARS}, like 25 or 2.50");
    let limit = reader
        .parse_optional(MAX_COST, &allowed, |text| decimal(text, COST_DECIMALS).filter(|cost| *cost > 0));
    let given = match reader.value(PRICES) {
        None => Some(None),
        Some(text) => match prices(&text) {
            Ok(prices) => Some(Some(prices)),
            Err(why) => reader.fault(
                PRICES,
                &format!(
                    "{} cannot be, because {why}; it must be text_in=0.60,text_cached=0.06,text_out=2.40,audio_in=10,\
                     audio_cached=0.30,audio_out=20, each in US dollars per million tokens",
                    shown(&text)
                ),
            ),
        },
    };
    let (max_cost_per_day, given, model) = (limit?, given?, realtime?.effective_model());
    let prices = given.or_else(|| Prices::of_model(&model));
    if max_cost_per_day.is_some() && prices.is_none() {
        return reader.fault(
            MAX_COST,
            &format!("the prices of the model {} are not known here; set OPENAI_PRICES", shown(&model)),
        );
    }
    Some(Money { prices, max_cost_per_day })
}

/// All six prices. The error says what is wrong, to follow "because".
fn prices(text: &str) -> Result<Prices, String> {
    let mut found = UsageKind::ALL.map(|kind| (kind, None));
    for entry in text.split(',') {
        let (name, price) =
            entry.split_once('=').ok_or_else(|| format!("{} is not name=price", shown(entry.trim())))?;
        let (name, price) = (name.trim(), price.trim());
        let slot = found.iter_mut().find(|(kind, _)| kind.name() == name);
        let (_, slot) = slot.ok_or_else(|| format!("{} is none of the six names", shown(name)))?;
        let price = decimal(price, PRICE_DECIMALS).ok_or_else(|| {
            format!(
                "{} is no price from 0 to {MAX_DOLLARS} with at most {PRICE_DECIMALS} decimals",
                shown(price)
            )
        })?;
        if slot.replace(price).is_some() {
            return Err(format!("{name} stands in it twice"));
        }
    }
    let [text_in, text_cached, text_out, audio_in, audio_cached, audio_out] =
        found.map(|(kind, price)| price.ok_or_else(|| format!("{} is missing", kind.name())));
    Ok(Prices {
        text_in: text_in?,
        text_cached: text_cached?,
        text_out: text_out?,
        audio_in: audio_in?,
        audio_cached: audio_cached?,
        audio_out: audio_out?,
    })
}

/// `25`, `2.50` or `.06`, times ten to the power of `decimals`, exactly; `None` for anything else, for more
/// decimals and for more than [`MAX_DOLLARS`].
fn decimal(text: &str, decimals: u32) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let missing = decimals.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let digits = |text: &str| match text {
        "" => Some(0),
        // A sign would be taken, too.
        _ if !text.bytes().all(|b| b.is_ascii_digit()) => None,
        _ => text.parse::<u64>().ok(),
    };
    let unit = 10u64.checked_pow(decimals)?;
    let fraction = digits(fraction)?.checked_mul(10u64.checked_pow(missing)?)?;
    let value = digits(whole)?.checked_mul(unit)?.checked_add(fraction)?;
    (value <= MAX_DOLLARS.checked_mul(unit)?).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::super::super::Config;
    use super::*;

    const MINI: &str =
        "text_in=0.60,text_cached=0.06,text_out=2.40,audio_in=10,audio_cached=0.30,audio_out=20";

    fn read(set: &[(&str, &str)]) -> Result<Money, String> {
        let key = ("OPENAI_API_KEY", "sk-secret-1");
        let config = Config::from_variables(core::iter::once(&key).chain(set).copied());
        let config = config.map_err(|faults| faults.to_string())?;
        let Config { call, switchboard, .. } = config;
        Ok(Money { prices: call.prices, max_cost_per_day: switchboard.max_cost_per_day })
    }

    #[test]
    fn money_is_read_to_the_last_billionth() {
        for (text, billionths) in [
            ("25", 25_000_000_000),
            ("2.50", 2_500_000_000),
            (".06", 60_000_000),
            ("0.000000001", 1),
            ("007", 7_000_000_000),
            // Neither is what a float makes of it.
            ("0.3", 300_000_000),
            ("999999.999999999", 999_999_999_999_999),
            ("1000000", 1_000_000_000_000_000),
        ] {
            let money = read(&[(MAX_COST, text)]).unwrap();
            assert_eq!(money.max_cost_per_day, Some(billionths), "{text}");
        }
        assert_eq!(read(&[]).unwrap().max_cost_per_day, None);
        for bad in [
            "0",
            "0.000000000",
            "-1",
            "+1",
            "1.",
            ".",
            "1,50",
            "$25",
            "25 USD",
            "1e3",
            "0.0000000001",
            "1000000.000000001",
            "1000001",
            "99999999999999999999999",
            "NaN",
            "1.2.3",
            "1.-2",
        ] {
            let line = read(&[(MAX_COST, bad)]).unwrap_err();
            assert_eq!(
                line,
                format!(
                    "MAX_COST_PER_DAY: {bad:?} cannot be; it must be US dollars, more than 0 and at most 1000000, like \
                     25 or 2.50"
                )
            );
        }
    }

    #[test]
    fn the_prices_are_those_of_the_model_that_is_asked_for() {
        let of = |set: &[(&str, &str)]| read(set).unwrap().prices;
        let mini = Prices::of_model("gpt-realtime-2.1-mini");
        assert_eq!(of(&[]), mini);
        assert_eq!(of(&[(PRICES, MINI), ("OPENAI_MODEL", "mine")]), mini, "the example is the list's own");
        assert_eq!(of(&[("OPENAI_MODEL", "gpt-realtime-2.1")]).unwrap().text_out, 24_000);
        assert_eq!(of(&[("OPENAI_MODEL", "gpt-realtime")]), None, "its price is not known");
        let in_url = |model: &str| format!("wss://a.b/v1?model={model}");
        assert_eq!(of(&[("OPENAI_REALTIME_URL", &in_url("gpt%2Drealtime-1.5"))]).unwrap().text_out, 16_000);
        assert_eq!(of(&[("OPENAI_REALTIME_URL", &in_url("my-deployment"))]), None);
    }

    #[test]
    fn prices_of_one_s_own_come_in_any_order_and_all_six() {
        let own =
            "audio_out=0, audio_in = 1000000 ,text_in=.001,text_out=1,text_cached=2.5,audio_cached=0.125";
        let prices = read(&[(PRICES, own)]).unwrap().prices.unwrap();
        let Prices { text_in, text_cached, text_out, audio_in, audio_cached, audio_out } = prices;
        assert_eq!((text_in, text_cached, text_out), (1, 2_500, 1_000));
        assert_eq!((audio_in, audio_cached, audio_out), (1_000_000_000, 125, 0));
        for (bad, why) in [
            ("10", r#""10" is not name=price"#),
            (&format!("{MINI},"), r#""" is not name=price"#),
            (&format!("{MINI},image_in=5"), r#""image_in" is none of the six names"#),
            (&format!("{MINI},text_in=5"), "text_in stands in it twice"),
            (&MINI.replace(",audio_in=10", ""), "audio_in is missing"),
            (
                &MINI.replace("2.40", "2.4001"),
                r#""2.4001" is no price from 0 to 1000000 with at most 3 decimals"#,
            ),
            (
                &MINI.replace("=20", "=1000000.001"),
                r#""1000000.001" is no price from 0 to 1000000 with at most 3 decimals"#,
            ),
            (&MINI.replace("=20", "="), r#""" is no price from 0 to 1000000 with at most 3 decimals"#),
        ] {
            let line = read(&[(PRICES, bad)]).unwrap_err();
            assert!(line.starts_with("OPENAI_PRICES: ") && line.lines().count() == 1, "{line}");
            assert!(line.contains(&format!(" cannot be, because {why}; it must be {MINI}, each")), "{line}");
        }
    }

    #[test]
    fn a_limit_needs_prices() {
        let limit = (MAX_COST, "25");
        let own = ("OPENAI_MODEL", "my-own");
        assert_eq!(
            read(&[limit, own]).unwrap_err(),
            "MAX_COST_PER_DAY: the prices of the model \"my-own\" are not known here; set OPENAI_PRICES"
        );
        assert!(read(&[limit, own, (PRICES, MINI)]).is_ok());
        // What is wrong with the prices themselves is said once.
        assert_eq!(read(&[limit, own, (PRICES, "x")]).unwrap_err().lines().count(), 1);
    }
}

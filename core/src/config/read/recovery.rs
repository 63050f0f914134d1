//! What is done when the Realtime side fails.

use super::super::reader::{Reader, within};
use super::families::{PLACE, PRIORITIES, is_place};
use crate::settings::{Breaker, DeadAir, DeadAirStep, FailedAnswer, Fallback, Place, Recovery, Resume};
use crate::time::Duration;

/// The most steps out of dead air: each of the four, and each again.
const MAX_STEPS: usize = 2 * DeadAirStep::ALL.len();

pub(super) fn recovery(reader: &mut Reader<'_>) -> Option<Recovery> {
    let retry_for = reader.number("REALTIME_RETRY_SECONDS", 0..=300, " seconds");
    let resume = reader.parse("RECONNECT_RESUME", "continue, repeat or off", |text| {
        Resume::ALL.into_iter().find(|resume| resume.name() == text)
    });
    let history_tokens = reader.number("HISTORY_TOKENS", 0..=100_000, " tokens");
    Some(Recovery {
        retry_for: Duration::from_secs(retry_for?),
        resume: resume?,
        history_tokens: u32::try_from(history_tokens?).ok()?,
    })
}

pub(super) fn dead_air(reader: &mut Reader<'_>) -> Option<DeadAir> {
    let after =
        reader.parse("DEAD_AIR_MS", "off, or a whole number from 1000 to 60000 milliseconds", |text| {
            if text == "off" {
                return Some(None);
            }
            within(text, &(1000..=60_000)).map(|millis| Some(Duration::from_millis(millis)))
        });
    let allowed =
        format!("1 to {MAX_STEPS} of filler, ask, reconnect and fallback, with commas between them");
    let steps = reader.parse("DEAD_AIR_STEPS", &allowed, |text| {
        let step = |name: &str| DeadAirStep::ALL.into_iter().find(|step| step.name() == name.trim());
        // One more than may be is enough to see that they are too many.
        let steps: Vec<_> = text.split(',').take(MAX_STEPS + 1).map(step).collect::<Option<_>>()?;
        (steps.len() <= MAX_STEPS).then_some(steps)
    });
    Some(DeadAir { after: after?, steps: steps? })
}

pub(super) fn failed_answer(reader: &mut Reader<'_>) -> Option<FailedAnswer> {
    reader.parse("FAILED_ANSWER", "prompt or fallback", |text| {
        FailedAnswer::ALL.into_iter().find(|failed| failed.name() == text)
    })
}

pub(super) fn fallback(reader: &mut Reader<'_>) -> Option<Fallback> {
    const CONTEXT: &str = "FALLBACK_CONTEXT";
    const EXTENSION: &str = "FALLBACK_EXTENSION";
    const PRIORITY: &str = "FALLBACK_PRIORITY";
    let hang_up = reader.parse("FALLBACK", "dialplan or hangup", |text| match text {
        "dialplan" => Some(false),
        "hangup" => Some(true),
        _ => None,
    });
    if hang_up == Some(true) {
        let mut all_good = true;
        for name in [CONTEXT, EXTENSION, PRIORITY] {
            if reader.value(name).is_some() {
                reader.fault::<()>(name, "it must not be set with FALLBACK=hangup, which leads nowhere");
                all_good = false;
            }
        }
        return all_good.then_some(Fallback::HangUp);
    }
    let named = |text: &str| is_place(text).then(|| text.to_owned());
    let context = reader.parse_optional(CONTEXT, PLACE, named);
    let extension = reader.parse_optional(EXTENSION, PLACE, named);
    let priority = reader.optional_number(PRIORITY, PRIORITIES, "");
    let priority = priority?.and_then(|priority| u32::try_from(priority).ok());
    hang_up?;
    Some(Fallback::Dialplan(Place { context: context?, extension: extension?, priority }))
}

/// `None` is a fault, `Some(None)` no breaker.
pub(super) fn breaker(reader: &mut Reader<'_>) -> Option<Option<Breaker>> {
    let calls = reader.number("BREAKER_CALLS", 0..=1000, " calls");
    let wait = reader.number("BREAKER_SECONDS", 1..=3600, " seconds");
    let (calls, wait) = (u32::try_from(calls?).ok()?, Duration::from_secs(wait?));
    Some((calls > 0).then_some(Breaker { calls, wait }))
}

#[cfg(test)]
mod tests {
    use super::super::super::Config;
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Config, String> {
        let key = ("OPENAI_API_KEY", "sk-secret-1");
        let config = Config::from_variables(core::iter::once(&key).chain(set).copied());
        config.map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_lost_session_is_replaced_for_as_long_as_the_operator_wants() {
        let recovery = |set: &[(&str, &str)]| read(set).unwrap().call.recovery;
        assert_eq!(recovery(&[]), Recovery::default());
        let never = recovery(&[("REALTIME_RETRY_SECONDS", "0"), ("HISTORY_TOKENS", "0")]);
        assert_eq!((never.retry_for, never.history_tokens), (Duration::ZERO, 0));
        for resume in Resume::ALL {
            assert_eq!(recovery(&[("RECONNECT_RESUME", resume.name())]).resume, resume);
        }
    }

    #[test]
    fn the_steps_out_of_dead_air_are_taken_in_the_order_in_which_they_stand() {
        let dead_air = |set: &[(&str, &str)]| read(set).map(|config| config.call.dead_air);
        assert_eq!(dead_air(&[]), Ok(DeadAir::default()));
        let set = [("DEAD_AIR_MS", "off"), ("DEAD_AIR_STEPS", "ask, ask ,fallback")];
        let steps = vec![DeadAirStep::Ask, DeadAirStep::Ask, DeadAirStep::Fallback];
        assert_eq!(dead_air(&set), Ok(DeadAir { after: None, steps }));
        let many = |n| ["filler"].repeat(n).join(",");
        assert_eq!(dead_air(&[("DEAD_AIR_STEPS", &many(8))]).unwrap().steps.len(), 8);
        for bad in [&many(9), ",", "ask,", "asks", "ask;filler", "Ask", "off"] {
            assert_eq!(
                dead_air(&[("DEAD_AIR_STEPS", bad)]).unwrap_err(),
                format!(
                    "DEAD_AIR_STEPS: {bad:?} cannot be; it must be 1 to 8 of filler, ask, reconnect and fallback, with commas \
                     between them"
                )
            );
        }
        let line = dead_air(&[("DEAD_AIR_MS", "on")]).unwrap_err();
        assert_eq!(
            line,
            "DEAD_AIR_MS: \"on\" cannot be; it must be off, or a whole number from 1000 to 60000 milliseconds"
        );
    }

    #[test]
    fn a_call_and_a_caller_who_is_not_taken_on_fall_back_to_the_same_place() {
        let fallback = |set: &[(&str, &str)]| {
            let config = read(set).unwrap();
            assert_eq!(config.call.fallback, config.switchboard.fallback);
            config.call.fallback
        };
        assert_eq!(fallback(&[]), Fallback::Dialplan(Place::default()));
        assert_eq!(fallback(&[("FALLBACK", "hangup")]), Fallback::HangUp);
        let context = Some("agent-fallback".to_owned());
        assert_eq!(
            fallback(&[("FALLBACK_CONTEXT", "agent-fallback")]),
            Fallback::Dialplan(Place { context: context.clone(), ..Place::default() })
        );
        let all = [
            ("FALLBACK", "dialplan"),
            ("FALLBACK_CONTEXT", "agent-fallback"),
            ("FALLBACK_EXTENSION", "+49*#-_."),
            ("FALLBACK_PRIORITY", "9999"),
        ];
        let (extension, priority) = (Some("+49*#-_.".to_owned()), Some(9999));
        assert_eq!(fallback(&all), Fallback::Dialplan(Place { context, extension, priority }));
    }

    #[test]
    fn the_bounds_of_the_fallback_hold() {
        let long = "x".repeat(80);
        for (name, bad) in ["FALLBACK_CONTEXT", "FALLBACK_EXTENSION"]
            .into_iter()
            .flat_map(|name| ["a/b", "a b", "a,b", "a?x", "ä", "%31", &long].map(|bad| (name, bad)))
        {
            let line = read(&[(name, bad)]).unwrap_err();
            assert!(line.starts_with(&format!("{name}: \"")) && line.lines().count() == 1, "{line}");
            assert!(line.ends_with("it must be 1 to 79 letters, digits and _.+*#-"), "{line}");
        }
        assert!(read(&[("FALLBACK_CONTEXT", &long[1..])]).is_ok());
        assert_eq!(
            read(&[("FALLBACK_PRIORITY", "0")]).unwrap_err(),
            "FALLBACK_PRIORITY: \"0\" cannot be; it must be a whole number from 1 to 9999"
        );
    }

    #[test]
    fn who_hangs_up_names_no_place() {
        let line = read(&[
            ("FALLBACK", "hangup"),
            ("FALLBACK_CONTEXT", "a"),
            ("FALLBACK_EXTENSION", "b"),
            ("FALLBACK_PRIORITY", "1"),
        ])
        .unwrap_err();
        for (line, name) in line.lines().zip(["CONTEXT", "EXTENSION", "PRIORITY"]) {
            assert_eq!(
                line,
                format!("FALLBACK_{name}: it must not be set with FALLBACK=hangup, which leads nowhere")
            );
        }
        assert_eq!(line.lines().count(), 3);
    }

    #[test]
    fn a_breaker_of_no_calls_is_none() {
        let breaker = |set: &[(&str, &str)]| read(set).unwrap().switchboard.breaker;
        assert_eq!(breaker(&[]), Some(Breaker::default()));
        assert_eq!(breaker(&[("BREAKER_CALLS", "0")]), None);
        let set = [("BREAKER_CALLS", "1"), ("BREAKER_SECONDS", "3600")];
        assert_eq!(breaker(&set), Some(Breaker { calls: 1, wait: Duration::from_secs(3600) }));
    }
}

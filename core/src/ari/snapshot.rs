//! What Asterisk tells when it is asked what there is.

use super::Bridge;
use crate::json::{Object, Text, lenient, object};
use serde::Deserialize;

/// Which run of which Asterisk this is, from the reply to [`super::Request::Info`]. Another one knows nothing of the
/// channels of this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    entity: String,
    at: String,
}

impl Started {
    /// Reads it; `None` if the reply does not tell.
    #[must_use]
    pub fn parse(reply: &[u8]) -> Option<Self> {
        #[derive(Default, Deserialize)]
        struct System<'a> {
            #[serde(borrow, default)]
            entity_id: Text<'a>,
        }
        #[derive(Default, Deserialize)]
        struct Status<'a> {
            #[serde(borrow, default)]
            startup_time: Text<'a>,
        }
        #[derive(Deserialize)]
        struct Reply<'a> {
            #[serde(borrow, default, deserialize_with = "lenient")]
            system: System<'a>,
            #[serde(borrow, default, deserialize_with = "lenient")]
            status: Status<'a>,
        }

        let Reply { system, status } = object::<Reply<'_>>(reply)?;
        let (entity, at) = (system.entity_id.to_string(), status.startup_time.to_string());
        (!at.is_empty()).then_some(Self { entity, at })
    }
}

/// The ids of the channels that an application has or made, from the reply to [`super::Request::Application`].
#[must_use]
pub fn application_channels(reply: &[u8]) -> Option<Vec<Text<'_>>> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow)]
        channel_ids: Vec<Text<'a>>,
    }
    Some(object::<Reply<'_>>(reply)?.channel_ids)
}

/// All bridges, from the reply to [`super::Request::Bridges`].
#[must_use]
pub fn bridges(reply: &[u8]) -> Option<Vec<Bridge<'_>>> {
    let bridges: Vec<Object<Bridge<'_>>> = serde_json::from_slice(reply).ok()?;
    Some(bridges.into_iter().map(|Object(bridge)| bridge).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_start_is_another_asterisk() {
        let told = |entity: &str, at: &str| {
            let reply = format!(
                r#"{{"build":{{"os":"Linux"}},"system":{{"version":"22.10.1","entity_id":"{entity}"}},
                "status":{{"startup_time":"{at}","last_reload_time":"2026-11-23T07:00:00.000+0000"}}}}"#
            );
            Started::parse(reply.as_bytes()).unwrap()
        };
        let first = told("02:fc:00:00:00:01", "2026-11-22T11:29:11.573+0000");
        assert_eq!(
            first,
            told("02:fc:00:00:00:01", "2026-11-22T11:29:11.573+0000"),
            "a reload is no restart"
        );
        assert_ne!(first, told("02:fc:00:00:00:01", "2026-11-22T11:31:00.000+0000"));
        assert_ne!(first, told("02:fc:00:00:00:02", "2026-11-22T11:29:11.573+0000"));
    }

    #[test]
    fn what_does_not_tell_is_none() {
        for reply in [&b""[..], b"{}", b"[]", br#"{"status":null}"#, br#"{"status":{"startup_time":""}}"#] {
            assert_eq!(Started::parse(reply), None);
        }
        for reply in [&b""[..], b"{}", b"null", br#"{"channel_ids":7}"#] {
            assert!(application_channels(reply).is_none());
            assert!(bridges(reply).is_none());
        }
    }

    #[test]
    fn channels_and_bridges_are_listed() {
        let reply =
            br#"{"name":"voice-agent","channel_ids":["1795346951.0","arib0000beef-1-1"],"bridge_ids":[],
            "endpoint_ids":[],"device_names":[],"events_allowed":[],"events_disallowed":[]}"#;
        let ids: Vec<_> = application_channels(reply).unwrap().iter().map(|id| id.to_string()).collect();
        assert_eq!(ids, ["1795346951.0", "arib0000beef-1-1"]);
        let reply = br#"[{"id":"arib0000beef-1-2","technology":"simple_bridge","bridge_type":"mixing",
            "bridge_class":"stasis","creator":"Stasis","name":"voice-agent","channels":[]}]"#;
        let listed = bridges(reply).unwrap();
        let first = listed.first().unwrap();
        assert_eq!((&*first.id, &*first.name), ("arib0000beef-1-2", "voice-agent"));
    }
}

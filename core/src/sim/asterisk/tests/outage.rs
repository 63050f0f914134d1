//! What goes away, what falls silent, and who comes in by other ways.

use super::*;

impl Lab {
    fn stop(&mut self) {
        self.out.clear();
        self.asterisk.stop(&mut self.out);
        self.collect();
    }

    fn startup_time(&mut self) -> Value {
        let (status, info) = self.request("GET", "/asterisk/info");
        assert_eq!((status, &info["system"]["entity_id"]), (200, &"02:00:00:00:00:01".into()));
        info["status"]["startup_time"].clone()
    }

    fn channels(&mut self) -> Value {
        self.request("GET", "/applications/voice-agent").1["channel_ids"].clone()
    }
}

#[test]
fn an_asterisk_that_stops_takes_everything_with_it_and_starts_as_another() {
    let mut lab = Lab::new();
    lab.call(MediaFormat::Ulaw);
    let before = lab.startup_time();
    lab.asterisk.faults.next("GET /channels", Fault::HoldReply);
    let request =
        |id, target| Input::Request { id, method: "GET", target, authorization: Some(AUTH), body: b"" };
    lab.put(request(1, "/channels"));

    lab.stop();
    assert_eq!((lab.asterisk.channel_count(), lab.asterisk.bridge_count()), (0, 0));
    assert_eq!(lab.states.last(), Some(&CallerState::Gone));
    assert!(lab.out.iter().any(|output| output == Output::CloseSocket { socket: 1 }));
    assert!(lab.out.iter().any(|output| matches!(output, Output::UnbindRtp { .. })));
    assert!(!lab.asterisk.is_running());

    lab.put(request(2, "/asterisk/info"));
    lab.open(2);
    lab.put(Input::Dial { caller: 2, number: "2", exten: "100", answered: false });
    lab.run(3000);
    assert_eq!((lab.out.iter().count(), lab.states.last()), (1, Some(&CallerState::Gone)), "nobody is there");

    assert_eq!(lab.asterisk.start(lab.now).deadline, None);
    let _ = lab.asterisk.release(lab.now, &mut lab.out);
    assert!(lab.replies.is_empty(), "what was held is lost");
    assert_ne!(lab.startup_time(), before);
    assert_eq!(lab.request("GET", "/applications/voice-agent").0, 404);
    assert_eq!(lab.request("GET", "/channels").1, serde_json::json!([]));
    lab.open(3);
    lab.events.clear();
    lab.put(Input::Dial { caller: 2, number: "2", exten: "100", answered: false });
    assert_eq!(lab.told().len(), 1);
    assert!(lab.out.iter().any(|output| matches!(output, Output::Event { socket: 3, .. })));
}

#[test]
fn an_event_socket_that_is_half_open_swallows_everything_until_another_takes_its_place() {
    let mut lab = Lab::new();
    assert!(lab.asterisk.answers_pings(1));
    lab.asterisk.falls_half_open(1);
    assert!(!lab.asterisk.answers_pings(1));
    lab.put(Input::Dial { caller: 1, number: "1", exten: "100", answered: false });
    lab.put(Input::EventsClosed { socket: 1 });
    lab.put(Input::Dial { caller: 2, number: "2", exten: "100", answered: false });
    assert!(lab.events.is_empty());
    assert_eq!(lab.states, [CallerState::Ringing; 2], "Asterisk believes that somebody listens");
    lab.open(2);
    assert!(lab.events.is_empty() && lab.asterisk.answers_pings(2));
    assert_eq!(lab.channels().as_array().unwrap().len(), 2, "and nobody is told of them");
    lab.put(Input::Hangup { caller: 1 });
    assert!(!lab.events.is_empty());
}

#[test]
fn a_caller_who_waits_is_found_by_what_is_executed_on_the_channel() {
    let mut lab = Lab::new();
    lab.put(Input::Dial { caller: 1, number: "493012", exten: "100", answered: false });
    let id = lab.channels()[0].as_str().unwrap().to_owned();
    let dialplan = |lab: &mut Lab| lab.request("GET", &format!("/channels/{id}")).1["dialplan"].clone();
    let found = dialplan(&mut lab);
    assert_eq!(
        (&found["app_name"], &found["app_data"]),
        (&"Stasis".into(), &"voice-agent,493012,100".into())
    );
    assert_eq!(lab.request("POST", &format!("/channels/{id}/continue")).0, 204);
    assert_ne!(dialplan(&mut lab)["app_name"], "Stasis");
    assert_eq!(lab.channels(), serde_json::json!([]));
}

#[test]
fn in_an_attended_transfer_another_channel_takes_the_callers_place() {
    let mut lab = Lab::new();
    let caller = lab.call(MediaFormat::Ulaw);
    lab.put(Input::Transfer { caller: 1, by: 2, number: "4711" });
    let start = lab.events[0].clone();
    let by = start["channel"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&start["type"], &start["replace_channel"]["id"]),
        (&"StasisStart".into(), &caller.clone().into())
    );
    let told = lab.told();
    assert_eq!(told.first(), Some(&format!("StasisStart {by}")));
    assert_eq!(told.last(), Some(&format!("StasisEnd {caller}")), "no ChannelDestroyed");
    let at = |what: String| told.iter().position(|told| *told == what).unwrap();
    assert!(at(format!("ChannelLeftBridge {caller}")) < at(format!("ChannelEnteredBridge {by}")));
    assert_eq!(lab.request("GET", "/bridges/b").1["channels"], serde_json::json!([by.clone(), "m"]));
    assert_eq!(lab.channels(), serde_json::json!([by.clone(), "m"]));
    assert_eq!(lab.request("GET", &format!("/channels/{by}")).1["dialplan"]["app_data"], "voice-agent");
    assert_eq!(lab.states[2..], [CallerState::Answered, CallerState::Gone]);
    assert_eq!(lab.request("DELETE", &format!("/channels/{by}")).0, 204);
    assert_eq!(lab.states.last(), Some(&CallerState::Gone));
}

#[test]
fn whom_another_client_has_called_is_told_of_to_the_very_end() {
    let mut lab = Lab::new();
    lab.put(Input::Originate { caller: 1, number: "4711" });
    let told = lab.told();
    let id = told[0].strip_prefix("Dial ").unwrap().to_owned();
    assert_eq!(told.last(), Some(&format!("StasisStart {id}")));
    lab.put(Input::Hangup { caller: 1 });
    let told = lab.told();
    let end = told.iter().position(|told| *told == format!("StasisEnd {id}")).unwrap();
    assert_eq!(
        told[end + 1..],
        [format!("ChannelVarset {id}STASISSTATUS"), format!("ChannelDestroyed {id}")]
    );

    lab.put(Input::Originate { caller: 2, number: "4711" });
    let id = lab.channels()[0].as_str().unwrap().to_owned();
    assert_eq!(lab.request("POST", &format!("/channels/{id}/continue")).0, 204);
    lab.events.clear();
    assert_eq!(lab.channels(), serde_json::json!([id]), "it is subscribed to although it has left");
    lab.put(Input::Hangup { caller: 2 });
    assert_eq!(lab.told(), [format!("ChannelDestroyed {id}")]);
    assert_eq!(lab.asterisk.channel_count(), 0);
}

#[test]
fn every_request_fails_while_the_test_says_so() {
    let mut lab = Lab::new();
    lab.asterisk.faults.every = Some(Fault::Refuse(500));
    assert_eq!(lab.request("POST", "/bridges/b").0, 500);
    lab.asterisk.faults.every = Some(Fault::LoseRequest);
    let request =
        |target| Input::Request { id: 1, method: "POST", target, authorization: Some(AUTH), body: b"" };
    lab.put(request("/bridges/b"));
    assert_eq!((lab.replies.len(), lab.asterisk.bridge_count()), (0, 0));
    lab.asterisk.faults.every = Some(Fault::LoseReply);
    lab.put(request("/bridges/b"));
    assert_eq!((lab.replies.len(), lab.asterisk.bridge_count()), (0, 1));
    lab.asterisk.faults.every = None;
    assert_eq!(lab.request("POST", "/bridges/b").0, 409);
}

//! One whole call over both stand-ins, with the simplest bridge that can be between them.

use super::asterisk::{self, Asterisk, CallerState};
use super::caller::Caller;
use super::realtime::{self, Parrot, Realtime};
use crate::codec::{Decoder, Encoder};
use crate::format::{Encoding, MODEL_RATE};
use crate::pcm;
use crate::resample::Resampler;
use crate::rtp::Packet;
use crate::time::{Duration, Instant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const BRIDGE: &str = "127.0.0.1:30000";

/// A bridge without buffers, clocks of its own or manners: L16 up, G.722 down.
struct Bridge {
    asterisk: Asterisk,
    realtime: Realtime,
    caller: Caller,
    now: Instant,
    port: u16,
    sequence: u16,
    up: Resampler,
    down: Resampler,
    encoder: Encoder,
    queue: Vec<i16>,
    channel: String,
    states: Vec<CallerState>,
    told: Vec<String>,
}

impl Bridge {
    fn asterisk(&mut self, input: asterisk::Input<'_>) {
        let mut out = asterisk::Actions::new();
        let _ = self.asterisk.step(self.now, input, &mut out);
        for output in out.iter() {
            match output {
                asterisk::Output::Event { text, .. } => {
                    let event: Value = serde_json::from_str(out.text(text)).unwrap();
                    if event["type"] == "StasisStart" && self.channel.is_empty() {
                        self.channel = event["channel"]["id"].as_str().unwrap().to_owned();
                    }
                }
                asterisk::Output::Reply { status, body, .. } => {
                    assert!(matches!(status, 200 | 204), "{}", out.text(body));
                }
                asterisk::Output::BindRtp { port } => self.port = port,
                asterisk::Output::SendRtp { bytes, .. } => {
                    let packet = Packet::parse(out.bytes(bytes)).unwrap();
                    let (mut heard, mut at_model) = (Vec::new(), Vec::new());
                    Decoder::new(Encoding::L16Wideband).decode(packet.payload, &mut heard);
                    self.up.process(&heard, &mut at_model);
                    let mut bytes = Vec::new();
                    pcm::to_le_bytes(&at_model, &mut bytes);
                    let append =
                        json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes) });
                    self.realtime(realtime::Input::Message(append.to_string().as_bytes()));
                }
                asterisk::Output::Heard { pcm, .. } => self.caller.hear(out.bytes(pcm)),
                asterisk::Output::CallerState { state, .. } => self.states.push(state),
                _ => {}
            }
        }
    }

    fn realtime(&mut self, input: realtime::Input<'_>) {
        let mut out = realtime::Actions::new();
        let _ = self.realtime.step(self.now, input, &mut out);
        for output in out.iter() {
            let realtime::Output::Send(text) = output else { panic!("closed") };
            let event: Value = serde_json::from_str(out.text(text)).unwrap();
            if event["type"] == "response.output_audio.delta" {
                let mut samples = Vec::new();
                pcm::from_le_bytes(&STANDARD.decode(event["delta"].as_str().unwrap()).unwrap(), &mut samples);
                self.down.process(&samples, &mut self.queue);
            }
            self.told.push(event["type"].as_str().unwrap().to_owned());
        }
    }

    fn request(&mut self, method: &str, target: &str) {
        let authorization = Some("Basic YXN0ZXJpc2s6YXN0ZXJpc2s=");
        self.asterisk(asterisk::Input::Request { id: 1, method, target, authorization, body: b"" });
    }

    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 20 {
            self.now = self.now + Duration::from_millis(20);
            self.asterisk(asterisk::Input::Timer);
            self.realtime(realtime::Input::Timer);
            if self.queue.len() < 320 {
                continue;
            }
            let frame: Vec<i16> = self.queue.drain(..320).collect();
            let (mut payload, mut datagram) = (Vec::new(), Vec::new());
            self.encoder.encode(&frame, &mut payload);
            self.sequence = self.sequence.wrapping_add(1);
            let timestamp = u32::from(self.sequence) * 160;
            let (sequence, payload) = (self.sequence, payload.as_slice());
            Packet { marker: false, payload_type: 9, sequence, timestamp, ssrc: 1, payload }
                .write(&mut datagram);
            let from = BRIDGE.parse().unwrap();
            self.asterisk(asterisk::Input::Datagram { local_port: self.port, from, bytes: &datagram });
        }
    }
}

#[test]
fn a_caller_hears_what_it_said() {
    let settings = asterisk::Settings { phones_send_silence: true, ..asterisk::Settings::default() };
    let mut bridge = Bridge {
        asterisk: Asterisk::new(settings),
        realtime: Realtime::new(realtime::Settings::default(), Box::new(Parrot::new())),
        caller: Caller::recorded(),
        now: Instant::START,
        port: 0,
        sequence: 0,
        up: Resampler::new(16_000, MODEL_RATE),
        down: Resampler::new(MODEL_RATE, 16_000),
        encoder: Encoder::new(Encoding::G722),
        queue: Vec::new(),
        channel: String::new(),
        states: Vec::new(),
        told: Vec::new(),
    };
    let authorization = Some("Basic YXN0ZXJpc2s6YXN0ZXJpc2s=");
    bridge.asterisk(asterisk::Input::EventsOpened {
        socket: 1,
        target: "/events?app=voice-agent",
        authorization,
    });
    bridge.realtime(realtime::Input::Opened {
        target: "/v1/realtime?model=gpt-realtime-2.1-mini",
        authorization: Some("Bearer sk-sim"),
        api_key: None,
        beta: false,
    });
    let detection = json!({ "type": "server_vad", "threshold": 0.35, "silence_duration_ms": 500 });
    let session = json!({ "type": "realtime", "audio": { "input": { "turn_detection": detection } } });
    let update = json!({ "type": "session.update", "session": session });
    bridge.realtime(realtime::Input::Message(update.to_string().as_bytes()));

    bridge.asterisk(asterisk::Input::Dial { caller: 1, number: "1", exten: "2", answered: false });
    let media =
        format!("/channels/externalMedia?app=voice-agent&external_host={BRIDGE}&format=slin16&channelId=m");
    bridge.request("POST", &media);
    bridge.request("POST", "/bridges/b?type=mixing");
    let caller = bridge.channel.clone();
    bridge.request("POST", &format!("/bridges/b/addChannel?channel={caller},m"));
    bridge.request("POST", &format!("/channels/{caller}/answer"));
    let speech = bridge.caller.speech().to_vec();
    bridge.asterisk(asterisk::Input::Speak { caller: 1, pcm: &speech });
    bridge.run(12_000);

    let said = Caller::loud_frames_of(&speech, 300);
    let heard = bridge.caller.loud_frames(300);
    assert!(said > 150 && heard.abs_diff(said) <= said / 20, "said {said} loud frames, heard {heard}");
    assert_eq!(bridge.told.iter().filter(|kind| *kind == "response.done").count(), 1, "one turn, one answer");
    bridge.asterisk(asterisk::Input::Hangup { caller: 1 });
    bridge.request("DELETE", "/channels/m");
    bridge.request("DELETE", "/bridges/b");
    assert_eq!(bridge.states, [CallerState::Ringing, CallerState::Answered, CallerState::Gone]);
    assert_eq!((bridge.asterisk.channel_count(), bridge.asterisk.bridge_count()), (0, 0));
}

//! The media path allocates nothing once it is warm: counted, not claimed.
#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without")]
#![expect(
    clippy::disallowed_types,
    reason = "tests run side by side, so each counts what its own thread does"
)]

use ari_bridge_core::call::{self, Call, Input, Origin, Start};
use ari_bridge_core::capture::Log;
use ari_bridge_core::conceal::{Concealer, Fade};
use ari_bridge_core::downlink::{Downlink, Pushed};
use ari_bridge_core::format::{Encoding, MediaFormat, ModelFormat};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, LegId};
use ari_bridge_core::observe::{Observation, RtpDrop};
use ari_bridge_core::realtime::{Dialect, ServerEvent};
use ari_bridge_core::record::{Recorder, Texts};
use ari_bridge_core::rng::Rng;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{CallSettings, MediaPlan};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use ari_bridge_core::uplink::Uplink;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

const WARM_UP_FRAMES: u64 = 100;
const COUNTED_FRAMES: u64 = 1000;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Runs `frame` for the warm-up and then for the count; gives how often the latter allocated.
fn counted(mut frame: impl FnMut(u64)) -> u64 {
    (0..WARM_UP_FRAMES).for_each(&mut frame);
    let before = allocations();
    (WARM_UP_FRAMES..WARM_UP_FRAMES + COUNTED_FRAMES).for_each(&mut frame);
    allocations() - before
}

fn slot(n: u64) -> Instant {
    Instant::START + Duration::from_millis(20 * n)
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(allocations() - before, 1);
}

#[test]
fn the_uplink_allocates_nothing_also_when_packets_are_lost_swapped_and_absent() {
    for encoding in MediaFormat::ALL.map(MediaFormat::from_asterisk) {
        for model in ModelFormat::ALL.into_iter().chain([ModelFormat::Pcm16]) {
            let mut uplink = Uplink::new(encoding, 2.5);
            uplink.start(Instant::START, model);
            let payload = vec![0x2A; encoding.frame_bytes()];
            let (mut datagram, mut out) = (Vec::new(), Vec::new());
            let allocated = counted(|n| {
                // Of every hundred: one lost, two swapped, ten that never were sent, five on hold.
                let sequence = match n % 100 {
                    50 => return,
                    60 => n + 1,
                    61 => n - 1,
                    80..90 => {
                        out.clear();
                        uplink.poll(slot(n), true, &mut out);
                        return;
                    }
                    _ => n,
                };
                uplink.hold(slot(n), (20..25).contains(&(n % 100)));
                let packet = Packet {
                    marker: false,
                    payload_type: encoding.payload_type(),
                    sequence: sequence as u16,
                    timestamp: sequence as u32 * encoding.frame_ticks(),
                    ssrc: 1,
                    payload: &payload,
                };
                datagram.clear();
                packet.write(&mut datagram);
                let received = uplink.receive(slot(n), &datagram);
                assert!(matches!(received, Ok(()) | Err(RtpDrop::Held)), "{received:?}");
                out.clear();
                uplink.poll(slot(n), true, &mut out);
            });
            assert_eq!(allocated, 0, "{encoding:?} to {model:?}");
        }
    }
}

#[test]
fn the_concealer_allocates_nothing_from_its_first_loss_on() {
    for rate in [8_000, 16_000, 24_000] {
        let mut concealer = Concealer::new(rate, Fade::LOSS);
        let mut packet = vec![1000; rate as usize / 50];
        let mut out = Vec::with_capacity(packet.len());
        let before = allocations();
        for n in 0..200 {
            out.clear();
            match n % 10 {
                3 | 6..=9 => concealer.conceal(packet.len(), &mut out),
                _ => concealer.hear(&mut packet),
            }
        }
        assert_eq!(allocations() - before, 0, "{rate}");
    }
}

#[test]
fn the_two_messages_of_the_media_path_are_read_and_written_without_allocating() {
    let mut message = Vec::new();
    let allocated = counted(|_| {
        message.clear();
        Dialect::OpenAi.write_append(&[0x2A; 960], &mut message);
    });
    assert_eq!(allocated, 0, "append");
    let delta = BASE64_STANDARD.encode([0x2A; 9600]);
    let delta = format!(
        r#"{{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_1","item_id":"item_1",
           "output_index":0,"content_index":0,"delta":"{delta}","obfuscation":"abc"}}"#
    );
    let allocated = counted(|_| {
        let event = Dialect::OpenAi.read(delta.as_bytes());
        assert!(matches!(event, Some(ServerEvent::AudioDelta { .. })));
    });
    assert_eq!(allocated, 0, "delta");
}

#[test]
fn the_downlink_allocates_nothing_from_delta_to_datagram() {
    for encoding in [Encoding::G722, Encoding::Pcmu, Encoding::Pcma] {
        let mut downlink = Downlink::new(encoding, Duration::from_millis(40), &mut Rng::new(1));
        downlink.start(Instant::START);
        // 40 ms in every second frame, and a pause in every hundred, so that talkspurts begin and end.
        let delta = BASE64_STANDARD.encode(vec![0x2A; 2 * 960]);
        let (mut datagram, mut sent) = (Vec::with_capacity(1500), 0);
        let allocated = counted(|n| {
            if n % 2 == 0 && n % 100 < 90 {
                let pushed = downlink.push_base64(slot(n), "item_A", 0, delta.as_bytes());
                assert_eq!(pushed, Pushed::Queued);
            }
            datagram.clear();
            sent += u64::from(downlink.poll(slot(n), &mut datagram).is_some());
        });
        assert_eq!(allocated, 0, "{encoding:?}");
        assert!(sent > (WARM_UP_FRAMES + COUNTED_FRAMES) * 9 / 10, "{sent} packets");
    }
}

#[test]
fn the_record_of_a_call_allocates_nothing_for_its_packets() {
    let id = IdPrefix { nonce: InstanceNonce::new(1), call: CallId(1) };
    let mut recorder = Recorder::new(id, UtcNanos(0), &Origin::Arrived { event: b"" }, Texts::Kept);
    let allocated = counted(|n| {
        for observation in [
            Observation::RtpIn,
            Observation::RtpOut,
            Observation::RtpDropped(RtpDrop::Late),
            Observation::RtpLost { packets: 1 },
            Observation::Concealed { millis: 20 },
            Observation::PlayoutLate { slots: 1 },
        ] {
            recorder.observe(slot(n), &observation);
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn the_log_of_a_call_allocates_only_where_it_doubles() {
    let start = Start {
        ids: IdPrefix { nonce: InstanceNonce::new(1), call: CallId(1) },
        seed: 1,
        utc: UtcNanos(0),
        caller_tag: None,
        media: MediaPlan::default(),
        origin: Origin::Arrived { event: br#"{"type":"StasisStart","args":[],"channel":{"id":"1.1"}}"# },
    };
    let (mut out, from) = (call::Actions::new(), "192.0.2.1:4000".parse().expect("an address"));
    let (mut log, mut call, _next) =
        Log::<Call>::begin(&CallSettings::default(), start, Instant::START, 64 << 20, &mut out);
    // The call is set up no further, so what it does with a packet is as little as can be.
    let allocated = counted(|n| {
        out.clear();
        let input = Input::Media { leg: LegId(1), from, bytes: &[0x2A; 652] };
        let _next = log.step(&mut call, slot(n + 1), input, &mut out);
    });
    assert!(log.bytes().len() > 700_000 && !log.is_cut());
    assert!(allocated <= 4, "{allocated} times for {} bytes", log.bytes().len());
}

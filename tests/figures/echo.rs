//! What the echo canceller makes of a hybrid's echo, and of a caller.

use crate::Report;
use crate::tone::decibels;
use ari_bridge_core::echo::EchoCanceller;
use ari_bridge_core::rng::Rng;
use ari_bridge_tests::wire;

const SECONDS: usize = 16;

/// From when on the figures of the steady state are taken, in seconds.
const SETTLED: usize = 5;

/// A line with an echo, at its rate.
struct Line {
    rate: usize,
    far: Vec<i16>,
    near: Vec<i16>,
    /// What the caller's side sends: echo, caller and noise.
    sent: Vec<i16>,
    echo: Vec<i16>,
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len().max(1) as f64 + 1e-6
}

/// The impulse response of a dispersive hybrid, made for this: a burst of 7 ms whose frequency falls.
fn hybrid(rate: usize) -> Vec<f64> {
    (0..rate * 7 / 1000)
        .map(|n| {
            let ms = n as f64 * 1000.0 / rate as f64;
            let envelope = ms.powf(1.2) * (-1.1 * ms).exp();
            envelope * ((2.2 * ms + 0.4).cos() + 0.7 * (6.1 * ms + 0.3 * ms * ms).sin())
        })
        .collect()
}

impl Line {
    /// The agent's voice comes back so much weaker after 60 ms; the caller speaks from the given second on.
    fn new(rate: usize, return_loss_db: f64, caller_from: Option<usize>) -> Self {
        let far = wire::voice(3, rate as u32, SECONDS as u32);
        let mut near = vec![0; far.len()];
        if let Some(from) = caller_from {
            let speech = wire::voice(8, rate as u32, SECONDS as u32);
            near[from * rate..].copy_from_slice(&speech[from * rate..]);
        }
        let (response, delay) = (hybrid(rate), rate * 60 / 1000);
        let raw: Vec<f64> = (0..far.len())
            .map(|n| {
                let reflected = response.iter().enumerate().filter(|(k, _)| n >= delay + k);
                reflected.map(|(k, tap)| tap * f64::from(far[n - delay - k])).sum()
            })
            .collect();
        let raw_power = raw.iter().map(|v| v * v).sum::<f64>() / raw.len() as f64;
        let gain = (power(&far) / raw_power).sqrt() * 10.0_f64.powf(-return_loss_db / 20.0);
        let echo: Vec<i16> = raw.iter().map(|v| (v * gain).round() as i16).collect();
        let mut rng = Rng::new(9);
        let sent = echo.iter().zip(&near).map(|(&echo, &near)| {
            // Noise at -75 dBFS: at -60 an echo that is 25 dB down would be no more than 13 dB above it.
            let noise = rng.below(21) as i32 - 10;
            (i32::from(echo) + i32::from(near) + noise).clamp(-32_768, 32_767) as i16
        });
        let sent = sent.collect();
        Self { rate, far, near, sent, echo }
    }

    /// What the canceller makes of it, frame by frame, moved back by its delay.
    fn cancelled(&self) -> Vec<i16> {
        let mut canceller = EchoCanceller::new(self.rate as u32);
        let frame = self.rate / 50;
        let mut out = Vec::new();
        for (far, sent) in self.far.chunks(frame).zip(self.sent.chunks(frame)) {
            canceller.played(far);
            canceller.cancel(sent, &mut out);
        }
        let delay = (canceller.delay().as_micros() as usize * self.rate / 1_000_000).min(out.len());
        out.drain(..delay);
        out
    }
}

/// By how many dB the echo is weaker than it was, from one second to another.
fn enhancement(line: &Line, out: &[i16], from: usize, to: usize) -> f64 {
    let end = (to * line.rate).min(out.len());
    decibels((power(&line.echo[from * line.rate..end]) / power(&out[from * line.rate..end])).sqrt())
}

/// The share of the caller's frames that lose more than 6 dB, in percent.
fn chopped(line: &Line, out: &[i16], from: usize) -> f64 {
    let frame = line.rate / 50;
    let pairs =
        line.near[from * line.rate..].chunks_exact(frame).zip(out[from * line.rate..].chunks_exact(frame));
    let loud: Vec<bool> = pairs
        .filter(|(near, _)| power(near) > 300.0 * 300.0)
        .map(|(near, out)| power(out) < power(near) / 4.0)
        .collect();
    100.0 * loud.iter().filter(|&&is_short| is_short).count() as f64 / loud.len().max(1) as f64
}

pub(crate) fn measure(report: &mut Report) {
    for rate in [8_000, 16_000] {
        report.title(&format!("Echo canceller at {rate} Hz: hybrid echo after 60 ms, noise at -75 dBFS"));
        for return_loss in [10.0, 15.0, 25.0] {
            let line = Line::new(rate, return_loss, None);
            let out = line.cancelled();
            let name = |what: &str| format!("echo at -{return_loss} dB: {what}");
            report.figure(
                &name("weaker in the first second"),
                enhancement(&line, &out, 0, 1),
                "dB",
                "",
                true,
            );
            report.at_least(
                &name("weaker from then on"),
                enhancement(&line, &out, SETTLED, SECONDS),
                "dB",
                15.0,
            );
            let both = Line::new(rate, return_loss, Some(SETTLED));
            let short = chopped(&both, &both.cancelled(), SETTLED + 1);
            report.at_most(&name("caller's frames that lose 6 dB in double talk"), short, "%", 15.0);
        }
        let mut alone = Line::new(rate, 10.0, Some(0));
        alone.sent.clone_from(&alone.near);
        alone.far.fill(0);
        let out = alone.cancelled();
        let level = decibels((power(&out) / power(&alone.near[..out.len()])).sqrt());
        report.at_most("a caller alone, the agent silent: change of level", level.abs(), "dB", 0.5);
        report.at_most("a caller alone: frames that lose 6 dB", chopped(&alone, &out, 0), "%", 1.0);
    }
}

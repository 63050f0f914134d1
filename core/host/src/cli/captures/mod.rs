//! What the command line does with captures.

mod files;
mod output;
mod replay;
mod view;

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands.
#[derive(Subcommand)]
pub(super) enum CaptureCommand {
    /// Replay captures: does this program still do what was done then?
    #[command(after_help = "\
A capture holds what a call was given and what it did. A replay gives it the same again and \
compares. The first difference is shown with both actions and the steps around it, and the exit \
code is 1.

Examples:
  replay captures/               all of a folder
  replay --explain captures/     with the program of an upgrade: what would change?
  replay --timings call.capture  where the time went")]
    Replay(ReplayArgs),
    /// Show a capture as a log, or as lines of JSON
    #[command(after_help = "\
Each line is a moment in seconds, the number of the step, and what came; below it, behind an \
arrow, what was done. What comes many times a second (packets, timers, pieces of audio) is \
counted, unless --each is given.

Examples:
  show call.capture                what happened
  show --follow call.capture.part  what is happening, while it is being written
  show --json call.capture | jq -c 'select(.gave != [] and .gave != null)'")]
    Show(ShowArgs),
    /// Make a WAV file of a capture: left the caller, right what was really sent to the caller
    Wav(FileArgs),
    /// Make a packet capture of a capture, for Wireshark: the RTP, and the messages as packets of their own
    #[command(after_help = "\
In Wireshark, Telephony > RTP > RTP Streams plays and analyses the audio; the messages are trees of JSON.")]
    Pcap(FileArgs),
    /// Take people out of a capture: voices become tones, words filler, numbers others
    #[command(after_help = "\
Timing, sizes and structure stay, so that a scrubbed capture still replays and can be given away \
or kept as a test. It fails if the call would then have done something else.")]
    Scrub(FileArgs),
    /// Make a page of a capture that a browser shows: waveforms, turns, events and latencies on one time axis
    Report(FileArgs),
}

/// What `replay` takes.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// Captures, or folders of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Say where the time went: set-up, answers, requests
    #[arg(long)]
    timings: bool,
    /// Go on after the first difference, and say which actions have changed, grouped
    #[arg(long)]
    explain: bool,
}

/// What `show` takes.
#[derive(Args)]
pub(super) struct ShowArgs {
    /// The capture
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// A line of JSON for each input, with its message and what was done
    #[arg(long)]
    json: bool,
    /// A line for each packet, timer and piece of audio
    #[arg(long)]
    each: bool,
    /// The messages in full
    #[arg(long)]
    messages: bool,
    /// Go on while it is being written, until it is complete
    #[arg(long)]
    follow: bool,
}

/// What makes one file of another.
#[derive(Args)]
pub(super) struct FileArgs {
    /// The capture
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Where to write; by default beside the capture
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// Does it. The error is what went wrong, in lines.
pub(super) fn run(command: CaptureCommand) -> Result<u8, String> {
    match command {
        CaptureCommand::Replay(args) => replay::replay(&args),
        CaptureCommand::Show(args) => view::show(&args),
        CaptureCommand::Wav(FileArgs { path, out }) => output::wav(&path, out),
        CaptureCommand::Pcap(FileArgs { path, out }) => output::pcap(&path, out),
        CaptureCommand::Scrub(FileArgs { path, out }) => output::scrub(&path, out),
        CaptureCommand::Report(FileArgs { path, out }) => output::report(&path, out),
    }
}

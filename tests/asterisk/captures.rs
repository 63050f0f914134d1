//! Captures of the scenarios: each is replayed when its scenario is over, and one of each can be kept.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use ari_bridge_core::capture::Kind;
use ari_bridge_core::replay::{Replayed, replay};
use ari_bridge_core::tools::scrub::scrub;
use ari_bridge_host::recorder;

use crate::World;
use crate::bridge::binary;
use crate::process::Outcome;

/// The most that a capture may have in bytes to be kept: tests replay it on every run.
const MOST_BYTES: usize = 2 << 20;

/// Scenarios of which what the switchboard saw tells more than any call.
const OF_THE_SWITCHBOARD: [&str; 5] = ["ports", "two-bridges", "reload", "ari-half-open", "crash-fallback"];

/// The name of a scenario, as a file may have it.
fn short(scenario: &str) -> &str {
    scenario.split(':').next().unwrap_or(scenario)
}

/// Gives the bridges of a scenario an empty folder for their captures.
pub(crate) fn begin(world: &World, scenario: &str) -> Outcome<()> {
    let folder = world.work.join("captures").join(short(scenario));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    world.captures.replace(folder);
    Ok(())
}

fn of(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(&*world.captures.borrow()).into_iter().flatten();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| recorder::is_capture(path));
    paths.sort();
    paths
}

/// Lets the bridge replay what it has captured, and says how many captures there were, in a line of its own.
pub(crate) fn replayed(world: &World) -> Outcome<String> {
    let paths = of(world);
    if paths.is_empty() {
        return Ok(String::new());
    }
    let replay = Command::new(binary()?).arg("replay").args(&paths).env_clear().output();
    let replay = replay.map_err(|e| format!("replay: {e}"))?;
    let said = String::from_utf8_lossy(&replay.stdout);
    if !replay.status.success() {
        return Err(format!("a replay is another one:\n{said}{}", String::from_utf8_lossy(&replay.stderr)));
    }
    Ok(format!("\n{} captures are replayed and do the same", paths.len()))
}

/// Keeps a scrubbed capture of the scenario, if that is wanted: of a call that ended badly if there is one, else of the one
/// in which most happened.
pub(crate) fn keep(world: &World) -> Outcome<()> {
    let Some(folder) = std::env::var_os("ARI_BRIDGE_KEEP_CAPTURES").filter(|folder| !folder.is_empty())
    else {
        return Ok(());
    };
    let name = world.captures.borrow().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wanted = if OF_THE_SWITCHBOARD.contains(&&*name) { Kind::Switchboard } else { Kind::Call };
    let mut best: Option<((bool, usize), Vec<u8>)> = None;
    for path in of(world) {
        let capture = read(&path)?;
        let replayed = replay(&capture).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let worth = (ended_badly(&replayed), capture.len());
        let is_better = best.as_ref().is_none_or(|(most, _)| worth > *most);
        if replayed.machine == wanted && capture.len() <= MOST_BYTES && is_better {
            best = Some((worth, capture));
        }
    }
    let Some((_, capture)) = best else { return Ok(()) };
    let mut scrubbed = Vec::new();
    scrub(capture.as_slice(), &mut scrubbed).map_err(|fault| format!("the capture of {name}: {fault}"))?;
    let path = Path::new(&folder).join(format!("{name}.capture"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, recorder::compress(&scrubbed)?))
        .map_err(|e| format!("{}: {e}", path.display()))
}

fn ended_badly(replayed: &Replayed) -> bool {
    replayed.outcome.is_none_or(|outcome| outcome.is_bad())
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    let mut capture = Vec::new();
    let read = recorder::open_file(path).and_then(|mut file| file.read_to_end(&mut capture));
    read.map(|_| capture).map_err(|e| e.to_string())
}

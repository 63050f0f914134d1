//! The walls of the architecture, held by tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules of the core by ring. A module uses its own ring and those below, never one above.
const RINGS: [&[&str]; 5] = [
    &["actions", "fault", "format", "id", "observe", "outcome", "rng", "settings", "time", "uri", "wake"],
    &["ari", "g711", "json", "pcm", "realtime", "rtp", "wav"],
    &[
        "codec",
        "conceal",
        "downlink",
        "echo",
        "jitter",
        "meter",
        "playout",
        "ports",
        "resample",
        "transcript",
        "uplink",
    ],
    &["call", "holding", "switchboard"],
    &["admin", "capture", "check", "config", "http", "metrics", "record", "replay", "sim", "tools"],
];

/// What the core may stand on, directly. The list is the proof that it is pure: nothing in it brings a
/// runtime, a socket or a clock along.
const CORE_DEPENDENCIES: [&str; 10] = [
    "base64",
    "hound",
    "httparse",
    "prometheus-client",
    "rubato",
    "serde",
    "serde_json",
    "sonora-aec3",
    "sonora-simd",
    "twox-hash",
];

/// Crates that open sockets, run tasks, read clocks or roll dice, and that must not come in by a back door.
const AMBIENT: [&str; 22] = [
    "async-executor",
    "async-io",
    "async-net",
    "async-tungstenite",
    "chrono",
    "fastrand",
    "futures-executor",
    "getrandom",
    "hyper",
    "mio",
    "polling",
    "rand",
    "reqwest",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tracing",
    "tungstenite",
    "ureq",
];

const LONGEST_FILE_LINES: usize = 600;

/// What a target does stands in the library of the tests, where the ordinary tests reach it too.
const LONGEST_TARGET_LINES: usize = 8;

/// What a runtime is made of: sockets, timers, tasks and signals, and nothing else.
const THICKEST_RUNTIME_LINES: usize = 1000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

/// The source without comments and without what only tests see.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn cargo_tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "-p",
            package,
            "-e",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_core_depends_on_nothing_ambient() {
    let tree = cargo_tree("ari-bridge-core");
    assert!(tree.contains("rubato"), "the tree was read: {tree:?}");
    let ambient: Vec<_> = AMBIENT.iter().filter(|name| tree.contains(**name)).collect();
    assert!(ambient.is_empty(), "the core reaches the ambient world through {ambient:?}");
}

#[test]
fn the_core_names_only_the_dependencies_that_were_agreed_on() {
    let manifest = fs::read_to_string(root().join("core/Cargo.toml")).expect("the manifest");
    assert_eq!(dependencies(&manifest), CORE_DEPENDENCIES);
}

/// What a manifest names as dependencies.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section =
        manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).expect("a section");
    section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|n| !n.is_empty()).collect()
}

#[test]
fn a_fuzz_target_is_a_few_lines_over_the_tests_and_nobody_depends_on_it() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest");
    assert_eq!(dependencies(&manifest), ["ari-bridge-tests", "libfuzzer-sys"]);
    for path in rust_files(&root().join("fuzz")) {
        let lines = fs::read_to_string(&path).expect("a source file").lines().count();
        assert!(lines <= LONGEST_TARGET_LINES, "{} has {lines} lines", path.display());
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    assert!(!lock.contains("libfuzzer"), "the workspace builds libFuzzer");
}

#[test]
fn what_the_runtimes_share_brings_no_runtime() {
    let tree = cargo_tree("ari-bridge-host");
    assert!(tree.contains("ureq") && !tree.contains("aws-lc-sys"), "{tree:?}");
    let runtimes = ["async-executor", "async-io", "smol", "tokio"];
    let brought: Vec<_> = runtimes.iter().filter(|name| tree.contains(**name)).collect();
    assert!(brought.is_empty(), "{brought:?}");
}

#[test]
fn a_runtime_brings_no_other_runtime() {
    for (package, own, other) in [("ari-bridge-smol", "smol", "tokio"), ("ari-bridge-tokio", "tokio", "smol")]
    {
        let tree = cargo_tree(package);
        assert!(tree.contains(own) && !tree.contains(other), "{tree:?}");
        assert!(!tree.contains(&format!("ari-bridge-{other}")), "{tree:?}");
    }
}

#[test]
fn a_runtime_is_thin() {
    for package in ["runtime-smol", "runtime-tokio"] {
        let files = rust_files(&root().join(package).join("src"));
        let shipped = files.iter().map(|path| {
            let text = fs::read_to_string(path).expect("a source file");
            text.split("#[cfg(test)]").next().unwrap_or_default().lines().count()
        });
        let lines: usize = shipped.sum();
        assert!(
            lines <= THICKEST_RUNTIME_LINES,
            "{package} has {lines} lines: what both do alike is core's or host's"
        );
    }
}

#[test]
fn a_ring_uses_only_rings_below_it() {
    let ring_of = |module: &str| RINGS.iter().position(|ring| ring.contains(&module));
    let src = root().join("core/src");
    let mut seen = BTreeSet::new();
    for path in rust_files(&src) {
        let inside = path.strip_prefix(&src).expect("below src");
        let top =
            inside.components().next().expect("a name").as_os_str().to_string_lossy().replace(".rs", "");
        let tests_only = path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains("tests"));
        if top == "lib" || tests_only {
            continue;
        }
        let ring = ring_of(&top).unwrap_or_else(|| panic!("module {top} stands in no ring"));
        seen.insert(top);
        for used in code(&path).split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(other) = ring_of(&name) {
                assert!(other <= ring, "{} (ring {ring}) uses {name} (ring {other})", inside.display());
            }
        }
    }
    assert_eq!(
        seen.len(),
        RINGS.iter().map(|ring| ring.len()).sum::<usize>(),
        "a listed module is missing: {seen:?}"
    );
}

#[test]
fn no_file_is_longer_than_a_reader_s_patience() {
    for package in ["core", "runtime-smol", "runtime-tokio", "tests"] {
        for path in rust_files(&root().join(package)) {
            let lines = fs::read_to_string(&path).expect("a source file").lines().count();
            assert!(lines <= LONGEST_FILE_LINES, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn the_readme_s_table_is_the_table_of_the_variables() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let table = ari_bridge_core::config::markdown_table();
    assert!(readme.contains(table.trim()), "the README should contain this table:\n{table}");
}

//! The corpus of the fuzz targets, replayed without libFuzzer. fuzz/README.md says where it comes from.

use ari_bridge_tests::fuzz::TARGETS;
use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// How much of the corpus is committed at most, in bytes, so that a clone of the project stays small.
const MAX_CORPUS_BYTES: usize = 1_500_000;

/// The most files of a target.
const MAX_FILES: usize = 200;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("fuzz")
}

/// The entries of a folder, by their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    entries
}

/// What the names of some entries are without their endings.
fn stems(entries: &[PathBuf]) -> BTreeSet<String> {
    entries.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
}

#[test]
fn every_target_has_a_function_and_a_corpus() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(known.len(), TARGETS.len());
    assert_eq!(stems(&entries(&folder().join("targets"))), known);
    assert_eq!(stems(&entries(&folder().join("corpus"))), known);
}

#[test]
fn the_corpus_of_every_target_is_lived_through() {
    let (mut bytes, mut broken) = (0, Vec::new());
    for (name, target) in TARGETS {
        let files = entries(&folder().join("corpus").join(name));
        assert!(!files.is_empty() && files.len() <= MAX_FILES, "{name} has {} inputs", files.len());
        for path in files {
            let input = fs::read(&path).expect("an input");
            bytes += input.len();
            if catch_unwind(|| target(&input)).is_err() {
                broken.push(path.strip_prefix(folder()).expect("it lies there").display().to_string());
            }
        }
    }
    assert!(broken.is_empty(), "what panicked above are these, in this order: {broken:#?}");
    assert!(
        bytes <= MAX_CORPUS_BYTES,
        "the corpus has {bytes} bytes; `fuzz/run.sh minimise` makes it smaller"
    );
}

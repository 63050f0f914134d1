//! Where captures are on disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::recorder;

/// The captures that are meant: files as they are, and of folders the captures in them and below them.
pub(super) fn captures(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            within(path, &mut found)?;
            if found.len() == before {
                return Err(format!(
                    "{}: no capture is in this folder (their names end in .capture)",
                    path.display()
                ));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn within(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.path(), entry.file_type().map_err(failed)?));
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (path, kind) in entries {
        // A link could lead round in a circle.
        if kind.is_dir() {
            within(&path, found)?;
        } else if recorder::is_capture(&path) {
            found.push(path);
        }
    }
    Ok(())
}

//! `load_definitions`: files of definitions that are imported at every start, before clients are let in.

use std::io;
use std::path::{Path, PathBuf};

use leveret_core::admin::{Acting, Admin};
use leveret_management::definitions::{ImportError, Malformed, import};

use crate::server::ServerError;

/// Imports a file, or the files of a folder in the order of their names.
///
/// # Errors
/// [`ServerError`] with the file and what is wrong with it; what was imported before stays.
pub fn load_definitions(admin: &dyn Admin, path: &Path) -> Result<(), ServerError> {
    let files = files(path).map_err(ServerError::system(format!("read {}", path.display())))?;
    for file in files {
        let shown = file.display();
        let text = std::fs::read(&file).map_err(ServerError::system(format!("read {shown}")))?;
        let imported = import(admin, Acting::Owner, &text, None).map_err(|error| {
            let place = match &error {
                ImportError::Malformed(Malformed::NotJson { reason }) => format!(": {reason}"),
                _ => String::new(),
            };
            ServerError::Setting(format!("the definitions in {shown} cannot be imported: {error}{place}"))
        })?;
        for warning in &imported.warnings {
            tracing::warn!("definitions in {shown}: {warning}");
        }
        let counts: Vec<String> =
            imported.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        tracing::info!("definitions in {shown}: imported {}", counts.join(", "));
    }
    Ok(())
}

/// Hidden files are none: a folder that Kubernetes mounts has some of its own.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

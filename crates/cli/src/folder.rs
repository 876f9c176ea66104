//! Folders that files are put into.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Whether a folder takes files, found out before one is to be put there: one is made and removed again.
pub(crate) fn takes_files(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".metered-{:016x}.part", fastrand::u64(..)));
    OpenOptions::new().write(true).create_new(true).open(&probe)?;
    std::fs::remove_file(&probe)
}

//! The file that is sent: read in pieces, hashed before it is offered.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio::io::AsyncSeekExt;

use super::error::FileError;

/// Bytes that are read at once for hashing.
const PIECE: usize = 256 * 1024;

/// Hashes what a reader gives, at most `limit` bytes; answers the hasher and how many there were.
pub(super) fn hash(mut from: impl Read, limit: u64) -> io::Result<(Sha256, u64)> {
    let (mut hasher, mut piece, mut done) = (Sha256::new(), vec![0; PIECE], 0);
    let mut from = from.by_ref().take(limit);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok((hasher, done));
        }
        hasher.update(&piece[..read]);
        done += read as u64;
    }
}

pub(super) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs what blocks beside the runtime's tasks.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A file that was hashed.
#[derive(Clone, Debug)]
pub(super) struct Source {
    path: PathBuf,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    modified: Option<SystemTime>,
}

impl Source {
    pub(super) async fn open(path: PathBuf) -> Result<Self, FileError> {
        let found = path.clone();
        let meta =
            blocking(move || std::fs::metadata(found)).await.map_err(FileError::Unreadable)?;
        if !meta.is_file() {
            return Err(FileError::NotAFile);
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let opened = path.clone();
        let hashed = blocking(move || hash(File::open(opened)?, u64::MAX)).await;
        let (hasher, size) = hashed.map_err(FileError::Unreadable)?;
        if size != meta.len() {
            return Err(FileError::Changed);
        }
        let modified = meta.modified().ok();
        Ok(Self { path, name: name.unwrap_or_default(), size, sha256: hex(hasher), modified })
    }

    /// The hash of the first bytes.
    pub(super) async fn hash_of_first(&self, bytes: u64) -> Result<String, FileError> {
        let path = self.path.clone();
        let hashed = blocking(move || hash(File::open(path)?, bytes)).await;
        hashed.map(|(hasher, _)| hex(hasher)).map_err(FileError::Unreadable)
    }

    pub(super) async fn reader(&self, offset: u64) -> Result<tokio::fs::File, FileError> {
        let mut file = tokio::fs::File::open(&self.path).await.map_err(FileError::Unreadable)?;
        file.seek(io::SeekFrom::Start(offset)).await.map_err(FileError::Unreadable)?;
        Ok(file)
    }

    /// Whether it still looks as when it was hashed.
    pub(super) async fn check(&self) -> Result<(), FileError> {
        let meta = tokio::fs::metadata(&self.path).await.map_err(FileError::Unreadable)?;
        match meta.len() == self.size && meta.modified().ok() == self.modified {
            true => Ok(()),
            false => Err(FileError::Changed),
        }
    }
}

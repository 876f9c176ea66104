//! What the receiver puts on the disk: a part while it comes, the file when it is whole.
//!
//! The part is called after the file and its hash, and locked while it is written, so that two receivers in
//! one folder do not meet in it. Only a whole and verified file gets its name, at once and over nobody
//! else's unless that is wanted.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::protocol::Offer;
use super::source::{blocking, hash, hex};
use crate::folder::takes_files;
use crate::names::{numbered, safe};

/// Digits of the hash in a part's name: enough to tell files apart.
const HASH_CHARS: usize = 16;
/// Names that are tried before the folder counts as full of them.
const MAX_NUMBER: u32 = 10_000;

/// A folder for files that come.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) folder: PathBuf,
    pub(super) overwrite: bool,
}

/// A file that comes.
pub(super) struct Part {
    file: tokio::fs::File,
    path: PathBuf,
    folder: PathBuf,
    name: String,
    overwrite: bool,
    hasher: Sha256,
    written: u64,
}

impl Store {
    /// Whether files can be put here.
    pub(super) async fn check(&self) -> io::Result<()> {
        let folder = self.folder.clone();
        blocking(move || {
            takes_files(&folder)?;
            sync_folder(&folder)
        })
        .await
    }

    /// The part of an offered file, with what is held of it; `None` if another process has it.
    pub(super) async fn part(&self, offer: &Offer) -> io::Result<Option<Part>> {
        let name = safe(&offer.name);
        let path = self.folder.join(format!("{name}.{}.part", &offer.sha256[..HASH_CHARS]));
        let (found, size) = (path.clone(), offer.size);
        let opened = blocking(move || open(&found, size)).await?;
        let Some((file, hasher, written)) = opened else { return Ok(None) };
        Ok(Some(Part {
            file: tokio::fs::File::from_std(file),
            path,
            folder: self.folder.clone(),
            name,
            overwrite: self.overwrite,
            hasher,
            written,
        }))
    }
}

fn open(path: &Path, size: u64) -> io::Result<Option<(File, Sha256, u64)>> {
    // Nothing but a file of ours is written to: no link, no device.
    if path.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the part's name is taken"));
    }
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // A file system without locks has none to respect.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0 {
        // Whoever had it has just removed it.
        return Ok(None);
    }
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    let (hasher, written) = hash(&file, u64::MAX)?;
    file.seek(SeekFrom::Start(written))?;
    Ok(Some((file, hasher, written)))
}

impl Part {
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The hash of what is held.
    pub(super) fn sha256(&self) -> String {
        hex(self.hasher.clone())
    }

    /// Forgets what is held.
    pub(super) async fn restart(&mut self) -> io::Result<()> {
        use tokio::io::AsyncSeekExt;
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.hasher = Sha256::new();
        self.written = 0;
        Ok(())
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Keeps what is held for another attempt, unless it is nothing.
    pub(super) async fn keep(mut self) -> io::Result<()> {
        self.file.flush().await?;
        if self.written == 0 { self.discard().await } else { Ok(()) }
    }

    pub(super) async fn discard(self) -> io::Result<()> {
        tokio::fs::remove_file(&self.path).await
    }

    /// Gives the file its name, when all of it is on the disk; answers where it is.
    pub(super) async fn finish(mut self) -> io::Result<PathBuf> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        blocking(move || {
            let placed = match self.overwrite {
                true => {
                    let target = self.folder.join(&self.name);
                    std::fs::rename(&self.path, &target)?;
                    target
                }
                false => place(&self.path, &self.folder, &self.name)?,
            };
            sync_folder(&self.folder)?;
            Ok(placed)
        })
        .await
    }
}

/// Moves the part to the first free name.
fn place(part: &Path, folder: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 1..MAX_NUMBER {
        let chosen = if number == 1 { name.to_owned() } else { numbered(name, number) };
        let target = folder.join(chosen);
        // A link, unlike a rename, never takes a name that somebody has.
        match std::fs::hard_link(part, &target) {
            Ok(()) => {
                std::fs::remove_file(part)?;
                return Ok(target);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // No links here: the name is taken by an empty file first.
            Err(_) => match OpenOptions::new().write(true).create_new(true).open(&target) {
                Ok(_) => {
                    std::fs::rename(part, &target)?;
                    return Ok(target);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            },
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no name is free"))
}

/// A name is on the disk when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, content: &[u8]) -> Offer {
        let (hasher, size) = hash(content, u64::MAX).unwrap();
        Offer { transfer: "t".into(), name: name.into(), size, sha256: hex(hasher) }
    }

    #[tokio::test]
    async fn a_part_is_taken_up_again_and_becomes_the_file_under_a_free_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().to_owned(), overwrite: false };
        std::fs::write(folder.path().join("a.txt"), "mine").unwrap();
        let offer = offer("a.txt", b"hello world");
        let mut part = store.part(&offer).await.unwrap().unwrap();
        part.write(b"hello ").await.unwrap();
        assert!(store.part(&offer).await.unwrap().is_none(), "it is locked");
        part.keep().await.unwrap();
        let mut part = store.part(&offer).await.unwrap().unwrap();
        assert_eq!((part.written(), part.sha256()), (6, offer_hash(b"hello ")));
        part.write(b"world").await.unwrap();
        assert_eq!(part.sha256(), offer.sha256);
        let path = part.finish().await.unwrap();
        assert_eq!(path, folder.path().join("a (2).txt"));
        assert_eq!(std::fs::read(path).unwrap(), b"hello world");
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    fn offer_hash(content: &[u8]) -> String {
        offer("", content).sha256
    }

    #[tokio::test]
    async fn nothing_stays_of_a_part_without_content_and_overwriting_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().to_owned(), overwrite: true };
        let offer = offer("a", b"");
        store.part(&offer).await.unwrap().unwrap().keep().await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(folder.path().join("a"), "old").unwrap();
        store.part(&offer).await.unwrap().unwrap().finish().await.unwrap();
        assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"");
    }

    #[tokio::test]
    async fn a_folder_that_takes_files_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store { folder: folder.path().to_owned(), overwrite: false };
        store.check().await.unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        store.folder.push("nowhere");
        assert!(store.check().await.is_err());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_in_the_parts_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().to_owned(), overwrite: false };
        let offer = offer("a", b"x");
        let part = folder.path().join(format!("a.{}.part", &offer.sha256[..HASH_CHARS]));
        std::os::unix::fs::symlink("/dev/null", part).unwrap();
        assert!(store.part(&offer).await.is_err());
    }
}

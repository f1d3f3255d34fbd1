//! A file that takes all the room there is.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::Failure;

/// The room that a file system gives is counted in pieces of so many bytes.
const PAGE: usize = 4_096;

pub(crate) struct Filler {
    path: PathBuf,
    file: File,
}

impl Filler {
    /// Whether a file system may be mounted here: one is, in a namespace of its own, and is gone with it.
    pub(crate) fn can_mount() -> Result<(), String> {
        let mount = ["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/tmp"];
        let tried = Command::new("unshare").args(mount).output().map_err(|error| format!("unshare: {error}"))?;
        match tried.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
        }
    }

    pub(crate) fn new(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("filler");
        let file = File::create(&path).map_err(Failure::because("make a file that fills a disk"))?;
        Ok(Self { path, file })
    }

    /// Takes what room there is, again and again: others give some back.
    pub(crate) fn fill(&mut self) -> Result<(), Failure> {
        for piece in [256 * PAGE, PAGE] {
            let piece = vec![0; piece];
            loop {
                match self.file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(Failure::because("fill a disk")(error)),
                }
            }
        }
        Ok(())
    }

    /// Gives all of it back.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        fs::remove_file(&self.path).map_err(Failure::because("remove the file that fills a disk"))
    }
}

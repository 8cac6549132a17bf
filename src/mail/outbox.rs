//! A directory instead of a mail server: each mail becomes a file, `<Message-ID>.eml`, as mail programs open it.
//!
//! A mail that is handed over again replaces its file, so that none is there twice.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::MailError;

/// Puts a mail of several pieces into a directory, durably and whole or not at all. Its path.
pub(super) async fn put(
    directory: PathBuf,
    name: String,
    pieces: [Vec<u8>; 2],
) -> Result<PathBuf, MailError> {
    blocking(directory, move |directory| {
        make(directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(".export-room-")
            .suffix(".part")
            .tempfile_in(directory)?;
        for piece in &pieces {
            file.write_all(piece)?;
        }
        file.as_file().sync_all()?;
        let path = directory.join(name);
        file.persist(&path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()?;
        Ok(path)
    })
    .await
}

/// Whether mails can be put into a directory.
pub(super) async fn check(directory: PathBuf) -> Result<(), MailError> {
    blocking(directory, |directory| {
        make(directory)?;
        tempfile::tempfile_in(directory).map(drop)
    })
    .await
}

/// Mails are for their recipients only.
fn make(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

async fn blocking<T: Send + 'static>(
    directory: PathBuf,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, MailError> {
    let shown = directory.display().to_string();
    let done = tokio::task::spawn_blocking(move || work(&directory)).await;
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(MailError::Later(format!(
            "cannot write to {shown}: {error}"
        ))),
        Err(error) => Err(MailError::Later(format!(
            "writing to {shown} stopped: {error}"
        ))),
    }
}

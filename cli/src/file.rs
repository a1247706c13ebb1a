//! Files that the user names, read whole: regular ones of a bounded size, so that no device or pipe is read for ever.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::error::Error;

/// More than any image or tree has, bytes.
const LIMIT: u64 = 1 << 30;

/// Reads a file.
///
/// # Errors
/// It cannot be read, is not a regular file or exceeds 1 GiB.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    bounded(path).map_err(|error| Error::file("read", path, &error))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: opening a pipe waits for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 GiB",
        ));
    }
    Ok(bytes)
}

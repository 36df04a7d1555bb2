//! Output files that appear whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `content` to a temporary file beside `path` and renames it there, so that a reader never sees half of it.
/// A link is followed; what isn't a regular file (`/dev/null`, a named pipe) is written to directly.
///
/// # Errors
/// Whatever the file system reports; nothing is left behind then.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let device = fs::OpenOptions::new().write(true).open(path);
        return device.and_then(|mut device| device.write_all(content)).map_err(refused);
    }
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let temporary = temporary_name(&target)?;
    let written = fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        // the first error is the one to report; the file may not exist at all
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(refused)
}

/// Checks that [`write_whole`] can work at `path`: to be called before long work whose result goes there.
/// The file itself is neither made nor changed.
///
/// # Errors
/// What stands in the way: a missing or read-only folder, a folder in the file's place.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "this is a directory; a file is expected",
            ));
        }
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        _ => {}
    }
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let temporary = temporary_name(&target)?;
    fs::write(&temporary, b"").and_then(|()| fs::remove_file(&temporary)).map_err(refused)
}

/// The words that readers have for their files.
fn refused(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot be written ({error}); a writable file is expected"))
}

fn temporary_name(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "this is a directory; a file is expected")
    })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(target.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_remains() {
        let folder = std::env::temp_dir().join(format!("gradus-write-whole-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.csv");
        check_writable(&path).unwrap();
        assert!(!path.exists());
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(write_whole(&folder, b"x").is_err());
        assert!(check_writable(&folder).is_err());
        assert!(check_writable(&folder.join("missing/a.csv")).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}

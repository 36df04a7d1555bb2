//! Opening input: a path or standard input, plain or compressed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use memmap2::Mmap;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::ReadError;

/// Default cap on the bytes that a compressed file, a pipe or standard input may yield: 8 GiB.
///
/// A few kilobytes of compressed data can stand for terabytes; the cap turns such a file into an error before memory
/// runs out. Plain files are mapped, not copied, and have no cap.
pub const MAX_BYTES: u64 = 8 << 30;

/// The bytes of an input, decompressed, and the name to use in messages.
#[derive(Debug)]
pub struct Source {
    name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Source {
    /// Opens a path, or standard input for `-`, with the cap [`MAX_BYTES`].
    ///
    /// Names ending in `.gz`, `.xz` or `.zst` are decompressed; standard input is decompressed by its first bytes.
    /// A plain file is mapped into memory: it must not be changed while the source lives.
    ///
    /// # Errors
    /// A missing file, a directory, an input without a byte, a damaged or truncated compressed stream, more bytes
    /// than the cap.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::open_with_limit(path, MAX_BYTES)
    }

    /// As [`Source::open`], with another cap on the bytes after decompression.
    pub fn open_with_limit(path: impl AsRef<Path>, max_bytes: u64) -> Result<Self, ReadError> {
        let path = path.as_ref();
        if path.as_os_str() == "-" {
            let name = "standard input".to_string();
            let raw = collect(&mut io::stdin().lock(), &name, max_bytes, |e| unreadable(&name, &e))?;
            return Self::from_bytes(raw, &name, max_bytes);
        }
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(|e| unreadable(&name, &e))?;
        let metadata = file.metadata().map_err(|e| unreadable(&name, &e))?;
        if metadata.is_dir() {
            return Err(ReadError::whole(&name, "this is a directory", "a file is expected"));
        }
        let compression = compression_by_name(&name);
        let raw = if metadata.is_file() && metadata.len() > 0 {
            // SAFETY: the map is read only. Another process that writes to the file meanwhile can change bytes under
            // the readers; all of them index with bounds checks and none relies on the bytes being UTF-8.
            match unsafe { Mmap::map(&file) } {
                Ok(map) => Bytes::Mapped(map),
                // Some file systems cannot map.
                Err(_) => Bytes::Owned(collect(&mut file, &name, max_bytes, |e| unreadable(&name, &e))?),
            }
        } else {
            // Pipes, devices, and files that report no length, such as those under /proc.
            Bytes::Owned(collect(&mut file, &name, max_bytes, |e| unreadable(&name, &e))?)
        };
        let bytes = decompress(raw, |_| compression, &name, max_bytes)?;
        Self { name, bytes }.refuse_empty()
    }

    /// Bytes that are in memory already: plain, or compressed as their first bytes tell, as standard input is.
    ///
    /// # Errors
    /// No byte, a damaged or truncated compressed stream, more bytes than the cap.
    ///
    /// # Examples
    /// ```
    /// use gradus::read::{Source, libsvm};
    ///
    /// let source = Source::from_bytes(b"1 1:0.5\n-1 2:1\n".to_vec(), "download", 1 << 20)?;
    /// let data = libsvm::parse(source.bytes(), source.name(), &Default::default())?;
    /// assert_eq!(data.labels, [1.0, -1.0]);
    /// # Ok::<(), gradus::read::ReadError>(())
    /// ```
    pub fn from_bytes(bytes: Vec<u8>, name: &str, max_bytes: u64) -> Result<Self, ReadError> {
        let name = name.to_string();
        let bytes = decompress(Bytes::Owned(bytes), compression_by_magic, &name, max_bytes)?;
        Self { name, bytes }.refuse_empty()
    }

    /// The name to use in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content, decompressed.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    fn refuse_empty(self) -> Result<Self, ReadError> {
        if self.bytes().is_empty() {
            return Err(ReadError::whole(&self.name, "the input is empty", "data are expected"));
        }
        Ok(self)
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// The name of a file without a `.gz`, `.xz` or `.zst` at its end.
pub fn without_compression(name: &str) -> &str {
    match compression_by_name(name) {
        Compression::None => name,
        _ => name.rsplit_once('.').map_or(name, |(stem, _)| stem),
    }
}

fn compression_by_name(name: &str) -> Compression {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("gz") => Compression::Gzip,
        Some("xz") => Compression::Xz,
        Some("zst") => Compression::Zstd,
        _ => Compression::None,
    }
}

fn compression_by_magic(bytes: &[u8]) -> Compression {
    match bytes {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

fn decompress(
    raw: Bytes,
    compression: impl Fn(&[u8]) -> Compression,
    name: &str,
    max_bytes: u64,
) -> Result<Bytes, ReadError> {
    let compressed = raw.as_slice();
    let bytes = match compression(compressed) {
        Compression::None => return Ok(raw),
        _ if compressed.is_empty() => return Ok(raw),
        Compression::Gzip => {
            let damaged = |e: io::Error| damaged(name, "gzip", &e);
            collect(&mut flate2::bufread::MultiGzDecoder::new(compressed), name, max_bytes, damaged)
        }
        Compression::Xz => {
            let damaged = |e: io::Error| damaged(name, "xz", &e);
            collect(&mut lzma_rust2::XzReader::new(compressed, true), name, max_bytes, damaged)
        }
        Compression::Zstd => unzstd(compressed, name, max_bytes),
    };
    bytes.map(Bytes::Owned)
}

/// All frames of a zstd file, one after the other. Skippable frames are skipped, checksums are compared.
fn unzstd(mut input: &[u8], name: &str, max_bytes: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    while !input.is_empty() {
        let mut frame = match StreamingDecoder::new(&mut input) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                input = input
                    .get(length as usize..)
                    .ok_or_else(|| damaged(name, "zstd", &"a skippable frame runs over the end"))?;
                continue;
            }
            Err(e) => return Err(damaged(name, "zstd", &e)),
        };
        let room = max_bytes - bytes.len() as u64;
        frame
            .by_ref()
            .take(room.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| damaged(name, "zstd", &e))?;
        refuse_beyond(max_bytes, bytes.len(), name)?;
        let decoder: FrameDecoder = frame.into_frame_decoder();
        if let Some(stored) = decoder.get_checksum_from_data()
            && decoder.get_calculated_checksum().is_some_and(|calculated| calculated != stored)
        {
            return Err(damaged(name, "zstd", &"the checksum differs"));
        }
    }
    Ok(bytes)
}

/// Reads to the end, or to the cap.
fn collect(
    reader: &mut impl Read,
    name: &str,
    max_bytes: u64,
    error: impl Fn(io::Error) -> ReadError,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
    refuse_beyond(max_bytes, bytes.len(), name)?;
    Ok(bytes)
}

fn refuse_beyond(max_bytes: u64, length: usize, name: &str) -> Result<(), ReadError> {
    if length as u64 > max_bytes {
        let expected =
            format!("the limit is {max_bytes} bytes; decompress it to a plain file, which has no limit");
        return Err(ReadError::whole(name, "the input yields too many bytes", expected));
    }
    Ok(())
}

fn unreadable(name: &str, error: &io::Error) -> ReadError {
    ReadError::whole(name, format!("cannot be read ({error})"), "a readable file is expected")
}

fn damaged(name: &str, format: &str, error: &dyn std::fmt::Display) -> ReadError {
    let problem = format!("damaged or truncated {format} stream ({error})");
    ReadError::whole(name, problem, format!("a whole {format} file is expected"))
}

//! Reading a capture from its file, while it is being written as well.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// What a zstd frame begins with (RFC 8878 §3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// How far back a frame may refer, as a power of two: 8 MiB, so that a hostile file cannot ask for more memory. What the
/// bridge writes stays far below, and so does `zstd` up to its level 19.
const MAX_WINDOW_LOG: u32 = 23;

/// How much is read from the file at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The bytes of a capture, out of a file that holds them as they are or as a zstd stream. Memory is bounded whatever the
/// file says.
///
/// A file that breaks off gives what is there and then its end, as plain bytes do. Reading behind the end looks whether
/// the file has grown since, so that one that is still being written can be followed.
pub struct Reader {
    path: PathBuf,
    file: File,
    /// None as long as the first bytes do not tell.
    source: Option<Source>,
    /// What was read from the file, and how much of it was taken.
    chunk: Vec<u8>,
    taken: usize,
}

enum Source {
    Plain,
    Zstd(Decoder<'static>),
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Opens a capture, a plain one or a compressed one: the first bytes tell.
///
/// # Errors
///
/// If the file cannot be opened or is a folder. This error and those of reading name the file.
pub fn open_file(path: &Path) -> io::Result<Reader> {
    let opened = File::open(path).and_then(|file| {
        let is_dir = file.metadata()?.is_dir();
        if is_dir { Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")) } else { Ok(file) }
    });
    let file = opened.map_err(|error| named(path, &error))?;
    Ok(Reader { path: path.to_owned(), file, source: None, chunk: Vec::new(), taken: 0 })
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_some(buf).map_err(|error| named(&self.path, &error))
    }
}

impl Reader {
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.source.is_none() && !self.sniff()? {
            return Ok(0);
        }
        match &mut self.source {
            Some(Source::Zstd(decoder)) => {
                decompress(decoder, &mut self.file, &mut self.chunk, &mut self.taken, buf)
            }
            Some(Source::Plain) | None if self.taken < self.chunk.len() => {
                let read = self.chunk.get(self.taken..).unwrap_or_default().read(buf)?;
                self.taken += read;
                Ok(read)
            }
            Some(Source::Plain) | None => self.file.read(buf),
        }
    }

    /// Finds out what the file holds; false if there are not enough bytes yet to tell.
    fn sniff(&mut self) -> io::Result<bool> {
        let missing = u64::try_from(ZSTD_MAGIC.len().saturating_sub(self.chunk.len())).unwrap_or(0);
        self.file.by_ref().take(missing).read_to_end(&mut self.chunk)?;
        self.source = if self.chunk == ZSTD_MAGIC {
            let mut decoder = Decoder::new()?;
            decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
            Some(Source::Zstd(decoder))
        } else if self.chunk.is_empty() || ZSTD_MAGIC.starts_with(&self.chunk) {
            None
        } else {
            Some(Source::Plain)
        };
        Ok(self.source.is_some())
    }
}

/// Gives some of what the file holds; nothing if it ends, in the middle of a frame or not.
fn decompress(
    decoder: &mut Decoder<'_>,
    file: &mut File,
    chunk: &mut Vec<u8>,
    taken: &mut usize,
    buf: &mut [u8],
) -> io::Result<usize> {
    loop {
        // Also without input: what did not fit into the last buffer is still in the decoder.
        let mut input = InBuffer::around(chunk.get(*taken..).unwrap_or_default());
        let mut output = OutBuffer::around(&mut *buf);
        let ran = decoder.run(&mut input, &mut output);
        *taken += input.pos();
        let given = output.pos();
        ran.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("as zstd: {error}")))?;
        if given > 0 {
            return Ok(given);
        }
        if *taken == chunk.len() {
            chunk.resize(CHUNK_BYTES, 0);
            let read = file.read(chunk);
            chunk.truncate(*read.as_ref().unwrap_or(&0));
            *taken = 0;
            if read? == 0 {
                return Ok(0);
            }
        }
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Dir;
    use super::*;
    use std::fs;
    use std::io::Write;
    use zstd::stream::raw::CParameter;

    /// Bytes that compress a little, as a capture does.
    fn bytes(len: usize) -> Vec<u8> {
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 27) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn read(path: &Path) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        open_file(path)?.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn a_plain_file_and_a_compressed_one_read_alike() {
        let dir = Dir::new("reader-alike");
        let path = dir.path("one.capture");
        for len in [0, 1, 3, 4, 5, 1000, 300_000] {
            let bytes = bytes(len);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path).unwrap(), bytes, "{len} plain");
            fs::write(&path, zstd::encode_all(&*bytes, 1).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), bytes, "{len} compressed");
        }
    }

    #[test]
    fn frames_one_behind_the_other_are_one_stream() {
        let dir = Dir::new("reader-frames");
        let (path, bytes) = (dir.path("one.capture"), bytes(100_000));
        let frames: Vec<u8> =
            bytes.chunks(9999).flat_map(|piece| zstd::encode_all(piece, 1).unwrap()).collect();
        fs::write(&path, frames).unwrap();
        assert_eq!(read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_file_that_breaks_off_anywhere_reads_up_to_there() {
        let dir = Dir::new("reader-torn");
        let (path, bytes) = (dir.path("one.capture"), bytes(400_000));
        let whole = zstd::encode_all(&*bytes, 1).unwrap();
        let mut most = 0;
        for len in (0..whole.len()).step_by(997) {
            fs::write(&path, &whole[..len]).unwrap();
            let read = read(&path).unwrap();
            assert!(bytes.starts_with(&read) && read.len() >= most, "{len}");
            most = read.len();
        }
        assert!(most > 100_000, "{most}");
    }

    #[test]
    fn a_file_that_is_being_written_can_be_followed() {
        let dir = Dir::new("reader-follow");
        let (path, bytes) = (dir.path("one.capture.part"), bytes(50_000));
        let mut writer = zstd::Encoder::new(File::create(&path).unwrap(), 1).unwrap();
        let mut reader = open_file(&path).unwrap();
        let mut all = Vec::new();
        for piece in bytes.chunks(10_000) {
            reader.read_to_end(&mut all).unwrap();
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
            reader.read_to_end(&mut all).unwrap();
            assert!(bytes.starts_with(&all) && all.ends_with(piece));
        }
    }

    #[test]
    fn what_no_file_of_ours_is_is_an_error_that_names_the_file() {
        let dir = Dir::new("reader-bad");
        let path = dir.path("one.capture");
        let fault = |path: &Path| read(path).unwrap_err().to_string();
        assert!(fault(&path).contains("one.capture"), "{}", fault(&path));
        assert!(fault(&dir.0).contains("folder"), "{}", fault(&dir.0));
        let mut broken = zstd::encode_all(&*bytes(100_000), 1).unwrap();
        for at in (4..broken.len()).step_by(53) {
            broken[at] ^= 0x55;
        }
        fs::write(&path, &broken).unwrap();
        assert!(fault(&path).contains("one.capture: as zstd"), "{}", fault(&path));
    }

    #[test]
    fn a_frame_that_asks_for_much_memory_is_refused() {
        let dir = Dir::new("reader-window");
        let path = dir.path("one.capture");
        let mut writer = zstd::Encoder::new(File::create(&path).unwrap(), 1).unwrap();
        writer.set_parameter(CParameter::WindowLog(MAX_WINDOW_LOG + 1)).unwrap();
        writer.write_all(&bytes(1000)).unwrap();
        writer.finish().unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("memory"), "{:?}", read(&path));
    }
}

//! Which places are damaged, and how.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Kinds of files: a name, how their paths within the data directory begin, and how many of 32 places are theirs.
pub(super) const KINDS: [(&str, &str, usize); 7] = [
    ("slots", "log/slot-", 10),
    ("blobs", "log/blob-", 4),
    ("runs", "runs/run-", 7),
    ("manifest", "manifest-", 4),
    ("identity", "identity", 2),
    ("definitions", "definitions/", 3),
    ("export", "definitions.json", 2),
];
const PARTS: usize = 32;

/// Files are written in blocks, each of which begins with what says what it is.
const BLOCK: usize = 4096;
const HEAD: usize = 200;
const SECTOR: usize = 512;

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Damage {
    /// These bits of one byte are others.
    Flipped(u8),
    /// The sector of the place reads as zeros.
    Zeroed,
    /// The file ends here.
    Cut,
}

impl Damage {
    pub(super) fn apply(self, bytes: &mut Vec<u8>, at: usize) {
        match self {
            Self::Flipped(bits) => bytes[at] ^= bits,
            Self::Zeroed => {
                let from = at / SECTOR * SECTOR;
                let to = (from + SECTOR).min(bytes.len());
                bytes[from..to].fill(0);
            }
            Self::Cut => bytes.truncate(at),
        }
    }
}

/// A place and what is done to it.
#[derive(Debug)]
pub(super) struct Place {
    /// Which of [`KINDS`] the file is.
    pub(super) kind: usize,
    /// Within the data directory.
    pub(super) file: PathBuf,
    pub(super) at: usize,
    pub(super) damage: Damage,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at byte {} of {}", self.damage, self.at, self.file.display())
    }
}

/// `count` places, spread over what is used of these files: every other one in the head of a block.
pub(super) fn spread(files: &[(PathBuf, Vec<u8>)], count: usize) -> Vec<Place> {
    let mut places = Vec::with_capacity(count);
    for (kind, (_, beginning, parts)) in KINDS.iter().enumerate() {
        let of_kind = files.iter().filter(|(path, _)| path.to_string_lossy().starts_with(beginning));
        let used: Vec<(&Path, usize)> = of_kind.flat_map(|(path, bytes)| used(path, bytes)).collect();
        let heads: Vec<(&Path, usize)> = used.iter().filter(|(_, at)| at % BLOCK < HEAD).copied().collect();
        let wanted = count * parts / PARTS;
        for number in 0..wanted {
            let among = if number % 2 == 0 { &heads } else { &used };
            let Some((path, at)) = among.get((number / 2) * among.len() / wanted.div_ceil(2)) else {
                continue;
            };
            let damage = match number % 8 {
                3 => Damage::Zeroed,
                6 => Damage::Cut,
                5 => Damage::Flipped(0xff),
                _ => Damage::Flipped(1 << (number / 8 % 8)),
            };
            places.push(Place { kind, file: path.to_path_buf(), at: *at, damage });
        }
    }
    places
}

/// Places up to the last byte that is not zero.
fn used<'f>(path: &'f Path, bytes: &[u8]) -> impl Iterator<Item = (&'f Path, usize)> + use<'f> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    (0..end).map(move |at| (path, at))
}

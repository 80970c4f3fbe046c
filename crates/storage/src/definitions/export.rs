//! The definitions' export, `definitions.json`: written as a whole, synced, then renamed into place.
//!
//! Keys and values are opaque here and stand in hexadecimal. It is private to storage; the management API
//! has its own, readable one.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::definitions::Definitions;
use crate::disk::Disk;
use crate::error::{StorageError, is_out_of_space};
use crate::record::Position;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Export {
    format: u32,
    log: String,
    revision: u64,
    position: u64,
    count: u64,
    /// CRC-32 of all that stands here, in hexadecimal.
    check: String,
    entries: Vec<(String, String)>,
}

/// Replaces the export.
pub(crate) fn write<D: Disk>(
    disk: &D,
    path: &Path,
    log: &[u8; 16],
    definitions: &Definitions,
) -> Result<(), StorageError> {
    let export = Export {
        format: FORMAT,
        log: hex(log),
        revision: definitions.revision,
        position: definitions.position.0,
        count: definitions.entries.len() as u64,
        check: check(definitions),
        entries: definitions.entries.iter().map(|(key, value)| (hex(key), hex(value))).collect(),
    };
    let bytes = serde_json::to_vec_pretty(&export)
        .map_err(io::Error::other)
        .map_err(StorageError::io(path, "encode"))?;
    disk.replace(path, &bytes).map_err(|error| {
        if is_out_of_space(&error) {
            StorageError::Full { file: path.to_owned(), needed: bytes.len() as u64 }
        } else {
            StorageError::io(path, "write")(error)
        }
    })
}

/// The export's state, or `None` if there is no export.
pub(crate) fn read<D: Disk>(
    disk: &D,
    path: &Path,
    log: &[u8; 16],
) -> Result<Option<Definitions>, StorageError> {
    let bytes = match disk.read_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(StorageError::io(path, "read"))?,
    };
    let damaged = |why: &str| StorageError::corrupt(path, 0, format!("the definitions' export {why}"));
    let export: Export =
        serde_json::from_slice(&bytes).map_err(|error| damaged(&format!("is not readable: {error}")))?;
    if export.format != FORMAT {
        return Err(StorageError::Version { file: path.to_owned(), found: export.format, supported: FORMAT });
    }
    if export.log != hex(log) {
        return Err(damaged("belongs to another store"));
    }
    let mut definitions = Definitions {
        revision: export.revision,
        position: Position(export.position),
        ..Definitions::default()
    };
    for (key, value) in &export.entries {
        let entry =
            unhex(key).zip(unhex(value)).ok_or_else(|| damaged("has an entry that is not hexadecimal"))?;
        definitions.entries.insert(entry.0, entry.1);
    }
    if definitions.entries.len() as u64 != export.count || check(&definitions) != export.check {
        return Err(damaged("fails its checksum"));
    }
    Ok(Some(definitions))
}

fn check(definitions: &Definitions) -> String {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&definitions.revision.to_le_bytes());
    crc.update(&definitions.position.0.to_le_bytes());
    for (key, value) in &definitions.entries {
        for part in [key, value] {
            crc.update(&(part.len() as u64).to_le_bytes());
            crc.update(part);
        }
    }
    format!("{:08x}", crc.finalize())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| if let [high, low] = pair { Some(digit(high)? << 4 | digit(low)?) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    fn some() -> Definitions {
        let mut definitions = Definitions::default();
        let changes = [(b"queue/a".to_vec(), Some(vec![0, 255, 10])), (Vec::new(), Some(Vec::new()))];
        definitions.apply(Position(7), 3, &changes);
        definitions
    }

    #[test]
    fn an_export_reads_back_and_no_changed_byte_gives_another_state() {
        let disk = MemoryDisk::new(1);
        let path = Path::new("/d/definitions.json");
        disk.create_folder(Path::new("/d")).unwrap();
        assert_eq!(read(&disk, path, &[1; 16]).unwrap(), None);
        write(&disk, path, &[1; 16], &some()).unwrap();
        assert_eq!(read(&disk, path, &[1; 16]).unwrap(), Some(some()));
        assert!(read(&disk, path, &[2; 16]).is_err(), "another store's");
        let len = disk.read_all(path).unwrap().len();
        for at in 0..len {
            disk.tamper(path, |bytes| bytes[at] ^= 4);
            if let Ok(found) = read(&disk, path, &[1; 16]) {
                assert_eq!(found, Some(some()), "byte {at}");
            }
            disk.tamper(path, |bytes| bytes[at] ^= 4);
        }
    }
}

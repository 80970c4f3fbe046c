//! A drive that forgets: block images whose writes and flushes the test owns, with a real file system on top.
//!
//! A small FUSE file system holds one file for each image. ext4 lies on a loop device over such a file, so what the
//! kernel writes and flushes arrives here: a write goes to the volatile cache, a flush makes all before it durable,
//! as on a drive whose cache loses its power. Cutting the power is taking a copy: what was flushed, and of the rest
//! as much as a [`Cut`] leaves. The original goes on undisturbed, so that one run gives many such copies, and a copy
//! is a drive of its own, whose power can be cut again.
//!
//! It needs root, /dev/fuse, loop devices and e2fsprogs; [`why_not`] names what is missing.
//!
//! ```no_run
//! use leveret_tests::crash_disk::{CrashDisk, Cut, Mode, Volume};
//!
//! let disk = CrashDisk::mount().unwrap();
//! let volume = Volume::make(&disk, 128 << 20);
//! std::fs::write(volume.path().join("file"), "never synced").unwrap();
//! let copy = Volume::of(&disk, volume.cut(Cut { mode: Mode::Drop, seed: 1 }));
//! assert!(!copy.path().join("file").exists());
//! ```

mod cut;
mod filesystem;
mod image;
mod volume;

pub use cut::{Cut, Mode};
pub use filesystem::{CrashDisk, why_not};
pub use image::Image;
pub use volume::{Volume, keep};

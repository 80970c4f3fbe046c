//! One drive: what reads see, what a power cut leaves, and the writes between the two.

use std::sync::Arc;

use super::cut::Cut;

/// Copies share blocks of this size until one of them writes.
const BLOCK: usize = 4096;

/// A write that no flush has followed yet.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) offset: u64,
    pub(super) bytes: Arc<[u8]>,
}

/// A drive of a fixed size, zero where it was never written. A clone shares what it has in common.
#[derive(Debug, Clone)]
pub struct Image {
    /// What reads see.
    view: Blocks,
    /// What survives.
    durable: Blocks,
    /// Writes since the last flush, in order.
    pending: Vec<Write>,
    /// Flushes that are to fail from now on.
    failing_flushes: u32,
}

impl Image {
    /// An empty drive of `size` bytes, rounded up to whole blocks.
    #[must_use]
    pub fn new(size: u64) -> Self {
        let blocks = usize::try_from(size).expect("a size in memory").div_ceil(BLOCK);
        let empty = Blocks(vec![None; blocks]);
        Self { view: empty.clone(), durable: empty, pending: Vec::new(), failing_flushes: 0 }
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.view.0.len() * BLOCK) as u64
    }

    /// Writes that no flush has followed yet.
    #[must_use]
    pub fn pending_writes(&self) -> usize {
        self.pending.len()
    }

    /// What is read at `offset`: `len` bytes, fewer at the end.
    #[must_use]
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let left = usize::try_from(self.size().saturating_sub(offset)).expect("a size in memory");
        let mut bytes = vec![0; len.min(left)];
        self.view.read(offset, &mut bytes);
        bytes
    }

    /// Writes into the volatile cache.
    ///
    /// # Panics
    /// When it ends behind the drive.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.view.write(offset, bytes);
        self.pending.push(Write { offset, bytes: bytes.into() });
    }

    /// Makes all writes before it durable; false when it was told to fail, and then nothing became durable.
    #[must_use]
    pub fn flush(&mut self) -> bool {
        if self.failing_flushes > 0 {
            self.failing_flushes -= 1;
            return false;
        }
        for Write { offset, bytes } in self.pending.drain(..) {
            self.durable.write(offset, &bytes);
        }
        true
    }

    /// Lets the next `count` flushes fail.
    pub fn fail_flushes(&mut self, count: u32) {
        self.failing_flushes = count;
    }

    /// What a power cut at this instant leaves: another drive, with nothing in its cache.
    #[must_use]
    pub fn cut(&self, cut: Cut) -> Self {
        let mut left = self.durable.clone();
        for Write { offset, bytes } in cut.survivors(&self.pending) {
            left.write(offset, &bytes);
        }
        Self { view: left.clone(), durable: left, pending: Vec::new(), failing_flushes: 0 }
    }

    /// Everything that reads see, for keeping it in a file: offset and bytes of each block that is not all zeros.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let blocks = self.view.0.iter().enumerate();
        blocks.filter_map(|(number, block)| Some(((number * BLOCK) as u64, block.as_deref()?)))
    }
}

/// Blocks, absent where nothing was written.
#[derive(Debug, Clone)]
struct Blocks(Vec<Option<Arc<[u8]>>>);

impl Blocks {
    fn read(&self, offset: u64, into: &mut [u8]) {
        for (number, within, part) in parts(offset, into.len()) {
            if let Some(block) = &self.0[number] {
                let len = part.len();
                into[part].copy_from_slice(&block[within..within + len]);
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (number, within, part) in parts(offset, bytes.len()) {
            let block = self.0[number].get_or_insert_with(|| [0; BLOCK].as_slice().into());
            Arc::make_mut(block)[within..within + part.len()].copy_from_slice(&bytes[part]);
        }
    }
}

/// The pieces of `len` bytes at `offset`: number of a block, where in it, and which of the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let offset = usize::try_from(offset).expect("an offset in memory");
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done;
        let count = (BLOCK - at % BLOCK).min(len - done);
        let part = done..done + count;
        done += count;
        (count > 0).then_some((at / BLOCK, at % BLOCK, part))
    })
}

#[cfg(test)]
mod tests {
    use super::super::cut::Mode;
    use super::*;

    fn dropped(image: &Image) -> Image {
        image.cut(Cut { mode: Mode::Drop, seed: 0 })
    }

    #[test]
    fn a_write_is_read_at_once_and_survives_only_a_flush() {
        let mut image = Image::new(16 << 10);
        image.write(4000, &[7; 5000]);
        assert_eq!(image.read(3999, 5002), [&[0][..], &[7; 5000], &[0]].concat());
        assert_eq!(dropped(&image).read(0, 16 << 10), vec![0; 16 << 10]);
        assert!(image.flush());
        assert_eq!(dropped(&image).read(4000, 5000), vec![7; 5000]);
    }

    #[test]
    fn a_copy_and_its_original_go_separate_ways() {
        let mut image = Image::new(8192);
        image.write(0, &[1; 8192]);
        assert!(image.flush());
        let mut copy = dropped(&image);
        copy.write(0, &[2; 4096]);
        image.write(4096, &[3; 4096]);
        assert_eq!((copy.read(0, 1), copy.read(4096, 1)), (vec![2], vec![1]));
        assert_eq!((image.read(0, 1), image.read(4096, 1)), (vec![1], vec![3]));
    }

    #[test]
    fn a_failed_flush_makes_nothing_durable() {
        let mut image = Image::new(4096);
        image.write(0, &[1]);
        image.fail_flushes(1);
        assert!(!image.flush());
        assert_eq!(dropped(&image).read(0, 1), [0]);
        assert!(image.flush());
        assert_eq!(dropped(&image).read(0, 1), [1]);
    }

    #[test]
    fn a_read_ends_with_the_drive_and_blocks_give_all_that_was_written() {
        let mut image = Image::new(8192);
        assert_eq!(image.read(8190, 10), [0, 0]);
        image.write(5000, &[9; 10]);
        let blocks: Vec<_> = image.blocks().map(|(offset, bytes)| (offset, bytes.len())).collect();
        assert_eq!(blocks, [(4096, 4096)]);
    }
}

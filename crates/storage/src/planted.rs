//! Faults planted on purpose, in builds with the feature `planted` only: the simulation must find each of them.

/// A fault of the storage engine, or of who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Plant {
    /// A batch counts as synced before its sync.
    EarlyConfirm = 1,
    /// Slots are reused before the manifest that frees them is synced.
    EarlyReuse,
    /// Slots are reused while somebody reads them.
    ReuseUnderReader,
    /// Some settlements are dropped.
    DroppedSettlement,
    /// Messages are delivered before their Expose is durable.
    EarlyDelivery,
    /// A checkpoint forgets what was seen.
    ForgottenSeen,
    /// The manifest names a log that is not on the drive yet.
    EarlyManifest,
    /// A write that a crash cut short is taken for corruption.
    TornIsCorrupt,
    /// Recovery gives the old tail up before its copy is durable: a second crash loses it.
    SecondCrash,
}

impl Plant {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("early-confirm", Self::EarlyConfirm),
        ("early-reuse", Self::EarlyReuse),
        ("reuse-under-reader", Self::ReuseUnderReader),
        ("dropped-settlement", Self::DroppedSettlement),
        ("early-delivery", Self::EarlyDelivery),
        ("forgotten-seen", Self::ForgottenSeen),
        ("early-manifest", Self::EarlyManifest),
        ("torn-is-corrupt", Self::TornIsCorrupt),
        ("second-crash", Self::SecondCrash),
    ];
}

/// Whether that fault is planted. Without the feature this is gone when compiled.
#[cfg(not(feature = "planted"))]
#[must_use]
#[inline]
pub const fn is_planted(_: Plant) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use planting::{is_planted, plant};

#[cfg(feature = "planted")]
mod planting {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Plant;

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Whether that fault is planted in this process.
    #[must_use]
    pub fn is_planted(plant: Plant) -> bool {
        PLANTED.load(Ordering::Relaxed) == plant as u8
    }

    /// Plants a fault in this process, or takes it away.
    pub fn plant(plant: Option<Plant>) {
        PLANTED.store(plant.map_or(0, |plant| plant as u8), Ordering::Relaxed);
    }
}

//! What the allocator keeps beyond what is in use, and how the system gets it back.
//!
//! mimalloc returns freed memory to the system after a second, but only when some thread allocates: a broker that has
//! just stopped reading, because memory is short, would hold it for ever. So whoever measures memory calls here.
//! The owner of the calls decides when; nothing here is on the path of a message.

/// Has the process do without transparent huge pages: they round what thousands of small buffers take up to 2 MiB each
/// time. For the start of the process; an old kernel refuses, and then it stays as it is.
pub fn use_small_pages() {
    _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives memory back to the system that was freed a second ago or earlier; with `all` whatever is free now. Takes
/// microseconds where there is little.
#[allow(unsafe_code, reason = "the allocator's own function, which no safe crate offers")]
pub fn give_back(all: bool) {
    // SAFETY: mi_collect has no requirement; it visits the calling thread's heap and the shared arenas under locks of
    // its own, and may be called at any time by any thread, whether or not mimalloc is the global allocator.
    unsafe { libmimalloc_sys::mi_collect(all) };
}

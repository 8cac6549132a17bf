//! How far an export is, for whoever looks on.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What an export is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Counting what there is.
    Count,
    /// Packing files; counted in messages that have some.
    Files,
    /// Rendering messages.
    Messages,
    /// Manifest, central directory, final name.
    Seal,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Count, Self::Files, Self::Messages, Self::Seal];

    /// The name in progress lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Files => "files",
            Self::Messages => "messages",
            Self::Seal => "seal",
        }
    }
}

/// Counters that the export writes and anybody may read.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What is being done.
    pub phase: Phase,
    /// Messages done in this phase.
    pub done: u64,
    /// Messages of this phase.
    pub total: u64,
    /// Bytes of the ZIP written.
    pub bytes: u64,
}

impl Progress {
    /// Begins a phase of `total` messages.
    pub fn begin(&self, phase: Phase, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Adds messages done.
    pub fn advance(&self, messages: u64) {
        self.done.fetch_add(messages, Ordering::Relaxed);
    }

    /// Adds bytes of the ZIP written.
    pub fn wrote(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Snapshot {
            phase: Phase::ALL.get(phase).copied().unwrap_or(Phase::Count),
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

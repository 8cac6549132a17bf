//! The HTTP server: routes, and what is the same for all of them.

pub mod error;

use crate::app::Service;

/// What every handler works with.
#[derive(Clone)]
pub struct Http {
    /// The parts.
    pub service: Service,
}

//! Messages.
mod batch;
pub mod bson;
pub use batch::DocBatch;

//! Messages.
mod batch;
pub mod bson;
pub mod message;
pub mod system;
pub use batch::DocBatch;

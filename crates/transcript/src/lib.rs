//! Messages.
mod batch;
pub mod bson;
pub mod json;
pub mod message;
pub mod names;
pub mod output;
pub mod system;
pub mod time;
pub use batch::DocBatch;

//! What several behaviour tests need.

pub(crate) mod dump;

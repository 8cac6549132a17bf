//! All behaviour tests of the application.

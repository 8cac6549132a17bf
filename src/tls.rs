//! The one TLS provider: libraries that bring none use the one that the process has.

/// Makes ring the provider of the process, unless it has one. Every client that uses TLS calls it first.
pub fn install() {
    // An error says that there is one already, which can only be this one: no other is in the build.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

//! The only place that asks what time it is.

use std::time::{Duration, SystemTime};

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this instant, milliseconds since 1970: for tests, and for exports that must be equal byte by byte.
    Fixed(i64),
}

impl Clock {
    /// The machine's clock, or the instant in `SOURCE_DATE_EPOCH`, whole seconds since 1970
    /// (<https://reproducible-builds.org/specs/source-date-epoch/>): then equal input makes equal bytes on another
    /// day as well. The error is the variable's text when it is not a number.
    pub fn from_environment() -> Result<Self, String> {
        let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
            return Ok(Self::System);
        };
        let text = text.to_string_lossy().into_owned();
        match text
            .parse::<i64>()
            .ok()
            .and_then(|seconds| seconds.checked_mul(1000))
        {
            Some(millis) => Ok(Self::Fixed(millis)),
            None => Err(text),
        }
    }

    /// Now, milliseconds since 1970.
    pub fn now(self) -> i64 {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the one place")]
            Self::System => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                i64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i64::MAX)
            }
            Self::Fixed(millis) => millis,
        }
    }
}

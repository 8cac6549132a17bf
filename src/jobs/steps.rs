//! The steps of a job between which a process may die: named, so that tests can make it die at each of them.
//!
//! Test builds look at `EXPORT_ROOM_STOP_AT`, for example `record:kill` or `publish:stop`; the program that users have
//! does not.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

/// A step that is about to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The request is valid; nothing is written down.
    Enqueue,
    /// The job is written down; the answer is not sent.
    Answer,
    /// The job is claimed; nothing is done for it.
    Begin,
    /// A part of the ZIP is written.
    Write,
    /// The ZIP is whole, under its temporary name.
    Publish,
    /// The ZIP has its name; there is no record.
    Record,
    /// Record and end of the job are written; its mail is not begun.
    Settled,
    /// A job that lost its worker once too often has ended; nothing was done about it yet.
    Abandoned,
    /// The mail was handed over; that is not written down.
    MailSent,
    /// A file that was deleted is gone; its record is not.
    Delete,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 10] = [
        Self::Enqueue,
        Self::Answer,
        Self::Begin,
        Self::Write,
        Self::Publish,
        Self::Record,
        Self::Settled,
        Self::Abandoned,
        Self::MailSent,
        Self::Delete,
    ];

    /// The name in `EXPORT_ROOM_STOP_AT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Answer => "answer",
            Self::Begin => "begin",
            Self::Write => "write",
            Self::Publish => "publish",
            Self::Record => "record",
            Self::Settled => "settled",
            Self::Abandoned => "abandoned",
            Self::MailSent => "mail-sent",
            Self::Delete => "delete",
        }
    }
}

/// Says that a step is about to be taken. In test builds the process is killed or stopped here, once, when the
/// environment says so.
pub fn reached(step: Step) {
    static ORDER: OnceLock<Option<(Step, Signal)>> = OnceLock::new();
    static OBEYED: AtomicBool = AtomicBool::new(false);
    if !cfg!(debug_assertions) {
        return;
    }
    let order = ORDER.get_or_init(|| order(&std::env::var("EXPORT_ROOM_STOP_AT").ok()?));
    if let Some((wanted, signal)) = *order
        && wanted == step
        && !OBEYED.swap(true, Ordering::Relaxed)
    {
        // A signal that cannot be sent leaves the process running, and the test fails.
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}

/// Reads `STEP:kill` or `STEP:stop`.
fn order(text: &str) -> Option<(Step, Signal)> {
    let (name, how) = text.split_once(':')?;
    let step = Step::ALL.into_iter().find(|step| step.name() == name)?;
    match how {
        "kill" => Some((step, Signal::KILL)),
        "stop" => Some((step, Signal::STOP)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_name_a_step_and_what_to_do() {
        for step in Step::ALL {
            let text = format!("{}:stop", step.name());
            assert_eq!(order(&text), Some((step, Signal::STOP)));
        }
        assert_eq!(order("record:kill"), Some((Step::Record, Signal::KILL)));
        for text in ["", "record", "record:", "record:sleep", "nowhere:kill"] {
            assert_eq!(order(text), None, "{text}");
        }
    }
}

//! The steps of a job between which a process may die: named, so that tests can make it die at each of them.
//!
//! Test builds look at `EXPORT_ROOM_STOP_AT`, for example `record:kill` or `publish:stop`; the program that users have
//! does not.

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
    /// The mail was handed over; that is not written down.
    MailSent,
    /// A file that was deleted is gone; its record is not.
    Delete,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 9] = [
        Self::Enqueue,
        Self::Answer,
        Self::Begin,
        Self::Write,
        Self::Publish,
        Self::Record,
        Self::Settled,
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
            Self::MailSent => "mail-sent",
            Self::Delete => "delete",
        }
    }
}

/// Says that a step is about to be taken. In test builds the process is killed or stopped here when the environment
/// says so.
pub fn reached(step: Step) {
    if !cfg!(debug_assertions) {
        return;
    }
    let Ok(order) = std::env::var("EXPORT_ROOM_STOP_AT") else {
        return;
    };
    let Some((name, how)) = order.split_once(':') else {
        return;
    };
    if name != step.name() {
        return;
    }
    let signal = match how {
        "kill" => rustix::process::Signal::KILL,
        "stop" => rustix::process::Signal::STOP,
        _ => return,
    };
    // A signal that cannot be sent leaves the process running, and the test fails.
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}

//! Names of stored exports: they carry the job and its claim, and nothing else is taken for one.

use crate::jobs::Fence;

/// Characters of an id (contract §3.1).
const ID: usize = 17;
/// Around job and claim in the name of a file that is not whole.
const PART: (&str, &str) = (".export-room-", ".part");
/// The suffix of a file that is whole.
const WHOLE: &str = "zip";

/// A file of ours, by its name: whole or not, the export of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) job: &'a str,
    pub(super) epoch: u64,
    pub(super) whole: bool,
}

impl<'a> Stored<'a> {
    /// What a name says; `None` when it is not exactly one of ours.
    pub(super) fn of_name(name: &'a str) -> Option<Self> {
        let (prefix, suffix) = PART;
        let stored = if let Some(rest) = name.strip_prefix(prefix) {
            let (job, epoch) = rest.strip_suffix(suffix)?.split_once('-')?;
            Self {
                job,
                epoch: epoch.parse().ok()?,
                whole: false,
            }
        } else {
            let (job, extension) = name.split_once('.')?;
            return Self::of_extension(job, extension);
        };
        (is_id(stored.job) && stored.name() == name).then_some(stored)
    }

    /// The whole file of a job with this extension.
    pub(super) fn of_extension(job: &'a str, extension: &str) -> Option<Self> {
        let epoch = match extension.strip_suffix(WHOLE)? {
            "" => 1,
            epoch => epoch.strip_suffix('.')?.parse().ok()?,
        };
        let stored = Self {
            job,
            epoch,
            whole: true,
        };
        // Other spellings of the same number are not ours.
        (is_id(job) && stored.extension() == extension).then_some(stored)
    }

    /// The file of a claim.
    pub(super) fn of_claim(fence: &'a Fence, whole: bool) -> Self {
        Self {
            job: &fence.id.0,
            epoch: fence.epoch,
            whole,
        }
    }

    /// The files that the claims of a job up to this one may have, but for the one that is kept.
    pub(super) fn others(last: &'a Fence, keep: Option<u64>) -> impl Iterator<Item = Self> {
        let job = &*last.id.0;
        let claims = if is_id(job) { last.epoch } else { 0 };
        (1..=claims)
            .filter(move |epoch| Some(*epoch) != keep)
            .flat_map(move |epoch| [false, true].map(|whole| Self { job, epoch, whole }))
    }

    /// What follows the job. The first claim's file has the name that everybody expects.
    pub(super) fn extension(self) -> String {
        match self.epoch {
            1 => WHOLE.to_owned(),
            epoch => format!("{epoch}.{WHOLE}"),
        }
    }

    /// The whole name.
    pub(super) fn name(self) -> String {
        if self.whole {
            format!("{}.{}", self.job, self.extension())
        } else {
            let (prefix, suffix) = PART;
            format!("{prefix}{}-{}{suffix}", self.job, self.epoch)
        }
    }
}

/// Whether a text is an id as we make them.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

//! `export-room mail`: messages of a room by mail, without a server.

#![expect(
    clippy::print_stderr,
    reason = "standard error is where a command line talks to people"
)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use sha2::{Digest, Sha256};
use transcript::room::RoomInfo;

use super::export::{find_room, open, window, zone};
use super::service::ServiceOptions;
use super::{INCOMPLETE, show};
use crate::app::{App, Service, host};
use crate::config::Attach;
use crate::export::report::hex;
use crate::export::target::Content;
use crate::mail::messages::{Composed, Order, Reader, Which, compose};
use crate::mail::recipients::{Recipients, resolve};
use crate::mail::{Address, Mail, MailError, NotTaken, mime, recipient};
use crate::random;
use crate::store::directory::{LoginName, User, UserId};
use crate::words::chain;

/// Mails in a row that are not sent before the rest is not tried: the server is away.
const PATIENCE: usize = 3;

#[derive(Debug, Args)]
pub(super) struct MailOptions {
    #[command(flatten)]
    service: ServiceOptions,
    /// The room: its id, its name (general, #general), or @username for the direct room with that user.
    #[arg(long, value_name = "RID|NAME")]
    room: String,
    /// Ids of messages, separated by commas; without them all messages of the time.
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with_all = ["date_from", "date_to"])]
    messages: Vec<String>,
    /// First day (YYYY-MM-DD, UTC) or instant (RFC 3339).
    #[arg(long, value_name = "DATE", visible_alias = "after")]
    date_from: Option<String>,
    /// Last day or instant, included.
    #[arg(long, value_name = "DATE", visible_alias = "before")]
    date_to: Option<String>,
    /// Who gets it: addresses and usernames, separated by commas.
    #[arg(
        long,
        value_name = "ADDRESS|USER",
        value_delimiter = ',',
        required_unless_present = "output"
    )]
    to: Vec<String>,
    /// Subject [default: the usual one].
    #[arg(long, default_value = "", hide_default_value = true)]
    subject: String,
    /// In whose name: answers go to this user, whose language and zone the mail has.
    #[arg(long = "as", value_name = "USER")]
    requester: Option<String>,
    /// Language of the mail, for example de or pt-BR [default: the user's, else en].
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// Time zone of the mail, for example Europe/Berlin [default: the user's, else export.timezone].
    #[arg(long, value_name = "TZ")]
    timezone: Option<String>,
    /// How files go with it [default: mail.attachments].
    #[arg(long, value_enum)]
    attach: Option<Attach>,
    /// One mail to all, who then see each other.
    #[arg(long)]
    together: bool,
    /// Write the mail to this file instead of sending it; - is the standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace that file, when it is a mail.
    #[arg(long, requires = "output")]
    force: bool,
}

/// What makes a mail of a command line another one than that of another command line.
struct Chosen(Sha256);

impl Chosen {
    /// Each part with its length, so that no two lists of parts are the same.
    fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// Makes the mail one to these.
    fn address(&self, mail: &mut Mail, to: Vec<Address>) {
        mail.message_id = format!("{}@{}", self.to(&to), mail.host);
        mail.to = to;
    }

    /// Who gets it, in whatever order.
    fn to(&self, to: &[Address]) -> String {
        let mut of = Self(self.0.clone());
        let mut to: Vec<_> = to.iter().map(|to| to.address.as_str()).collect();
        to.sort_unstable();
        for address in to {
            of.add(address);
        }
        // Half of it is more than chance can meet.
        hex(&of.0.finalize()[..16])
    }
}

impl MailOptions {
    /// The messages that are asked for, each once.
    fn which(&self) -> anyhow::Result<Which> {
        Ok(if self.messages.is_empty() {
            Which::Window(window(self.date_from.as_deref(), self.date_to.as_deref())?)
        } else {
            let mut ids: Vec<_> = self
                .messages
                .iter()
                .map(|id| id.trim().to_owned())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| !id.is_empty());
            Which::Ids(ids)
        })
    }

    /// The same for a second run, so that the mail programs of those who have the first mail see that they have it. How
    /// much was found counts as well: a mail with more than the last one had must not be taken for that one.
    fn chosen(&self, which: &Which, site: &str, room: &RoomInfo, composed: &Composed) -> Chosen {
        let mut chosen = Chosen(Sha256::new());
        let optional = |part: &Option<String>| part.clone().unwrap_or_default();
        for part in [
            site,
            &room.id,
            &optional(&self.date_from),
            &optional(&self.date_to),
            &composed.subject,
            &optional(&self.requester),
            &optional(&self.language),
            &optional(&self.timezone),
            &format!("{:?}", self.attach),
            &composed.counts.messages.to_string(),
            &composed.counts.attached.to_string(),
        ] {
            chosen.add(part);
        }
        let ids: &[String] = match which {
            Which::Ids(ids) => ids,
            Which::Window(_) => &[],
        };
        chosen.add(&ids.len().to_string());
        for id in ids {
            chosen.add(id);
        }
        chosen
    }
}

pub(super) async fn run(app: App, options: MailOptions) -> anyhow::Result<ExitCode> {
    let config = options.service.load(&[])?;
    let which = options.which()?;
    if !config.mail.messages && options.output.is_none() {
        bail!("messages are not sent by mail here (mail.messages); -o writes the mail to a file");
    }
    let service = app.service(config).await?;
    let room = find_room(&*service.source, &options.room).await?;
    let requester = match &options.requester {
        Some(name) => Some(user(&service, name).await?),
        None => None,
    };
    let reader = reader(&service, &options, requester.as_ref()).await?;
    let Recipients { to, missing } = recipients(&service, &options, requester.as_ref()).await?;
    for user in &missing {
        eprintln!(
            "missing: {} is no user with an address",
            show::one_line(user)
        );
    }
    let to: Vec<Address> = to.iter().map(Address::from).collect();
    if options.output.is_some() && to.len() > 1 && !options.together {
        bail!("a file holds one mail: name one recipient, or ask for one mail to all (--together)");
    }
    // Told before anything is read.
    let file = match &options.output {
        Some(path) => {
            let replace = options.force.then_some(Content::Mail);
            Some((path, open(&app, path, replace, 0, Arc::default()).await?))
        }
        None => None,
    };
    let id = random::id();
    let order = Order {
        id: &id,
        room: &room,
        selection: &which,
        subject: &options.subject,
        requester: requester.as_ref().map(User::display_name),
        reader: &reader,
        recipient: match &*to {
            [one] => Some(one),
            _ => None,
        },
        attach: options.attach.unwrap_or(service.config.mail.attachments),
    };
    let composed = Box::pin(compose(&service, &order)).await?;
    let complete = tell(&which, &composed, &room) && missing.is_empty();
    let site = service.site_url().await?;
    let chosen = options.chosen(&which, &site, &room, &composed);
    let mut mail = Mail {
        to: Vec::new(),
        reply_to: requester.as_ref().and_then(recipient),
        subject: composed.subject,
        message_id: String::new(),
        host: mime::word(host(&site)),
        date: app.clock.now(),
        content: composed.content,
    };
    let all = if let Some((path, mut target)) = file {
        chosen.address(&mut mail, to);
        target.write_all(&service.mailer.write(&mail).await?)?;
        let written = target.commit()?;
        if path.as_os_str() != "-" {
            eprintln!("{}: {}", path.display(), show::bytes(written.bytes));
        }
        true
    } else {
        let groups = if options.together {
            vec![to]
        } else {
            to.into_iter().map(|one| vec![one]).collect()
        };
        send(&service, &mut mail, &chosen, groups).await?
    };
    Ok(if complete && all {
        ExitCode::SUCCESS
    } else {
        INCOMPLETE.into()
    })
}

/// Those that are named.
async fn recipients(
    service: &Service,
    options: &MailOptions,
    requester: Option<&User>,
) -> anyhow::Result<Recipients> {
    if options.to.is_empty() {
        return Ok(Recipients {
            to: Vec::new(),
            missing: Vec::new(),
        });
    }
    let (addresses, users): (Vec<&str>, Vec<&str>) = options
        .to
        .iter()
        // As direct rooms are named.
        .map(|to| to.strip_prefix('@').unwrap_or(to))
        .partition(|to| to.contains('@'));
    let (directory, config) = (&*service.directory, &service.config.mail);
    Ok(resolve(directory, config, requester, &users, &addresses).await?)
}

/// Sends the mail to each group of recipients; whether everybody has it. An error when nobody has.
async fn send(
    service: &Service,
    mail: &mut Mail,
    chosen: &Chosen,
    groups: Vec<Vec<Address>>,
) -> anyhow::Result<bool> {
    let count = groups.len();
    // How many mails were sent, and how many were not in a row.
    let (mut sent, mut lost) = (0_usize, 0);
    let mut complete = true;
    let mut failed = None;
    for (number, to) in groups.into_iter().enumerate() {
        chosen.address(mail, to);
        let mut names: Vec<_> = mail.to.iter().map(|to| to.address.as_str()).collect();
        let handed = match Box::pin(service.mailer.send(mail)).await {
            Ok(handed) => handed,
            // Whoever is refused keeps nobody from the mail; a server that is away does.
            Err(error) => {
                eprintln!("not sent to {}: {}", names.join(", "), chain(&error));
                lost = match error {
                    MailError::Later(_) | MailError::Store(_) | MailError::Off(_) => lost + 1,
                    MailError::Unusable(_) | MailError::Refused(_) | MailError::TooLarge { .. } => {
                        0
                    }
                };
                failed = Some(error);
                if lost == PATIENCE && number + 1 < count {
                    eprintln!("not tried: the {} after it", count - number - 1);
                    break;
                }
                continue;
            }
        };
        lost = 0;
        sent += 1;
        for NotTaken { address, words, .. } in &handed.refused {
            eprintln!("refused: {address}: {words}");
            names.retain(|name| *name != address.as_str());
            complete = false;
        }
        match handed.file {
            Some(file) => eprintln!("{}: to {}", file.display(), names.join(", ")),
            None => eprintln!("sent to {}", names.join(", ")),
        }
    }
    service.mailer.close().await;
    match failed {
        Some(error) if sent == 0 => Err(anyhow::Error::new(error).context("no mail was sent; `export-room doctor` looks at the mail server, and -o writes the mail to a file")),
        failed => Ok(complete && failed.is_none()),
    }
}

/// Says what is in the mail; whether it is everything.
fn tell(which: &Which, composed: &Composed, room: &RoomInfo) -> bool {
    let counts = composed.counts;
    eprintln!(
        "{}: {} messages, {} files, {}",
        show::one_line(&room.title),
        counts.messages,
        counts.attached,
        show::bytes(composed.content.len() as u64)
    );
    let mut complete = true;
    let mut lacks = |count: u64, what: &str| {
        if count > 0 {
            eprintln!("missing: {count} {what}");
            complete = false;
        }
    };
    if let Which::Ids(ids) = which {
        let absent = (ids.len() as u64).saturating_sub(counts.messages);
        lacks(absent, "of the messages are not in the room");
    }
    lacks(counts.missing, "files are not in the workspace");
    lacks(
        counts.too_large,
        "files are too large for the mail (mail.max_bytes)",
    );
    complete
}

async fn user(service: &Service, name: &str) -> anyhow::Result<User> {
    let found = match service
        .directory
        .find_user(&LoginName::Username(name.to_owned()))
        .await?
    {
        Some(user) => Some(user),
        None => service.directory.user(&UserId(name.to_owned())).await?,
    };
    match found {
        Some(user) => Ok(user),
        None => bail!(
            "there is no user `{}` in this workspace",
            show::one_line(name)
        ),
    }
}

async fn reader(
    service: &Service,
    options: &MailOptions,
    requester: Option<&User>,
) -> anyhow::Result<Reader> {
    let own = service.reader(requester).await?;
    if options.language.is_none() && options.timezone.is_none() {
        return Ok(own);
    }
    let zone = match &options.timezone {
        Some(name) => zone(name)?,
        None => own.dates.zone().clone(),
    };
    let language = options
        .language
        .as_deref()
        .or(requester.and_then(|user| user.language.as_deref()));
    Ok(Reader::new(language.unwrap_or("en"), zone))
}

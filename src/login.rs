//! Logging in: who somebody is, proved by a password, a second factor or a token (contract §3.2).
//!
//! Responsible for the rules and their order, and for what guessing costs: the runs of bcrypt at a time, the attempts of
//! a user and of an address. Knows no HTTP; what a token is worth afterwards is not decided here.
//!
//! What is remembered of attempts and codes is in memory, of this process and of bounded size. Backup codes
//! (`services.totp.hashedBackup`) are not accepted: each works once, which is Rocket.Chat's to write down.

mod attempts;
mod request;
pub mod tokens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bcrypt::HashParts;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::attempts::{Attempts, Limits, Typed};
pub use self::request::{LoginRequest, Malformed};
use self::request::{PasswordDigest, Proof};
use crate::clock::Clock;
use crate::random;
use crate::store::StoreError;
use crate::store::directory::{Directory, LoginName, Settings, User};

/// Login tokens that a user keeps; the oldest go (contract §3.1).
const TOKENS: usize = 50;
/// Characters of a name or an address that the directory is asked for; an address has 254 at most (RFC 5321 §4.5.3.1).
const LONGEST_NAME: usize = 256;
/// Password checks that run or wait, in all; further ones are told to come again. Each holds a connection, so that a
/// flood of logins must not take all of them.
const CHECKS: usize = 64;
/// A stored hash that would take more than about a second to check is not checked: its cost is data of the workspace.
const HIGHEST_COST: u32 = 14;
/// Checked instead of the hash of a user who is not there or has none, so that the time tells nothing. Of Rocket.Chat's
/// cost (contract §3.2); no password is known for it.
const NOBODY: &str = "$2b$10$ExportRoomExportRoomE.NobodyNobodyNobodyNobodyNobody.";
/// Seconds that a code of the second factor is for (RFC 6238 §4.1).
const CODE_SECONDS: u64 = 30;
/// Codes before and after the present one that are accepted at most, whatever the setting says.
const MOST_CODES_AROUND: i64 = 10;

const LDAP: &str = "LDAP_Enable";
const EMAIL_VERIFICATION: &str = "Accounts_EmailVerification";
const CODES_AROUND: &str = "Accounts_TwoFactorAuthentication_MaxDelta";

/// Somebody has proved who he is.
pub struct LoggedIn {
    /// The user, as found before the login.
    pub user: User,
    /// The token for further requests: a new one, or the one that was the proof.
    pub token: String,
}

/// Why somebody is not logged in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Wrong user, password or token; which one is not said.
    #[error("Unauthorized")]
    Unauthorized,
    /// Another reason, which is said.
    #[error("{}", .0.message())]
    Refused(Refusal),
    /// More logins are going on than the machine is given for them.
    #[error("too many logins at a time")]
    Busy,
    /// The directory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The check of the password stopped.
    #[error("checking a password stopped: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}

impl From<Refusal> for LoginError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A reason that whoever logs in is told (contract §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many failed attempts from this address.
    AddressBlocked,
    /// Too many failed attempts with this name.
    UserBlocked,
    /// The user is an app.
    App,
    /// The user is deactivated.
    NotActivated,
    /// The user has no roles.
    NoRoles,
    /// No address of the user is verified, and the workspace asks for one.
    EmailNotVerified,
    /// A code of the user's authenticator is missing.
    CodeRequired,
    /// The user's second factor is a code by e-mail, and nothing here sends one.
    MailedCodeRequired,
    /// The code is wrong or was used before.
    CodeInvalid,
    /// Passwords are with an LDAP server.
    Ldap,
}

impl Refusal {
    /// Name for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::AddressBlocked => "error-login-blocked-for-ip",
            Self::UserBlocked => "error-login-blocked-for-user",
            Self::App => "error-app-user-is-not-allowed-to-login",
            Self::NotActivated => "error-user-is-not-activated",
            Self::NoRoles => "error-user-has-no-roles",
            Self::EmailNotVerified => "error-invalid-email",
            Self::CodeRequired | Self::MailedCodeRequired => "totp-required",
            Self::CodeInvalid => "totp-invalid",
            Self::Ldap => "error-ldap-login-not-supported",
        }
    }

    /// Sentence for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::AddressBlocked => {
                "Login has been temporarily blocked for your IP. Try again in some minutes."
            }
            Self::UserBlocked => {
                "Login has been temporarily blocked for this user. Try again in some minutes."
            }
            Self::App => "App user is not allowed to login",
            Self::NotActivated => "User is not activated",
            Self::NoRoles => "User has no roles",
            Self::EmailNotVerified => "Invalid email: none of the user's addresses is verified",
            Self::CodeRequired => "TOTP Required",
            Self::MailedCodeRequired => {
                "TOTP Required by e-mail, which Export Room does not send. Use a personal access token."
            }
            Self::CodeInvalid => "TOTP Invalid",
            Self::Ldap => {
                "This workspace checks passwords with LDAP, which Export Room cannot. Use a personal access token."
            }
        }
    }

    /// The second factor that is asked for: `totp` or `email`.
    pub fn method(self) -> Option<&'static str> {
        match self {
            Self::CodeRequired => Some("totp"),
            Self::MailedCodeRequired => Some("email"),
            _ => None,
        }
    }

    /// Whether somebody who guesses has learned nothing from it: then the attempt counts.
    fn counts(self) -> bool {
        matches!(self, Self::CodeInvalid)
    }
}

/// Logs users in.
pub struct Logins {
    directory: Arc<dyn Directory>,
    clock: Clock,
    /// Days that a login token is accepted, when the operator says so.
    expiration_days: Option<u32>,
    /// Checks of passwords that run: half of the cores stay for everything else.
    running: Arc<Semaphore>,
    /// Checks that run or wait.
    waiting: Semaphore,
    attempts: Mutex<Attempts>,
}

impl Logins {
    /// Nobody has tried yet. `expiration_days` overrides the workspace's `Accounts_LoginExpiration`.
    pub fn new(directory: Arc<dyn Directory>, clock: Clock, expiration_days: Option<u32>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            directory,
            clock,
            expiration_days,
            running: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Semaphore::new(CHECKS),
            attempts: Mutex::default(),
        }
    }

    /// Logs somebody in who calls from `address`.
    pub async fn log_in(
        &self,
        request: LoginRequest,
        address: IpAddr,
    ) -> Result<LoggedIn, LoginError> {
        let mut wanted = vec![LDAP, EMAIL_VERIFICATION, CODES_AROUND];
        wanted.extend(Limits::SETTINGS);
        let settings = self.directory.settings(&wanted).await?;
        let result = match request.proof {
            Proof::Token(token) => self.with_token(&settings, token, address).await,
            Proof::Password(name, password) => {
                let code = request.code.as_deref();
                self.with_password(&settings, &name, password, code, address)
                    .await
            }
        };
        match &result {
            Ok(found) => tracing::info!(
                target: "audit",
                user = found.user.id.0,
                username = found.user.username,
                ip = %address,
                "logged in"
            ),
            Err(error) => {
                let reason = match error {
                    LoginError::Refused(refusal) => refusal.code(),
                    LoginError::Unauthorized => "unauthorized",
                    LoginError::Busy => "busy",
                    LoginError::Store(_) | LoginError::Stopped(_) => "internal",
                };
                tracing::info!(target: "audit", ip = %address, reason, "login refused");
            }
        }
        result
    }

    async fn with_token(
        &self,
        settings: &Settings,
        token: String,
        address: IpAddr,
    ) -> Result<LoggedIn, LoginError> {
        let limits = Limits::of(settings);
        self.attempts()
            .begin(address, None, &limits, self.clock.now())?;
        let hashed = tokens::hash(&token);
        let owner = self.directory.token_owner(&hashed).await?;
        let oldest = tokens::oldest(
            self.directory.as_ref(),
            self.expiration_days,
            self.clock.now(),
        );
        let oldest = oldest.await?;
        let Some(user) = owner.filter(|user| tokens::accepts(&user.tokens, &hashed, oldest)) else {
            return Err(LoginError::Unauthorized);
        };
        self.attempts().take_back(address, None);
        may_use_account(&user)?;
        Ok(LoggedIn { user, token })
    }

    async fn with_password(
        &self,
        settings: &Settings,
        name: &LoginName,
        password: PasswordDigest,
        code: Option<&str>,
        address: IpAddr,
    ) -> Result<LoggedIn, LoginError> {
        if settings.truth(LDAP) == Some(true) {
            return Err(Refusal::Ldap.into());
        }
        let limits = Limits::of(settings);
        // What was typed is blocked, also names of nobody, or a block would tell who exists, and which names are of one
        // user. Counted before it is checked, so that many attempts at a time are not more attempts.
        let typed = Typed::of(name);
        self.attempts()
            .begin(address, Some(&typed), &limits, self.clock.now())?;
        let user = self.find_user(name).await?;
        // A user who is blocked by several names looks like nobody, in the answer and in what it costs.
        let user = user.filter(|user| self.attempts().may_try(&user.id, &limits, self.clock.now()));
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let right = self.check(stored, password).await?;
        let Some(user) = user.filter(|_| right) else {
            return Err(LoginError::Unauthorized);
        };
        let allowed = may_use_account(&user)
            .and_then(|()| email_is_verified(&user, settings))
            .and_then(|()| self.second_factor(&user, code, settings));
        if let Err(refusal) = allowed {
            if !refusal.counts() {
                self.attempts().take_back(address, Some((&typed, &user.id)));
            }
            return Err(refusal.into());
        }
        self.attempts().succeed(address, &typed, &user.id);
        let token = random::secret();
        let hashed = tokens::hash(&token);
        self.directory
            .add_login_token(&user.id, &hashed, self.clock.now(), TOKENS)
            .await?;
        Ok(LoggedIn { user, token })
    }

    /// Who has this name. Nobody has one that is too long.
    async fn find_user(&self, name: &LoginName) -> Result<Option<User>, StoreError> {
        let (LoginName::Username(text) | LoginName::Email(text)) = name;
        if text.chars().nth(LONGEST_NAME).is_some() {
            return Ok(None);
        }
        self.directory.find_user(name).await
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        // Counters are true at every instant, also after a panic.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a password is the stored one. Takes the same time when there is none.
    async fn check(
        &self,
        stored: Option<String>,
        password: PasswordDigest,
    ) -> Result<bool, LoginError> {
        let _place = self.waiting.try_acquire().map_err(|_| LoginError::Busy)?;
        let turn = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| LoginError::Busy)?;
        let checked = tokio::task::spawn_blocking(move || {
            // Kept by the check itself: it goes on when whoever asked has left.
            let _turn = turn;
            matches(stored.as_deref(), &password)
        });
        Ok(checked.await?)
    }

    /// The second factor, when the user has one. Both of Rocket.Chat's settings that switch it off for everybody are not
    /// looked at: who has one is asked for it.
    fn second_factor(
        &self,
        user: &User,
        code: Option<&str>,
        settings: &Settings,
    ) -> Result<(), Refusal> {
        let Some(totp) = &user.totp else {
            return if user.email_two_factor {
                Err(Refusal::MailedCodeRequired)
            } else {
                Ok(())
            };
        };
        let code = code.ok_or(Refusal::CodeRequired)?;
        let around = settings.integer(CODES_AROUND).unwrap_or(1);
        let around = u16::try_from(around.clamp(0, MOST_CODES_AROUND)).unwrap_or(0);
        let seconds = u64::try_from(self.clock.now() / 1000).unwrap_or(0);
        let period = matching_period(&totp.secret, code, seconds, around);
        match period {
            Some(period) if self.attempts().spend(&user.id, period) => Ok(()),
            _ => Err(Refusal::CodeInvalid),
        }
    }
}

/// Whether somebody who has proved who he is may have an account (contract §3.2: app, activated, roles).
fn may_use_account(user: &User) -> Result<(), Refusal> {
    if user.kind == "app" {
        Err(Refusal::App)
    } else if !user.active {
        Err(Refusal::NotActivated)
    } else if user.roles.is_empty() {
        Err(Refusal::NoRoles)
    } else {
        Ok(())
    }
}

fn email_is_verified(user: &User, settings: &Settings) -> Result<(), Refusal> {
    let asked = settings.truth(EMAIL_VERIFICATION) == Some(true);
    let exempt = user.roles.iter().any(|role| role == "admin");
    if asked && !exempt && !user.emails.iter().any(|email| email.verified) {
        return Err(Refusal::EmailNotVerified);
    }
    Ok(())
}

/// Compares by bcrypt, which does so in constant time. Whatever is wrong with the stored hash, it costs the same.
fn matches(stored: Option<&str>, password: &PasswordDigest) -> bool {
    let usable = stored.filter(|hash| {
        let cost = hash.parse::<HashParts>().map(|parts| parts.get_cost());
        cost.is_ok_and(|cost| cost <= HIGHEST_COST)
    });
    let equal = bcrypt::verify(password.hex(), usable.unwrap_or(NOBODY)).unwrap_or(false);
    equal && usable.is_some()
}

/// The period, counted from 1970, whose code it is: RFC 6238 with SHA-1 and 6 digits, as authenticators have it.
fn matching_period(secret: &str, code: &str, seconds: u64, around: u16) -> Option<u64> {
    // Spaces are how people write secrets; padding is optional in what others wrote.
    let secret: String = secret
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '=')
        .collect();
    let secret = totp_rs::Secret::try_from_base32(secret.to_uppercase()).ok()?;
    if secret.as_bytes().is_empty() {
        return None;
    }
    totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_digits(6)
        .with_skew(around)
        .with_step_duration(CODE_SECONDS)
        .with_secret(secret)
        // The workspace made the secret; a short one is still what the user's authenticator has.
        .build_noncompliant()
        .check(code.trim(), seconds)
}

#[cfg(test)]
mod tests;

//! Puts the parts together: the only file that names concrete backends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::blob::remote::RemoteStores;
use crate::blob::user_data::choice::{ExportPlaces, KnownPlace};
use crate::blob::user_data::gridfs::GridFsExports;
use crate::blob::user_data::remote::RemoteExports;
use crate::blob::user_data::{UserDataStore, filesystem::UserDataDirectory};
use crate::blob::{
    BlobStore, Blobs, RemoteKind, StoreKind, filesystem::FileSystem, gridfs::GridFsFiles,
};
use crate::clock::Clock;
use crate::config::{Config, ExportPlace, FileStores};
use crate::export::target::Rights;
use crate::jobs::JobQueue;
use crate::jobs::mongo::MongoQueue;
use crate::jobs::sqlite::SqliteQueue;
use crate::mail::Mailer;
use crate::mail::messages::Reader;
use crate::network::Uri;
use crate::store::batches::blocking;
use crate::store::directory::{Directory, Settings, User};
use crate::store::dump::{Dump, DumpSource};
use crate::store::mongo::fetch::{Fetch, FetchProgress};
use crate::store::mongo::{Load, MongoDatabase, MongoDirectory, MongoSource};
use crate::store::sqlite::{self, ImportOutcome, ImportProgress, SqliteDirectory, SqliteSource};
use crate::store::user_data::UserDataFiles;
use crate::store::{MessageSource, RoomId, StoreError};

/// Rocket.Chat's settings of where it keeps files (contract §5.8).
const STORE_TYPE: &str = "FileUpload_Storage_Type";
const STORE_PATH: &str = "FileUpload_FileSystemPath";
/// Where mails go that no server takes, in the directory of the store.
const OUTBOX: &str = "export-room-mails";

/// What every command works with.
#[derive(Clone, Debug)]
pub struct App {
    /// What time it is.
    pub clock: Clock,
    /// Set when the user wants to stop.
    pub cancel: CancellationToken,
}

/// A workspace that has been opened.
pub struct Workspace {
    /// Its rooms and messages.
    pub source: Arc<dyn MessageSource>,
    /// Its file contents.
    pub blobs: Arc<dyn BlobStore>,
    /// Those of its file stores that are reached over the network, unless they are not to be contacted.
    pub stores: Option<Arc<RemoteStores>>,
}

/// What the server and its workers work with.
#[derive(Clone)]
pub struct Service {
    /// The settings.
    pub config: Arc<Config>,
    /// What time it is.
    pub clock: Clock,
    /// Rooms and messages.
    pub source: Arc<dyn MessageSource>,
    /// Contents of attachments.
    pub blobs: Arc<dyn BlobStore>,
    /// Those file stores that are reached over the network, unless they are not to be contacted.
    pub stores: Option<Arc<RemoteStores>>,
    /// Users and what they may do.
    pub directory: Arc<dyn Directory>,
    /// Records of exports' files.
    pub user_data: Arc<dyn UserDataFiles>,
    /// Where exports are stored.
    pub exports: Arc<dyn UserDataStore>,
    /// The queue.
    pub queue: Arc<dyn JobQueue>,
    /// Told when work was enqueued in this process, so that a worker need not wait for its next look.
    pub wake: Arc<Notify>,
    /// Sends mail.
    pub mailer: Arc<Mailer>,
}

impl Service {
    /// Who may do what.
    pub fn access(&self) -> Access {
        Access::new(
            Arc::clone(&self.directory),
            self.config.security.admin_override,
        )
    }

    /// For whom mails and exports of a user are written. The zone of those whose own is not known is `export.timezone`, else
    /// the workspace's, else UTC.
    pub async fn reader(&self, user: Option<&User>) -> Result<Reader, StoreError> {
        let zone = if let Some(zone) = &self.config.export.timezone {
            zone.clone()
        } else {
            let settings = self.directory.settings(&Settings::TIME_ZONE).await?;
            settings.time_zone().unwrap_or(TimeZone::UTC)
        };
        Ok(Reader::of(user, &zone, self.clock.now()))
    }

    /// Whether a running Rocket.Chat is to serve exports from a directory: that of its FileSystem store.
    pub async fn is_shared(&self, exports: &Path) -> Result<bool, StoreError> {
        let address = self.config.workspace.address.reveal().parse();
        if !matches!(address, Ok(Address::Mongo(_))) {
            return Ok(false);
        }
        let settings = self.directory.settings(&[STORE_TYPE, STORE_PATH]).await?;
        let kind = settings.text(STORE_TYPE).map(StoreKind::of);
        let path = settings.text(STORE_PATH).map(Path::new);
        Ok(kind == Some(StoreKind::FileSystem) && path == Some(exports))
    }

    /// How users reach this server, without a slash at the end: `http.site_url`, else the workspace's `Site_Url`
    /// (contract §5.8), else the address that it listens on.
    pub async fn site_url(&self) -> Result<String, StoreError> {
        let url = match &self.config.http.site_url {
            Some(url) => url.clone(),
            None => match self
                .directory
                .settings(&["Site_Url"])
                .await?
                .text("Site_Url")
            {
                Some(url) => url.to_owned(),
                None => format!("http://{}", self.config.http.listen),
            },
        };
        Ok(url.trim().trim_end_matches('/').to_owned())
    }
}

/// The host of a URL, without scheme, user, port and path.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Where a workspace is, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `dump:DIR` or `dump:FILE`.
    Dump(PathBuf),
    /// `mongodb://…` or `mongodb+srv://…`: a live database.
    Mongo(Uri),
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, path) = text.split_once(':').unwrap_or(("", text));
        let shown = Uri::from(text.to_owned());
        match (scheme, path) {
            ("mongodb" | "mongodb+srv", _) => Ok(Self::Mongo(shown)),
            (_, "") => Err(format!("`{text}` names no file")),
            ("sqlite", path) => Ok(Self::Sqlite(path.into())),
            ("dump", path) => Ok(Self::Dump(path.into())),
            _ => Err(format!(
                "`{shown}` is no workspace; say mongodb://HOST/DATABASE for a live database, sqlite:FILE for a workspace file or dump:PATH for a mongodump backup"
            )),
        }
    }
}

/// A backend as both of its contracts.
fn both(
    source: impl MessageSource + BlobStore + 'static,
) -> (Arc<dyn MessageSource>, Arc<dyn BlobStore>) {
    let source = Arc::new(source);
    (Arc::clone(&source) as Arc<dyn MessageSource>, source)
}

/// A live database as both of its contracts.
fn live(database: &MongoDatabase) -> (Arc<dyn MessageSource>, Arc<dyn BlobStore>) {
    (
        Arc::new(MongoSource::new(database.clone())),
        Arc::new(GridFsFiles::new(database)),
    )
}

/// What is kept where the workspace is.
struct Kept {
    directory: Arc<dyn Directory>,
    user_data: Arc<dyn UserDataFiles>,
    queue: Arc<dyn JobQueue>,
}

/// All places that exports may be in, the one for new exports chosen. `live` is the workspace when it is a live database.
fn export_places(
    chosen: ExportPlace,
    directory: UserDataDirectory,
    stores: &Arc<RemoteStores>,
    live: Option<MongoDatabase>,
) -> Result<ExportPlaces, StoreError> {
    let directory: KnownPlace = (StoreKind::FileSystem, Arc::new(directory));
    let mut others = vec![directory];
    for kind in RemoteKind::ALL {
        let place: KnownPlace = (
            StoreKind::Remote(kind),
            Arc::new(RemoteExports::new(Arc::clone(stores), kind)),
        );
        others.push(place);
    }
    if let Some(database) = live {
        others.push((StoreKind::GridFs, Arc::new(GridFsExports::new(database))));
    }
    let new = match chosen {
        ExportPlace::Directory => StoreKind::FileSystem,
        ExportPlace::GridFs => StoreKind::GridFs,
        ExportPlace::Remote(kind) => StoreKind::Remote(kind),
    };
    let at = others.iter().position(|(kind, _)| *kind == new);
    let at = at.ok_or_else(|| {
        StoreError::NotOurs(
            "store.place is gridfs, and the workspace is no live database; choose another place"
                .to_owned(),
        )
    })?;
    let new = others.swap_remove(at);
    Ok(ExportPlaces::new(new, others))
}

/// Where new exports go, and the directory for those that go to one: as configured, else as a live workspace says where
/// Rocket.Chat keeps its own (contract §5.8).
async fn export_place(
    config: &Config,
    directory: &dyn Directory,
    is_live: bool,
) -> Result<(ExportPlace, PathBuf), StoreError> {
    let usual = config.store.directory();
    if let Some(place) = config.store.place {
        return Ok((place, usual));
    }
    if !is_live {
        return Ok((ExportPlace::Directory, usual));
    }
    let settings = directory.settings(&[STORE_TYPE, STORE_PATH]).await?;
    let place = match settings.text(STORE_TYPE) {
        Some(kind) => match StoreKind::of(kind) {
            StoreKind::FileSystem => ExportPlace::Directory,
            StoreKind::Remote(kind) => ExportPlace::Remote(kind),
            StoreKind::GridFs => ExportPlace::GridFs,
            StoreKind::Unsaid | StoreKind::Other(_) => {
                return Err(StoreError::NotOurs(format!(
                    "the workspace keeps files in {kind}, which exports cannot be stored in; say store.place"
                )));
            }
        },
        // Rocket.Chat's own default.
        None => ExportPlace::GridFs,
    };
    let path = match (place, &config.store.directory, settings.text(STORE_PATH)) {
        (ExportPlace::Directory, None, Some(path)) => PathBuf::from(path),
        _ => usual,
    };
    Ok((place, path))
}

impl App {
    /// Opens a workspace. `files` is the directory of a FileSystem store, when the operator has it; `stores` how other
    /// file stores are reached, unless they are not to be contacted; `load` how much of a live database is taken.
    pub async fn open(
        &self,
        address: &Address,
        files: Option<&Path>,
        stores: Option<FileStores>,
        load: Load,
    ) -> Result<Workspace, StoreError> {
        let directory = files.map(FileSystem::new).transpose()?;
        let (source, grid_fs) = match address.clone() {
            Address::Sqlite(path) => blocking(move || Ok(both(SqliteSource::open(&path)?))).await?,
            Address::Dump(path) => {
                let cancel = self.cancel.clone();
                blocking(move || Ok(both(DumpSource::open(&path, None, cancel)?))).await?
            }
            Address::Mongo(uri) => live(&MongoDatabase::connect(&uri, load).await?),
        };
        Ok(Self::workspace(source, grid_fs, directory, stores))
    }

    fn workspace(
        source: Arc<dyn MessageSource>,
        grid_fs: Arc<dyn BlobStore>,
        directory: Option<FileSystem>,
        stores: Option<FileStores>,
    ) -> Workspace {
        let stores = stores.map(|stores| RemoteStores::new(Arc::clone(&source), stores));
        let stores = stores.map(Arc::new);
        Workspace {
            source,
            blobs: Arc::new(Blobs::new(grid_fs, directory, stores.clone())),
            stores,
        }
    }

    /// The same on the machine's clock, also when another was asked for: leases, logins and limits need time that passes.
    #[must_use]
    pub fn on_passing_time(&self) -> Self {
        Self {
            clock: Clock::System,
            ..self.clone()
        }
    }

    /// Opens what a server and its workers need, as configured.
    pub async fn service(&self, config: Config) -> Result<Service, StoreError> {
        let address = config.workspace.address.reveal().parse();
        let load = Load {
            batch: config.workspace.batch,
            pause: config.workspace.pause,
        };
        let files = config.workspace.files.as_deref();
        let files = files.map(FileSystem::new).transpose()?;
        let stores = config.blobs.remote.then(|| config.file_stores());
        let (source, grid_fs, kept, database) = match address.map_err(StoreError::NotOurs)? {
            Address::Sqlite(path) => {
                let opened = blocking(move || {
                    Ok((
                        both(SqliteSource::open(&path)?),
                        Arc::new(SqliteDirectory::open(&path)?),
                        SqliteQueue::open(&path)?,
                    ))
                });
                let ((source, grid_fs), directory, queue) = opened.await?;
                let kept = Kept {
                    directory: Arc::clone(&directory) as Arc<dyn Directory>,
                    user_data: directory,
                    queue: Arc::new(queue),
                };
                (source, grid_fs, kept, None)
            }
            Address::Mongo(uri) => {
                let database = MongoDatabase::connect(&uri, load).await?;
                let (source, grid_fs) = live(&database);
                let directory = Arc::new(MongoDirectory::new(database.clone()));
                let kept = Kept {
                    directory: Arc::clone(&directory) as Arc<dyn Directory>,
                    user_data: directory,
                    queue: Arc::new(MongoQueue::open(database.clone()).await?),
                };
                (source, grid_fs, kept, Some(database))
            }
            Address::Dump(path) => {
                return Err(StoreError::NotOurs(format!(
                    "{} is a dump, and jobs cannot be kept in a dump; load it into a workspace file with `export-room import` and name that",
                    path.display()
                )));
            }
        };
        let Workspace {
            source,
            blobs,
            stores,
        } = Self::workspace(source, grid_fs, files, stores);
        let Kept {
            directory,
            user_data,
            queue,
        } = kept;
        let (place, path) = export_place(&config, &*directory, database.is_some()).await?;
        let rights = if config.store.group_readable {
            Rights::Group
        } else {
            Rights::Owner
        };
        let exports = blocking(move || UserDataDirectory::new(&path, rights)).await?;
        let remote = stores.clone().unwrap_or_else(|| {
            let stores = RemoteStores::new(Arc::clone(&source), config.file_stores());
            Arc::new(stores)
        });
        let exports = export_places(place, exports, &remote, database)?;
        let mailer = Mailer::new(
            config.mail.clone(),
            config.store.directory().join(OUTBOX),
            Arc::clone(&directory),
        );
        Ok(Service {
            config: Arc::new(config),
            clock: self.clock,
            source,
            blobs,
            stores,
            directory,
            user_data,
            exports: Arc::new(exports),
            queue,
            wake: Arc::new(Notify::new()),
            mailer: Arc::new(mailer),
        })
    }

    /// Copies a live database, or these of its rooms, into a directory as mongodump would write it.
    pub async fn fetch(
        &self,
        uri: &Uri,
        load: Load,
        rooms: &[RoomId],
        directory: &Path,
        progress: &mut (dyn FnMut(FetchProgress<'_>) + Send),
    ) -> Result<(), StoreError> {
        let fetch = Fetch {
            database: &MongoDatabase::connect(uri, load).await?.persistent(),
            directory,
            rooms,
            cancel: &self.cancel,
        };
        fetch.run(progress).await
    }

    /// Loads a dump into a workspace file. Blocks.
    pub fn import(
        &self,
        dump: &Path,
        workspace: &Path,
        progress: &mut dyn FnMut(ImportProgress<'_>),
    ) -> Result<ImportOutcome, StoreError> {
        sqlite::import(&Dump::open(dump)?, workspace, progress, &self.cancel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_they_are() {
        let cases = [
            ("sqlite:chat.db", Ok(Address::Sqlite("chat.db".into()))),
            (
                "dump:/backup/x.gz",
                Ok(Address::Dump("/backup/x.gz".into())),
            ),
            ("sqlite:", Err("names no file")),
            ("", Err("names no file")),
            ("chat.db", Err("sqlite:FILE")),
            ("mysql://u:geheim@h/db", Err("`mysql://h/db` is no")),
            (
                "mongodb://u:geheim@h/db",
                Ok(Address::Mongo("mongodb://u:geheim@h/db".to_owned().into())),
            ),
        ];
        for (text, expected) in cases {
            match (text.parse::<Address>(), expected) {
                (Ok(address), Ok(expected)) => assert_eq!(address, expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
    }
}

//! The table of pages. A database of its own, because pages are cut on a thread of their own.

use rusqlite::{Connection, OptionalExtension, params};
use transcript::output::PageBounds;

use super::{LedgerError, private_database};

/// KiB of it that are kept in memory.
const CACHE: u32 = 128;

/// Where pages begin and end, on disk.
pub struct Bounds(Connection);

impl Bounds {
    /// None yet.
    pub fn new() -> Result<Self, LedgerError> {
        Ok(Self(private_database(
            CACHE,
            "CREATE TABLE page (number INTEGER PRIMARY KEY, ts INTEGER, id BLOB, first INTEGER, last INTEGER);
             CREATE INDEX page_place ON page (ts, id);",
        )?))
    }

    /// Adds a page; they come in order.
    pub fn add(&self, number: u32, bounds: &PageBounds) -> Result<(), LedgerError> {
        self.0
            .prepare_cached("INSERT INTO page VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                number,
                bounds.ts,
                bounds.id,
                bounds.first,
                bounds.last
            ])?;
        Ok(())
    }

    /// The bounds of a page; `None` behind the last.
    pub fn get(&self, number: u32) -> Result<Option<PageBounds>, LedgerError> {
        Ok(self
            .0
            .prepare_cached("SELECT ts, id, first, last FROM page WHERE number = ?1")?
            .query_row([number], |row| {
                Ok(PageBounds {
                    ts: row.get(0)?,
                    id: row.get(1)?,
                    first: row.get(2)?,
                    last: row.get(3)?,
                })
            })
            .optional()?)
    }

    /// The page that a place is on.
    pub fn page_of(&self, ts: i64, id: &[u8]) -> Result<u32, LedgerError> {
        let page = self
            .0
            .prepare_cached(
                "SELECT number FROM page WHERE (ts, id) <= (?1, ?2) ORDER BY ts DESC, id DESC LIMIT 1",
            )?
            .query_row(params![ts, id], |row| row.get(0))
            .optional()?;
        Ok(page.unwrap_or(0))
    }
}

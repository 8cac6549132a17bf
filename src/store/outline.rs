//! Where the messages of a query are, without the messages: what pages are cut by before the first is rendered.

use async_trait::async_trait;
use transcript::bson::Doc;

use super::order::{Marks, MessageKey};
use super::{MessageCursor, StoreError};

/// Places that travel together.
const BATCH: usize = 1024;

/// A message's place in the order of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// `ts` in milliseconds; `i64::MIN` when there is none that can be read.
    pub ts: i64,
    /// `_id` as bytes of text; for a message without one, bytes that no text begins with.
    pub id: &'a [u8],
    /// Bytes of its document.
    pub size: u32,
    /// Whether it is an old version or a deleted message that the workspace kept (`_hidden`).
    pub hidden: bool,
}

/// Some places, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceBatch {
    /// Instant, size, where the id ends in `ids`, hidden.
    places: Vec<(i64, u32, usize, bool)>,
    ids: Vec<u8>,
}

impl PlaceBatch {
    /// Appends a place.
    pub fn push(&mut self, place: Place<'_>) {
        self.ids.extend_from_slice(place.id);
        self.places
            .push((place.ts, place.size, self.ids.len(), place.hidden));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether it is time to hand it on.
    pub(crate) fn is_full(&self) -> bool {
        self.places.len() >= BATCH
    }

    /// The places in order.
    pub fn iter(&self) -> impl Iterator<Item = Place<'_>> {
        let mut start = 0;
        self.places.iter().map(move |&(ts, size, end, hidden)| {
            let id = &self.ids[start..end];
            start = end;
            Place {
                ts,
                id,
                size,
                hidden,
            }
        })
    }
}

/// A running read of places.
#[async_trait]
pub trait OutlineCursor: Send {
    /// The next places, a few thousand of them; `None` at the end.
    async fn next_batch(&mut self) -> Result<Option<PlaceBatch>, StoreError>;
}

/// An outline made from the documents themselves, for sources that know nothing cheaper.
pub struct Outline {
    messages: Box<dyn MessageCursor>,
}

impl Outline {
    /// The outline of these messages.
    pub fn of(messages: Box<dyn MessageCursor>) -> Self {
        Self { messages }
    }
}

#[async_trait]
impl OutlineCursor for Outline {
    async fn next_batch(&mut self) -> Result<Option<PlaceBatch>, StoreError> {
        let Some(docs) = self.messages.next_batch().await? else {
            return Ok(None);
        };
        let mut places = PlaceBatch::default();
        for bytes in docs.docs() {
            // What is damaged has the place that its readable beginning says.
            let key = MessageKey::read(Doc::new(bytes).unwrap_or(Doc::EMPTY));
            places.push(Place {
                ts: key.ts,
                id: &key.id_in(bytes),
                size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                hidden: key.marks.has(Marks::HIDDEN),
            });
        }
        Ok(Some(places))
    }
}

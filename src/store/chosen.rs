//! A workspace of which only chosen messages are seen: everything else is as it is in the one behind it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use transcript::bson::Doc;

use super::directory::Settings;
use super::order::{Marks, MessageKey};
use super::{
    AvatarOf, DocBatch, MessageCursor, MessageQuery, MessageSource, RawDoc, RoomId, RoomSummary,
    StoreError, UploadId,
};

/// The messages of a workspace that have one of some ids.
pub(crate) struct ChosenMessages {
    inner: Arc<dyn MessageSource>,
    ids: Vec<String>,
}

impl ChosenMessages {
    /// Those of `inner` that have one of these ids.
    pub(crate) fn new(inner: Arc<dyn MessageSource>, ids: &[String]) -> Self {
        Self {
            inner,
            ids: ids.to_vec(),
        }
    }
}

#[async_trait]
impl MessageSource for ChosenMessages {
    async fn rooms(
        &self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomSummary>, StoreError> {
        self.inner.rooms(after, limit).await
    }

    async fn find_rooms(&self, name: &str, limit: usize) -> Result<Vec<RawDoc>, StoreError> {
        self.inner.find_rooms(name, limit).await
    }

    async fn count(&self, query: &MessageQuery) -> Result<u64, StoreError> {
        let mut cursor = self.messages(query).await?;
        let mut count = 0;
        while let Some(batch) = cursor.next_batch().await? {
            count += batch.len() as u64;
        }
        Ok(count)
    }

    async fn messages(&self, query: &MessageQuery) -> Result<Box<dyn MessageCursor>, StoreError> {
        Ok(Box::new(Matching {
            inner: self.inner.chosen(&query.room, &self.ids).await?,
            query: query.clone(),
        }))
    }

    async fn chosen(
        &self,
        room: &RoomId,
        ids: &[String],
    ) -> Result<Box<dyn MessageCursor>, StoreError> {
        let own: HashSet<_> = self.ids.iter().collect();
        let both: Vec<_> = ids.iter().filter(|id| own.contains(id)).cloned().collect();
        self.inner.chosen(room, &both).await
    }

    async fn upload(&self, id: &UploadId) -> Result<Option<RawDoc>, StoreError> {
        self.inner.upload(id).await
    }

    async fn upload_stores(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.inner.upload_stores().await
    }

    async fn settings(&self, ids: &[&str]) -> Result<Settings, StoreError> {
        self.inner.settings(ids).await
    }

    async fn avatar(&self, of: &AvatarOf) -> Result<Option<RawDoc>, StoreError> {
        self.inner.avatar(of).await
    }

    async fn custom_emoji(&self, name: &str) -> Result<Option<RawDoc>, StoreError> {
        self.inner.custom_emoji(name).await
    }

    async fn roles(&self, room: &RoomId, user: &str) -> Result<Vec<String>, StoreError> {
        self.inner.roles(room, user).await
    }
}

/// Those messages of a read that a query asks for.
struct Matching {
    inner: Box<dyn MessageCursor>,
    query: MessageQuery,
}

#[async_trait]
impl MessageCursor for Matching {
    async fn next_batch(&mut self) -> Result<Option<DocBatch>, StoreError> {
        let wanted = Marks::wanted(self.query.selection);
        while let Some(batch) = self.inner.next_batch().await? {
            let mut matching = DocBatch::default();
            for doc in batch.docs() {
                let key = MessageKey::read(Doc::new(doc).unwrap_or(Doc::EMPTY));
                if self.query.window.contains(key.ts)
                    && wanted.is_none_or(|wanted| key.marks.has(wanted))
                {
                    matching.push(doc);
                }
            }
            if !matching.is_empty() {
                return Ok(Some(matching));
            }
        }
        Ok(None)
    }
}

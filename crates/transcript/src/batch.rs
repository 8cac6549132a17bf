//! Raw BSON documents on their way from a source to a renderer.

/// Some raw BSON documents, one after the other in one buffer.
///
/// BSON documents begin with their own length (bsonspec.org), so no index beside the buffer is needed. The only thing
/// that flows from any source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocBatch {
    bytes: Vec<u8>,
    len: usize,
}

impl DocBatch {
    /// An empty batch with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            len: 0,
        }
    }

    /// Appends a document as it is. A document whose length field contradicts its slice is appended with the slice's
    /// length in the field, so that one damaged document cannot shift its neighbours; its content is judged when it
    /// is decoded.
    pub fn push(&mut self, doc: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(doc);
        if doc.len() < 5 {
            self.bytes.resize(start + 5, 0);
        }
        let size = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&size.to_le_bytes());
        self.len += 1;
    }

    /// How many documents there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Size of all documents in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The documents in order.
    pub fn docs(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (length, _) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (doc, tail) = rest.split_at_checked(length)?;
            rest = tail;
            Some(doc)
        })
    }
}

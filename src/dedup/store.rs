use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use crate::{contain::contain_drop, event::EventKey};

/// The state of event keys: which are being handled, and which were handled. Used by
/// [`DedupLayer`](super::DedupLayer).
///
/// There are four operations, each on several keys at once. A key is in one of three states:
///
/// ```text
///            claim(token, lease)             commit(token, window)
///   absent ─────────────────────▶ pending ─────────────────────────▶ done, for the window
///      ▲       release(token)      ▲ │  │ the lease expires
///      └───────────────────────────┼─┘  └──▶ as if absent
///                                  └── renew(token, lease): the lease starts again
/// ```
///
/// # Rules
///
/// 1. Operations on one key are atomic: of several concurrent claims exactly one succeeds. The keys
///    of one call need not change atomically together.
/// 2. A pending key belongs to a [`Token`]. A commit, renewal or release under another token does
///    not change it. A handler that was slower than its lease must not interfere with its
///    successor.
/// 3. A commit of an absent key records it as done. Either the lease has expired and nobody has
///    claimed the key, or the store has lost it; the work was done in both cases. A renewal of an
///    absent key makes it pending again under its token: the absence has the same two reasons, and
///    the handler is still running.
/// 4. A done key stays done until its window has passed. No claim, renewal, commit or release
///    changes that or shortens the window.
/// 5. Operations are idempotent. A claim under the token that holds the key succeeds, and so does a
///    commit of a done key. Calls are repeated when their answer was lost.
/// 6. The clock of the store decides what has expired, not the clocks of its callers.
/// 7. Pending keys are never evicted. A full store refuses the claim with [`StoreError::full`] or
///    [`full_because`](StoreError::full_because).
/// 8. Answers are in the order of the keys. The keys of one call are distinct.
///
/// A dropped future may or may not have had its effect. The layer puts a timeout on every call, and
/// releases the keys that a failed call may have claimed.
///
#[cfg_attr(
    feature = "testing",
    doc = "[`testing::store::conformance`](crate::testing::store::conformance) checks the rules on any store."
)]
#[cfg_attr(
    not(feature = "testing"),
    doc = "`testing::store::conformance` (feature `testing`) checks the rules on any store."
)]
///
/// # Calls
///
/// The layer passes at most 256 keys to one call, sorted, and makes several calls for a larger
/// delivery. Each call has its own [timeout](super::DedupLayerBuilder::store_timeout).
///
/// # Implementing a store
///
/// Beware of a claim in two steps that inserts the absent keys first and looks up the others then.
/// The lookup may not find a key, because its holder has released it in between. **An absent key is
/// not done.** Return [`Claim::Pending`] for it; the layer claims it again. With [`Claim::Done`]
/// the layer would answer 200 for an event that nobody has handled, and Meta would never send it
/// again.
///
/// The same applies to a commit in two steps: return [`Commit::Fenced`] for a key that the first
/// step did not record and the second step does not find.
///
/// Overlapping batches deadlock in a database unless every operation, including release, locks its
/// rows in the order of their keys. Expired entries need an index and a purge in small batches.
///
/// `examples/sql_store` in the repository is a store on PostgreSQL to copy from, with its schema,
/// its purge, and tests on a real server. Each of its operations is a single SQL statement that
/// returns one row per key, so it needs no second step.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of handled events",
    label = "not a `Store`",
    note = "`MemoryStore` is one for a single process, and `RedisStore` (feature `redis`) for several",
    note = "a store of your own implements `tower_whatsapp::dedup::Store`; `Arc<S>` and `S` are stores alike"
)]
pub trait Store: Send + Sync + 'static {
    /// Makes each absent key pending under the token until the lease expires.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the result is unknown or the store is full. Some keys may have been
    /// claimed nevertheless.
    fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send;

    /// Extends the lease of each key, counted from now, because its handler is still running.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the result is unknown. Some keys may have been renewed nevertheless.
    fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Renewal>, StoreError>> + Send;

    /// Records each key as done for its window, counted from now.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the result is unknown. Some keys may have been recorded nevertheless.
    fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> impl Future<Output = Result<Vec<Commit>, StoreError>> + Send;

    /// Makes each key that is pending under the token absent again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the result is unknown. Some keys may have been released nevertheless.
    fn release(
        &self,
        keys: &[EventKey],
        token: Token,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the number of keys in the store, for a metric, if it is known without waiting. The
    /// default is `None`. Called every ten seconds at most.
    fn len_hint(&self) -> Option<usize> {
        None
    }
}

/// Result of a claim for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three states")]
pub enum Claim {
    /// The key is pending under the caller's token.
    Claimed,
    /// The key is pending under another token.
    Pending,
    /// The key is done.
    Done,
}

/// Result of a renewal for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two outcomes")]
pub enum Renewal {
    /// The key is pending under the caller's token, for the lease counted from now.
    Renewed,
    /// The lease expired, and another holder has claimed or committed the key. Nothing changed.
    Lost,
}

/// Result of a commit for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two outcomes")]
pub enum Commit {
    /// The key is done.
    Recorded,
    /// The lease expired, and the key is pending under another token. Nothing changed.
    Fenced,
}

/// The holder of a pending key: 128 random bits, generated for each delivery before its first
/// claim.
#[doc(alias = "fencing token")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// Returns a random token, unique for all practical purposes.
    #[must_use]
    pub fn random() -> Self {
        // The keys of `RandomState` come from the operating system once per thread; then only a
        // counter changes, so they are hashed. A token must be unique; it need not be secret.
        let mut token = [0; 16];
        for part in token.chunks_exact_mut(8) {
            part.copy_from_slice(&RandomState::new().hash_one(()).to_ne_bytes());
        }
        Self(token)
    }

    /// Creates a token from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the token.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:032x})", u128::from_be_bytes(self.0))
    }
}

/// Error of a [`Store`] operation.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store could not be reached, did not answer in time, or gave an unexpected answer.
    Unavailable,
    /// The store has no room and cannot evict anything.
    Full,
}

impl StoreError {
    /// Creates an error of the kind [`Unavailable`](StoreErrorKind::Unavailable): the store could
    /// not be reached or did not perform the operation, for this reason.
    ///
    /// With the feature `tracing` the text of the reason and of its sources is logged, so it must
    /// contain no password and nothing of an event.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(source.into()),
        }
    }

    /// Creates an error of the kind [`Full`](StoreErrorKind::Full): there is no room for a claim.
    /// [`full_because`](Self::full_because) has a cause too.
    #[must_use]
    pub fn full() -> Self {
        Self {
            kind: StoreErrorKind::Full,
            source: None,
        }
    }

    /// Creates an error of the kind [`Full`](StoreErrorKind::Full), with the error of a server that
    /// refused the claim.
    pub fn full_because(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: StoreErrorKind::Full,
            source: Some(source.into()),
        }
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// The cause is foreign code: its `Drop` must not end the task of a delivery.
impl Drop for StoreError {
    fn drop(&mut self) {
        contain_drop(self.source.take());
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store of handled events is not available",
            StoreErrorKind::Full => "the store of handled events is full",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// For a store that several layers share, or that the host keeps a handle to.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send {
        S::claim(self, keys, token, lease)
    }

    fn renew(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Renewal>, StoreError>> + Send {
        S::renew(self, keys, token, lease)
    }

    fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> impl Future<Output = Result<Vec<Commit>, StoreError>> + Send {
        S::commit(self, keys, token)
    }

    fn release(
        &self,
        keys: &[EventKey],
        token: Token,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        S::release(self, keys, token)
    }

    fn len_hint(&self) -> Option<usize> {
        S::len_hint(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_full_store_can_have_a_cause() {
        let error = StoreError::full_because("disk quota exceeded");
        assert_eq!(error.kind(), StoreErrorKind::Full);
        assert_eq!(error.source().unwrap().to_string(), "disk quota exceeded");
        assert!(StoreError::full().source().is_none());
    }

    #[test]
    fn tokens_differ() {
        let tokens: HashSet<_> = (0..100_000).map(|_| Token::random()).collect();
        assert_eq!(tokens.len(), 100_000);
    }
}

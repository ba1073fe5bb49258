use std::{
    error::Error,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use crate::event::EventKey;

/// Remembers which events are being handled and which were: what a [`DedupLayer`](super::DedupLayer) asks of a store.
///
/// There are five operations, each on all keys of a delivery at once. A key is in one of three states:
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
/// 1. What happens to one key is atomic: of any number of claims at the same time one gets it. The keys of one call need not change
///    together.
/// 2. A pending key belongs to a [`Token`]. A commit, renewal or release under another token does not
///    change it: a handler that was slower than its lease must not end the run of its successor.
/// 3. A commit of a key that is absent records it as done: the lease has passed and nobody has taken it, or the store has lost it.
///    The work was done all the same. A renewal of a key that is absent makes it pending again under
///    its token, for the same two reasons: the handler is still running.
/// 4. Done stays done until its window has passed: no claim, renewal, commit or release takes it back
///    or shortens it.
/// 5. The same call again changes nothing more: a claim under the token that holds the key succeeds, a commit of what is done too.
///    Calls are repeated when their answer was lost.
/// 6. The store's clock decides what has passed, not that of its callers.
/// 7. What is pending is never evicted to make room: a store that is full refuses the claim with [`StoreError::full`].
/// 8. Every answer is in the order of the keys, of which no two are the same in one call.
///
/// A future that is dropped may or may not have had its effect. The layer puts a time limit on every call, and gives back what it may
/// have claimed.
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
/// The layer asks for at most 256 keys in one call, sorted, and makes several calls for a larger
/// delivery. Each has a [timeout](super::DedupLayerBuilder::store_timeout) of its own.
///
/// # Writing a store
///
/// A claim that takes two steps, first taking the free keys and then looking up who has the others,
/// may find nothing at the second step: the holder has released the key in between. **An absent key
/// is not done.** It is still [`Claim::Pending`] for the caller, who will ask again. A store that
/// answers [`Claim::Done`] there makes the layer answer 200 for an event that nobody has handled,
/// and Meta never sends it again. The same goes for a commit: a key that it did not record, and
/// that is gone at the second step, is [`Commit::Fenced`].
///
/// Two overlapping batches deadlock unless every operation locks its rows in the order of their
/// keys, and a release does so too. Expired entries need an index and a purge in small batches.
///
/// `examples/sql_store` in the repository is a store on PostgreSQL to copy from, with its schema,
/// its purge, and tests on a real server. Each of its operations is one statement that returns a
/// row for every key, so there is no second step.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of handled events",
    label = "not a `Store`",
    note = "`MemoryStore` is one for a single process, and `RedisStore` (feature `redis`) for several",
    note = "a store of your own implements `tower_whatsapp::dedup::Store`; `Arc<S>` and `S` are stores alike"
)]
pub trait Store: Send + Sync + 'static {
    /// Takes each key that is absent, until the lease has passed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be told, or there is no room. Some keys may have been claimed all the same.
    fn claim(
        &self,
        keys: &[EventKey],
        token: Token,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send;

    /// Starts the lease of each key again, counted from now, while its handler is still running.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the result is unknown. Some keys may have been renewed all the same.
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
    /// [`StoreError`] if it cannot be told. Some keys may have been recorded all the same.
    fn commit(
        &self,
        keys: &[(EventKey, Duration)],
        token: Token,
    ) -> impl Future<Output = Result<Vec<Commit>, StoreError>> + Send;

    /// Makes each key that is pending under the token absent again.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be told. Some keys may have been released all the same.
    fn release(
        &self,
        keys: &[EventKey],
        token: Token,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What a claim found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are three states")]
pub enum Claim {
    /// The key is the caller's now.
    Claimed,
    /// Somebody else is handling it.
    Pending,
    /// It was handled.
    Done,
}

/// Result of a renewal for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two outcomes")]
pub enum Renewal {
    /// The key is pending under the caller's token, for the lease counted from now.
    Renewed,
    /// The lease expired, and another holder has claimed the key or has handled it. Nothing changed.
    Lost,
}

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two outcomes")]
pub enum Commit {
    /// The key is done.
    Recorded,
    /// Somebody else holds it since the lease has passed: nothing was changed.
    Fenced,
}

/// Who holds a key: 128 random bits, made anew for every delivery and before the store hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// A token that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        // `RandomState` is the randomness of the operating system that the standard library hands out, the same for a whole thread
        // but for a counter: so it is hashed, and there is nothing to be guessed here.
        let mut token = [0; 16];
        for part in token.chunks_exact_mut(8) {
            part.copy_from_slice(&RandomState::new().hash_one(()).to_ne_bytes());
        }
        Self(token)
    }

    /// The token of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
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

/// Why a store did not do what was asked of it.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It could not be reached, did not answer in time, or answered something else.
    Unavailable,
    /// It has no room, and everything in it is needed.
    Full,
}

impl StoreError {
    /// The store could not be reached or did not do it, for this reason.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(source.into()),
        }
    }

    /// The store has no room for a claim.
    #[must_use]
    pub fn full() -> Self {
        Self {
            kind: StoreErrorKind::Full,
            source: None,
        }
    }

    /// The reason.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
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

/// A store that several layers share, or that the host keeps a handle to.
impl<S: Store> Store for Arc<S> {
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
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_differ() {
        let tokens: HashSet<_> = (0..100_000).map(|_| Token::random()).collect();
        assert_eq!(tokens.len(), 100_000);
    }
}

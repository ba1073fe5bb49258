/// Says that a request was verified, and how. In the extensions of every request that the layer lets through on its path.
///
/// Nobody else can make one, and values that another layer may have left are removed from every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    secret_index: usize,
}

impl Verified {
    pub(super) fn new(secret_index: usize) -> Self {
        Self { secret_index }
    }

    /// Which secret made the signature: 0 for the first that was given to the builder. During a rotation this tells when the old
    /// one is no longer used.
    #[must_use]
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }
}

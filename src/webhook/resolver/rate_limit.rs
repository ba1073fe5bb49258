use tokio::time::Instant;

/// A token bucket that holds one second's worth of tokens. It starts full.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: u32,
    tokens: f64,
    refilled_at: Option<Instant>,
}

impl TokenBucket {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            tokens: 0.0,
            refilled_at: None,
        }
    }

    /// Takes a token. Returns false if there is none.
    pub(super) fn try_take(&mut self, now: Instant) -> bool {
        let capacity = f64::from(self.per_second);
        let refill = self.refilled_at.replace(now).map_or(capacity, |then| {
            now.duration_since(then).as_secs_f64() * capacity
        });
        self.tokens = (self.tokens + refill).min(capacity);
        let is_available = self.tokens >= 1.0;
        if is_available {
            self.tokens -= 1.0;
        }
        is_available
    }
}

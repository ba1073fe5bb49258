use super::rng::checked_probability;

/// Probabilities of the faults that a [`FaultyStore`](super::FaultyStore) injects into one
/// operation.
///
/// A call has at most one fault. The probabilities are tried in the order of the setters below:
/// where their sum is above 1, the last ones are cut short.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[must_use]
pub struct FaultRates {
    pub(super) error: f64,
    pub(super) hang: f64,
    pub(super) applied_then_error: f64,
    pub(super) applied_then_hang: f64,
    pub(super) hang_then_applied: f64,
}

impl FaultRates {
    /// Injects no faults.
    pub const fn none() -> Self {
        Self {
            error: 0.0,
            hang: 0.0,
            applied_then_error: 0.0,
            applied_then_hang: 0.0,
            hang_then_applied: 0.0,
        }
    }

    /// Splits this probability evenly among the five faults.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub const fn uniform(probability: f64) -> Self {
        let each = checked_probability(probability) / 5.0;
        Self {
            error: each,
            hang: each,
            applied_then_error: each,
            applied_then_hang: each,
            hang_then_applied: each,
        }
    }

    /// Sets the probability that the operation is not applied and returns an error.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub const fn error(mut self, probability: f64) -> Self {
        self.error = checked_probability(probability);
        self
    }

    /// Sets the probability that the operation is not applied and never returns.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub const fn hang(mut self, probability: f64) -> Self {
        self.hang = checked_probability(probability);
        self
    }

    /// Sets the probability that the operation is applied and returns an error: its reply is lost.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[doc(alias = "lost reply")]
    #[track_caller]
    pub const fn applied_then_error(mut self, probability: f64) -> Self {
        self.applied_then_error = checked_probability(probability);
        self
    }

    /// Sets the probability that the operation is applied and never returns.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub const fn applied_then_hang(mut self, probability: f64) -> Self {
        self.applied_then_hang = checked_probability(probability);
        self
    }

    /// Sets the probability that the operation never returns and is applied up to 10 s later,
    /// after other operations that were called in between. Needs a Tokio runtime.
    ///
    /// # Panics
    ///
    /// If the probability is NaN or outside `0.0..=1.0`.
    #[track_caller]
    pub const fn hang_then_applied(mut self, probability: f64) -> Self {
        self.hang_then_applied = checked_probability(probability);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_outside_0_to_1_is_refused() {
        for invalid in [f64::NAN, -0.1, 1.1, f64::INFINITY, f64::NEG_INFINITY] {
            for setter in [
                |_, probability| FaultRates::uniform(probability),
                FaultRates::error,
                FaultRates::hang,
                FaultRates::applied_then_error,
                FaultRates::applied_then_hang,
                FaultRates::hang_then_applied,
            ] {
                let set = || setter(FaultRates::none(), invalid);
                assert!(std::panic::catch_unwind(set).is_err(), "{invalid}");
            }
        }
        for valid in [0.0, -0.0, f64::MIN_POSITIVE, 1.0] {
            let _ = FaultRates::none().error(valid);
        }
    }
}

//! Why receiving a body failed.

use std::error::Error;

use http_body_util::LengthLimitError;

/// Text of `tower_http::timeout::TimeoutError`. The type differs in each major version of
/// tower-http; the text is the same in all of them.
const TOWER_HTTP_TIMEOUT: &str = "data was not received within the designated timeout";

/// Why receiving a body failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveError {
    TooLarge,
    #[cfg(feature = "tokio")]
    Deadline,
    #[cfg(feature = "tokio")]
    Idle,
    Budget,
    /// A timeout of an outer layer ended the body.
    TimedOut,
    Broken,
}

impl ReceiveError {
    /// Classifies an error of the body. A limit or a timeout of an outer layer may be anywhere in
    /// the chain of sources. Any other error means that the body is broken.
    pub(crate) fn from_body_error(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if error.is::<LengthLimitError>() {
                return Self::TooLarge;
            }
            if is_timeout(error) {
                return Self::TimedOut;
            }
            // `source` of an I/O error skips the error that it was made of.
            let io = error.downcast_ref::<std::io::Error>();
            next = match io.and_then(std::io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        Self::Broken
    }
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "tokio")]
    if error.is::<tokio::time::error::Elapsed>() {
        return true;
    }
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => error.kind() == std::io::ErrorKind::TimedOut,
        None => error.to_string() == TOWER_HTTP_TIMEOUT,
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, Limited};
    use tower::BoxError;

    use super::*;

    #[derive(Debug)]
    struct Outer(BoxError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    /// Each cause, as the outer layer makes it.
    async fn causes() -> Vec<(ReceiveError, BoxError)> {
        let limited = Limited::new(Full::<Bytes>::from("too long"), 1);
        vec![
            (
                ReceiveError::TooLarge,
                limited.collect().await.err().unwrap(),
            ),
            #[cfg(feature = "tokio")]
            (
                ReceiveError::TimedOut,
                tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>())
                    .await
                    .unwrap_err()
                    .into(),
            ),
            (
                ReceiveError::TimedOut,
                io::Error::from(io::ErrorKind::TimedOut).into(),
            ),
            (ReceiveError::TimedOut, TOWER_HTTP_TIMEOUT.into()),
            (
                ReceiveError::Broken,
                io::Error::from(io::ErrorKind::ConnectionReset).into(),
            ),
            (ReceiveError::Broken, "another".into()),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn the_cause_is_found_anywhere_in_the_chain() {
        let places: [fn(BoxError) -> BoxError; 5] = [
            |cause| cause,
            |cause| Outer(cause).into(),
            |cause| Outer(Outer(cause).into()).into(),
            |cause| io::Error::other(cause).into(),
            |cause| Outer(io::Error::other(Outer(cause)).into()).into(),
        ];
        for place in places {
            for (expected, cause) in causes().await {
                let error = place(cause);
                let found = ReceiveError::from_body_error(&*error);
                assert_eq!(found, expected, "{error:?}");
            }
        }
    }
}

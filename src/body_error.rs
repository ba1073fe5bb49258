//! Why a body could not be read, as far as a layer outside of ours has decided it.

use std::error::Error;

use http_body_util::LengthLimitError;

use crate::receive::ReceiveError;

/// `tower_http::timeout::TimeoutError`. Its type is another one in each version of the crate, and
/// the text is the same in all.
const TIMED_OUT: &str = "data was not received within the designated timeout";

/// Whether a limit or a timeout of another layer has ended the body. Anything else broke it.
pub(crate) fn receive_error(error: &(dyn Error + 'static)) -> ReceiveError {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return ReceiveError::TooLarge;
        }
        if is_timeout(error) {
            return ReceiveError::TimedOut;
        }
        next = error.source();
    }
    ReceiveError::Broken
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "tokio")]
    if error.is::<tokio::time::error::Elapsed>() {
        return true;
    }
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => error.kind() == std::io::ErrorKind::TimedOut,
        None => error.to_string() == TIMED_OUT,
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Outer(Box<dyn Error + Send + Sync>);

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

    #[test]
    fn the_cause_counts_wherever_it_is_in_the_chain() {
        let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(receive_error(&timed_out()), ReceiveError::TimedOut);
        assert_eq!(receive_error(&reset), ReceiveError::Broken);
        let nested = Outer(Outer(timed_out().into()).into());
        assert_eq!(receive_error(&nested), ReceiveError::TimedOut);
        let text = Outer(TIMED_OUT.into());
        assert_eq!(receive_error(&text), ReceiveError::TimedOut);
        assert_eq!(receive_error(&Outer("a".into())), ReceiveError::Broken);
    }
}

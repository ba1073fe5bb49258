//! Whether a response says that a delivery was handled.

use http::{HeaderName, Response, header};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC: &[u8] = b"application/grpc";

/// Whether the events are handled: a 2xx that gRPC does not contradict.
///
/// gRPC answers 200 and puts the result into `grpc-status`. It is in the head of a response that has
/// no messages, as every error of tonic's router, interceptors and layers is. Otherwise it is in
/// the trailers, after the head has been sent. Such a response counts as a failure: a delivery is
/// no gRPC message, so no gRPC method can have handled it, and waiting for the trailers would mean
/// to buffer a stream of any length.
pub(crate) fn is_success<R>(response: &Response<R>) -> bool {
    if !response.status().is_success() {
        return false;
    }
    let headers = response.headers();
    if headers.is_empty() {
        return true;
    }
    let mut results = headers.get_all(GRPC_STATUS).iter().peekable();
    if results.peek().is_some() {
        return results.all(|result| result.as_bytes() == b"0");
    }
    let kind = headers.get(header::CONTENT_TYPE);
    !kind.is_some_and(|kind| is_grpc(kind.as_bytes()))
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web` and the like.
fn is_grpc(content_type: &[u8]) -> bool {
    let prefix = content_type.get(..GRPC.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(GRPC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&str, &str)]) -> bool {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        is_success(&response.body(()).unwrap())
    }

    #[test]
    fn the_http_status_decides_where_there_is_no_grpc() {
        for status in 100..1000 {
            let expected = (200..300).contains(&status);
            assert_eq!(judged(status, &[]), expected);
            assert_eq!(judged(status, &[("content-type", "text/plain")]), expected);
        }
    }

    #[test]
    fn a_grpc_status_in_the_head_decides() {
        let grpc = ("content-type", "application/grpc");
        assert!(judged(200, &[("grpc-status", "0")]));
        assert!(judged(200, &[grpc, ("grpc-status", "0")]));
        assert!(!judged(503, &[grpc, ("grpc-status", "0")]));
        for status in ["1", "8", "12", "16", "00", "", "zero"] {
            assert!(!judged(200, &[("grpc-status", status)]), "{status}");
            assert!(!judged(200, &[grpc, ("grpc-status", status)]), "{status}");
        }
        assert!(!judged(200, &[("grpc-status", "0"), ("grpc-status", "5")]));
    }

    #[test]
    fn a_grpc_status_that_is_still_to_come_is_no_success() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC",
            "application/grpc-web+proto",
        ] {
            assert!(!judged(200, &[("content-type", kind)]), "{kind}");
        }
        assert!(judged(200, &[("content-type", "application/g")]));
    }
}

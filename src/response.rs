//! Whether a response means that a delivery was handled.

use http::{HeaderName, Response, StatusCode, header};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC: &[u8] = b"application/grpc";

/// Whether the events were handled: the status is 2xx, and no gRPC status contradicts it.
///
/// gRPC always answers 200 and puts the result into `grpc-status`. In a response without messages,
/// such as every error of tonic's router, interceptors and layers, that is a header. Otherwise it
/// is a trailer, which follows after the head has been sent. Such a response counts as a failure:
/// a delivery is not a gRPC message, so no gRPC method can have handled it, and waiting for the
/// trailers would mean buffering a stream of unknown length.
pub(crate) fn is_success<R>(response: &Response<R>) -> bool {
    if !response.status().is_success() {
        return false;
    }
    let headers = response.headers();
    if headers.is_empty() {
        return true;
    }
    let mut statuses = headers.get_all(GRPC_STATUS).iter().peekable();
    if statuses.peek().is_some() {
        return statuses.all(|status| status.as_bytes() == b"0");
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    !content_type.is_some_and(|value| is_grpc(value.as_bytes()))
}

/// Why an inner service did not handle a delivery, where its response says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing serves the path.
    RouteMissing,
    /// Something in front of the handler denied or redirected the request.
    Denied,
}

/// Classifies a response by its status, or by its `grpc-status` if the status is 2xx.
pub(crate) fn refusal<R>(response: &Response<R>) -> Option<Refusal> {
    let status = response.status();
    if status.is_success() {
        let headers = response.headers();
        if headers.is_empty() {
            return None;
        }
        // Unimplemented; permission denied and unauthenticated.
        return match headers.get(GRPC_STATUS)?.as_bytes() {
            b"12" => Some(Refusal::RouteMissing),
            b"7" | b"16" => Some(Refusal::Denied),
            _ => None,
        };
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Some(Refusal::RouteMissing),
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Some(Refusal::Denied),
        status if status.is_redirection() => Some(Refusal::Denied),
        _ => None,
    }
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web` and the like.
fn is_grpc(content_type: &[u8]) -> bool {
    let prefix = content_type.get(..GRPC.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(GRPC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn success(status: u16, headers: &[(&str, &str)]) -> bool {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        is_success(&response.body(()).unwrap())
    }

    #[test]
    fn the_http_status_decides_without_grpc() {
        for status in 100..1000 {
            let expected = (200..300).contains(&status);
            assert_eq!(success(status, &[]), expected);
            assert_eq!(success(status, &[("content-type", "text/plain")]), expected);
        }
    }

    #[test]
    fn a_grpc_status_header_decides() {
        let grpc = ("content-type", "application/grpc");
        assert!(success(200, &[("grpc-status", "0")]));
        assert!(success(200, &[grpc, ("grpc-status", "0")]));
        assert!(!success(503, &[grpc, ("grpc-status", "0")]));
        for status in ["1", "8", "12", "16", "00", "", "zero"] {
            assert!(!success(200, &[("grpc-status", status)]), "{status}");
            assert!(!success(200, &[grpc, ("grpc-status", status)]), "{status}");
        }
        assert!(!success(200, &[("grpc-status", "0"), ("grpc-status", "5")]));
    }

    #[test]
    fn a_grpc_response_without_a_status_header_is_a_failure() {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC",
            "application/grpc-web+proto",
        ] {
            assert!(!success(200, &[("content-type", kind)]), "{kind}");
        }
        assert!(success(200, &[("content-type", "application/g")]));
    }
}

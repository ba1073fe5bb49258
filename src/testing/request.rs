use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header::CONTENT_TYPE};

use crate::{secret::AppSecret, signature::SIGNATURE_HEADER};

/// Signs a body as Meta does, and returns the value of the header [`SIGNATURE_HEADER`].
///
/// ```
/// use tower_whatsapp::testing::sign;
///
/// assert_eq!(
///     sign(br#"{"object":"whatsapp_business_account","entry":[]}"#, "test_app_secret"),
///     "sha256=dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756",
/// );
/// ```
///
/// # Panics
///
/// If the secret is blank, or has leading or trailing white space: no app secret has.
#[doc(alias = "X-Hub-Signature-256")]
#[must_use]
#[track_caller]
#[expect(
    clippy::expect_used,
    reason = "a test with such a secret is wrong; hexadecimal digits are a header value"
)]
pub fn sign(body: &[u8], secret: &str) -> HeaderValue {
    let mut mac = AppSecret::new(secret)
        .expect("the secret must not be blank or have white space around it")
        .mac();
    mac.update(body);
    let mut value = String::from("sha256=");
    for byte in mac.finalize().to_bytes() {
        value.push(digit(byte >> 4));
        value.push(digit(byte & 0xf));
    }
    HeaderValue::try_from(value).expect("hexadecimal digits are a header value")
}

/// Returns a POST request with this body, signed with the secret.
///
/// Convert its body to the type that your service takes with [`Request::map`]:
/// `request.map(axum::body::Body::from)`, or `request.map(http_body_util::Full::new)`.
///
/// # Panics
///
/// If the path is not a valid URI, or the secret is blank or has leading or trailing white space.
#[must_use]
#[track_caller]
#[expect(clippy::expect_used, reason = "a test with such a path is wrong")]
pub fn delivery(path: &str, body: impl Into<Bytes>, secret: &str) -> Request<Bytes> {
    let body = body.into();
    let signature = sign(&body, secret);
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::try_from(path).expect("the path must be a valid URI");
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(SIGNATURE_HEADER, signature);
    request
}

/// Returns the lower-case hexadecimal digit of a number below 16.
fn digit(number: u8) -> char {
    char::from_digit(u32::from(number), 16).unwrap_or('0')
}

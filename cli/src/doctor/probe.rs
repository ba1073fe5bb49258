//! One request of the doctor.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use crate::{
    client::{Answer, Client},
    failure::chain,
};

pub(super) struct Prober {
    pub(super) client: Client,
    pub(super) url: Uri,
    pub(super) timeout: Duration,
}

/// An answer, or why there is none.
pub(super) struct Probed {
    pub(super) answer: Result<Answer, String>,
    pub(super) time: Duration,
}

impl Prober {
    pub(super) async fn get(&self, url: Uri) -> Probed {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url;
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Probed {
        let start = Instant::now();
        let exchange = timeout(self.timeout, async {
            let response = self.client.request(request.map(Full::new)).await;
            Ok(Answer::read(response.map_err(|error| chain(&error))?).await)
        });
        let answer = exchange
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", self.timeout.as_secs_f64())));
        Probed {
            answer,
            time: start.elapsed(),
        }
    }
}

impl Probed {
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.answer.as_ref().ok().map(Answer::status)
    }

    pub(super) fn is(&self, test: impl Fn(StatusCode) -> bool) -> bool {
        self.status().is_some_and(test)
    }

    pub(super) fn is_redirect(&self) -> bool {
        self.is(|status| status.is_redirection())
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        let answer = self.answer.as_ref().ok()?;
        answer.response.headers().get(name)?.to_str().ok()
    }

    pub(super) fn body(&self) -> Option<&[u8]> {
        self.answer.as_ref().ok()?.body.as_deref()
    }

    pub(super) fn is_html(&self) -> bool {
        let kind = self.header(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
    }

    /// The status or the error, for a sentence.
    pub(super) fn outcome(&self) -> String {
        match &self.answer {
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.clone(),
        }
    }
}

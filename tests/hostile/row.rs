//! The parts of a row of the table.

use std::fmt;

use bytes::Bytes;
use http::Extensions;
use http_body::Body;
use tower_whatsapp::{RejectionKind, WebhookLayerBuilder};

use test_support::{CHALLENGE, PATH, SECRET, Script, Step};

/// A request as the client sends it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) framing: Framing,
    pub(crate) steps: Vec<Step>,
}

/// How the client declares the end of its body.
#[derive(Debug, Clone)]
pub(crate) enum Framing {
    None,
    /// The correct `Content-Length`.
    Length,
    Chunked,
    /// This `Content-Length`, right or wrong.
    Declared(String),
}

impl Sent {
    fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            framing: Framing::None,
            steps: Vec::new(),
        }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A delivery without a signature.
    pub(crate) fn unsigned(body: impl Into<Bytes>) -> Self {
        Self::new("POST", PATH).body(body)
    }

    /// A valid delivery.
    pub(crate) fn post(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let signature = test_support::sign(SECRET, &body);
        Self::unsigned(body).signature(signature)
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn signature(self, value: impl Into<Vec<u8>>) -> Self {
        self.header("x-hub-signature-256", value)
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.framing = Framing::Length;
        self.steps = vec![Step::Data(body.into())];
        self
    }

    pub(crate) fn chunked(mut self, steps: impl Into<Vec<Step>>) -> Self {
        self.framing = Framing::Chunked;
        self.steps = steps.into();
        self
    }

    /// A declared length without a body, ever: a layer that waits for the body would time out.
    pub(crate) fn declared(mut self, length: impl fmt::Display) -> Self {
        self.framing = Framing::Declared(length.to_string());
        self.steps = vec![Step::Stall];
        self
    }

    /// All its data.
    pub(crate) fn data(&self) -> Vec<u8> {
        let data = self.steps.iter().filter_map(|step| match step {
            Step::Data(data) | Step::Bytewise(data) => Some(&data[..]),
            _ => None,
        });
        data.collect::<Vec<_>>().concat()
    }

    /// The value of `Content-Length`.
    pub(crate) fn length(&self) -> Option<String> {
        match &self.framing {
            Framing::Length => Some(self.data().len().to_string()),
            Framing::Declared(length) => Some(length.clone()),
            Framing::None | Framing::Chunked => None,
        }
    }

    /// The body for those drivers that send frames.
    pub(crate) fn script(&self) -> impl Body<Data = Bytes, Error = test_support::Broken> + use<> {
        Script::new(self.steps.clone())
    }
}

/// The expected outcome.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The layer rejects it.
    Rejected(RejectionKind),
    /// The layer responds with the challenge.
    Echo,
    /// The host handles these events.
    Handled(Vec<String>),
    /// The host handles this number of events, of which this is the last.
    Many(usize, &'static str),
    /// The host receives it unverified.
    PassedThrough,
    /// The server rejects it before it reaches the layer.
    Server(u16),
    /// The client is gone, so there is no response.
    Gone,
}

/// Adds information about the connection to the extensions of every request, as a server does.
pub(crate) type Dress = fn(&mut Extensions);

/// How much of the body may be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Polled {
    Nothing,
    All,
    /// Up to this limit, plus the frame that exceeded it.
    OneFrameOver(usize),
    /// Any part until the connection breaks.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Tower,
    Http1,
    Http2,
}

pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// All of them must get the same response.
    pub(crate) requests: Vec<Sent>,
    pub(crate) drivers: &'static [Driver],
    pub(crate) settings: fn() -> WebhookLayerBuilder,
    pub(crate) answer: Answer,
    pub(crate) elsewise: Vec<(Driver, Answer)>,
    pub(crate) polled: Polled,
    pub(crate) app: &'static str,
    pub(crate) secret_label: &'static str,
    pub(crate) dress: Dress,
    /// HTTP/1.1: the connection must be closed afterwards.
    pub(crate) closes: bool,
}

impl Row {
    pub(crate) fn new(id: &'static str, requests: impl IntoIterator<Item = Sent>) -> Self {
        Self {
            id,
            requests: requests.into_iter().collect(),
            drivers: &[Driver::Tower, Driver::Http1, Driver::Http2],
            settings: test_support::builder,
            answer: Answer::Echo,
            elsewise: Vec::new(),
            polled: Polled::Nothing,
            app: "",
            secret_label: "0",
            dress: |_| {},
            closes: false,
        }
    }

    pub(crate) fn one(id: &'static str, request: Sent) -> Self {
        Self::new(id, [request])
    }

    /// Rejected before the first byte of the body is read.
    pub(crate) fn unread(mut self, kind: RejectionKind) -> Self {
        self.answer = Answer::Rejected(kind);
        self
    }

    /// Rejected after the whole body was read.
    pub(crate) fn read(mut self, kind: RejectionKind) -> Self {
        self.answer = Answer::Rejected(kind);
        self.polled = Polled::All;
        self
    }

    pub(crate) fn handled(mut self, events: &[&str]) -> Self {
        self.answer = Answer::Handled(events.iter().map(ToString::to_string).collect());
        self.polled = Polled::All;
        self
    }

    pub(crate) fn many(mut self, events: usize, last: &'static str) -> Self {
        self.answer = Answer::Many(events, last);
        self.polled = Polled::All;
        self
    }

    pub(crate) fn passed_through(mut self) -> Self {
        self.answer = Answer::PassedThrough;
        self.polled = Polled::All;
        self
    }

    pub(crate) fn polled(mut self, polled: Polled) -> Self {
        self.polled = polled;
        self
    }

    pub(crate) fn on(mut self, drivers: &'static [Driver]) -> Self {
        self.drivers = drivers;
        self
    }

    /// A different outcome over one driver, because the server there intervenes.
    pub(crate) fn but(mut self, driver: Driver, answer: Answer) -> Self {
        self.elsewise.push((driver, answer));
        self
    }

    pub(crate) fn with(mut self, settings: fn() -> WebhookLayerBuilder) -> Self {
        self.settings = settings;
        self
    }

    pub(crate) fn secret_label(mut self, label: &'static str) -> Self {
        self.secret_label = label;
        self
    }

    pub(crate) fn app(mut self, label: &'static str) -> Self {
        self.app = label;
        self
    }

    #[cfg(feature = "admission")]
    pub(crate) fn dress(mut self, dress: Dress) -> Self {
        self.dress = dress;
        self
    }

    pub(crate) fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    pub(crate) fn answer_over(&self, driver: Driver) -> &Answer {
        let other = self.elsewise.iter().find(|(other, _)| *other == driver);
        other.map_or(&self.answer, |(_, answer)| answer)
    }
}

/// Bytes on one HTTP/1 connection. Every delivery in them is
/// [`one_text`](test_support::json::one_text).
pub(crate) struct Wire {
    pub(crate) id: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Expected outcomes, in order.
    pub(crate) answers: Vec<Answer>,
    pub(crate) polled: Polled,
    /// The connection is closed. Otherwise the next request on it gets the usual response.
    pub(crate) closes: bool,
}

impl Wire {
    pub(crate) fn new(
        id: &'static str,
        bytes: impl Into<Vec<u8>>,
        answers: impl IntoIterator<Item = Answer>,
    ) -> Self {
        Self {
            id,
            bytes: bytes.into(),
            answers: answers.into_iter().collect(),
            polled: Polled::Nothing,
            closes: false,
        }
    }

    pub(crate) fn polled(mut self, polled: Polled) -> Self {
        self.polled = polled;
        self
    }

    pub(crate) fn closes(mut self) -> Self {
        self.closes = true;
        self
    }
}

/// Status and headers of a rejection, repeated here so that the table does not take
/// them from the crate.
pub(crate) fn refusal(kind: RejectionKind) -> (u16, &'static [(&'static str, &'static str)]) {
    match kind {
        RejectionKind::MethodNotAllowed => (405, &[("allow", "GET, POST")]),
        RejectionKind::MemoryBudget => (503, &[("retry-after", "1")]),
        RejectionKind::HandshakeMalformed | RejectionKind::BodyBroken => (400, &[]),
        RejectionKind::NotHandshake
        | RejectionKind::HandshakeIncomplete
        | RejectionKind::HandshakeRepeated
        | RejectionKind::HandshakeMode
        | RejectionKind::HandshakeToken
        | RejectionKind::SignatureMissing
        | RejectionKind::SignatureMalformed
        | RejectionKind::SignatureMismatch
        | RejectionKind::AccountRefused => (403, &[]),
        RejectionKind::BodyTooLarge => (413, &[]),
        RejectionKind::ContentEncoding => (415, &[("accept-encoding", "identity")]),
        RejectionKind::BodyDeadline | RejectionKind::BodyIdle => (408, &[]),
        RejectionKind::NotJson => (422, &[]),
        #[cfg(feature = "admission")]
        RejectionKind::AddressUnknown | RejectionKind::AddressRefused => (403, &[]),
        #[cfg(feature = "client-certificate")]
        RejectionKind::CertificateMissing | RejectionKind::CertificateRefused => (403, &[]),
        #[cfg(feature = "apps")]
        RejectionKind::AppUnknown => (403, &[]),
        #[cfg(feature = "apps")]
        RejectionKind::AppResolverUnavailable => (503, &[("retry-after", "1")]),
        other => panic!("no status is known for {other:?}"),
    }
}

/// Headers of the response with the challenge.
pub(crate) const ECHO_HEADERS: &[(&str, &str)] = &[
    ("allow", "GET, POST"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
];

pub(crate) const ECHO_BODY: &str = CHALLENGE;

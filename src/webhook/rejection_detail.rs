use std::{error::Error, fmt};

#[cfg(feature = "client-certificate")]
use crate::admission::CertificateProblem;
use crate::{
    event::ParseError,
    handshake::{HandshakeParameter, MalformedHandshake},
    signature::MalformedSignature,
};

/// What exactly was wrong, for kinds that have several causes. `Display` is a text for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionDetail {
    /// The parameter that is missing or repeated.
    Parameter(HandshakeParameter),
    /// What is wrong with the query or the challenge.
    Handshake(MalformedHandshake),
    /// What is wrong with the signature header.
    Signature(MalformedSignature),
    /// What is wrong with the client certificate, or with the header that reports it.
    #[cfg(feature = "client-certificate")]
    Certificate(CertificateProblem),
    /// Why the signed body could not be parsed.
    Parse(ParseError),
}

impl fmt::Display for RejectionDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(parameter) => parameter.fmt(f),
            Self::Handshake(problem) => problem.fmt(f),
            Self::Signature(problem) => problem.fmt(f),
            #[cfg(feature = "client-certificate")]
            Self::Certificate(problem) => problem.fmt(f),
            Self::Parse(problem) => problem.fmt(f),
        }
    }
}

impl Error for RejectionDetail {}

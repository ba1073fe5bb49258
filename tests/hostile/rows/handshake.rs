//! H: the GET handshake.

use test_support::{CHALLENGE, PATH, TOKEN, handshake};
use tower_whatsapp::RejectionKind::{
    HandshakeIncomplete, HandshakeMalformed, HandshakeMode, HandshakeRepeated, HandshakeToken,
    MethodNotAllowed, NotHandshake, SignatureMissing,
};

use crate::row::{Answer, Driver, Row, Sent};

/// The crate's limit, repeated here so that a change is noticed.
const MAX_QUERY: usize = 2048;

pub(crate) fn rows() -> Vec<Row> {
    let ask = |id, query: String| Row::one(id, Sent::get(query));
    let token = |id, token: &str| ask(id, handshake(token, CHALLENGE)).unread(HandshakeToken);
    let mode = |id, mode: &str| {
        let query = format!("{PATH}?{mode}hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}");
        let is_missing = mode.is_empty();
        ask(id, query).unread(if is_missing {
            HandshakeIncomplete
        } else {
            HandshakeMode
        })
    };
    let good = || handshake(TOKEN, CHALLENGE);
    let again = |id, more: &str| ask(id, good() + more).unread(HandshakeRepeated);
    let challenge =
        |id, challenge: &str| ask(id, handshake(TOKEN, challenge)).unread(HandshakeMalformed);
    let padded = |id, len: usize| {
        let query = good() + "&x=";
        let more = len - (query.len() - PATH.len() - 1);
        ask(id, query + &"x".repeat(more))
    };
    let written = |id, query: &str| ask(id, format!("{PATH}?{query}"));
    let form = || format!("hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}");
    vec![
        ask("H1", good()),
        token("H2", "wrong"),
        token("H3", &TOKEN[..TOKEN.len() - 1]),
        token("H4", &format!("{TOKEN}%00")),
        token("H5", &format!("{}8", &TOKEN[..TOKEN.len() - 1])),
        token("H6", ""),
        mode("H7", ""),
        mode("H8", "hub.mode=Subscribe&"),
        mode("H9", "hub.mode=unsubscribe&"),
        again("H10", "&hub.challenge=2"),
        again("H10 twice the same", &format!("&hub.challenge={CHALLENGE}")),
        again("H11", &format!("&hub.verify_token={TOKEN}")),
        again("H11 another", "&hub.verify_token=wrong"),
        again("H12", "&hub.mode=subscribe"),
        again("H12 in disguise", "&hub%2emode=subscribe"),
        challenge("H13", "%3Cscript%3E"),
        challenge("H14", "%0d%0aX:1"),
        challenge("H15", "%00"),
        challenge("H16", "%C3%A9"),
        challenge("H17", &"1".repeat(257)),
        challenge("H18", ""),
        ask(
            "H18 none at all",
            format!("{PATH}?hub.mode=subscribe&hub.verify_token={TOKEN}"),
        )
        .unread(HandshakeMalformed),
        challenge("H19", "a+b"),
        challenge("H19 encoded", "a%2Bb"),
        // Callers without the token learn nothing about the challenge.
        ask("H19 wrong token", handshake("wrong", "a+b")).unread(HandshakeToken),
        // hyper allows at most 16 KiB of headers over HTTP/2.
        ask("H20 long", good() + "&x=" + &"x".repeat(60_000))
            .unread(HandshakeMalformed)
            .but(Driver::Http2, Answer::Server(431)),
        ask("H20 many", good() + &"&a".repeat(1000)).unread(HandshakeMalformed),
        ask("H20 just too many", good() + &"&a".repeat(14)).unread(HandshakeMalformed),
        ask("H20 just not too many", good() + &"&a".repeat(13)),
        padded("H20 the longest query", MAX_QUERY),
        padded("H20 one byte more", MAX_QUERY + 1).unread(HandshakeMalformed),
        ask(
            "H21",
            format!("{PATH}?hub_mode=subscribe&hub_verify_token={TOKEN}&hub_challenge={CHALLENGE}"),
        )
        .unread(NotHandshake),
        ask("H21 no query", PATH.to_owned()).unread(NotHandshake),
        Row::one("H22", Sent::get(good()).body(vec![b'x'; 1_000_000])),
        // Other encodings of the same query.
        written(
            "H23",
            &format!("hub%2Emode=%73ubscribe&%68ub.verify_token={TOKEN}&hub.challenge={CHALLENGE}"),
        ),
        written(
            "H23 empty pairs",
            &format!("&&hub.challenge={CHALLENGE}&hub.verify_token={TOKEN}&hub.mode=subscribe&"),
        ),
        written(
            "H23 others",
            &format!(
                "a&=b&hub=c&hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}&%"
            ),
        ),
        // Encodings of a different query.
        written(
            "H24 semicolons",
            &format!("hub.mode=subscribe;hub.verify_token={TOKEN};hub.challenge={CHALLENGE}"),
        )
        .unread(HandshakeIncomplete),
        written(
            "H24 second question mark",
            &format!("?hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}"),
        )
        .unread(HandshakeIncomplete),
        written(
            "H24 upper case",
            &format!("HUB.MODE=subscribe&HUB.VERIFY_TOKEN={TOKEN}&HUB.CHALLENGE={CHALLENGE}"),
        )
        .unread(NotHandshake),
        written(
            "H24 brackets",
            &format!("hub[mode]=subscribe&hub[verify_token]={TOKEN}&hub[challenge]={CHALLENGE}"),
        )
        .unread(NotHandshake),
        written(
            "H24 list",
            &format!("hub.mode=subscribe&hub.verify_token[]={TOKEN}&hub.challenge={CHALLENGE}"),
        )
        .unread(HandshakeIncomplete),
        written(
            "H24 escaped twice",
            &format!("hub%252Emode=subscribe&hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}"),
        )
        .unread(HandshakeIncomplete),
        written(
            "H24 escaped signs",
            &format!(
                "hub.mode%3Dsubscribe%26hub.verify_token%3D{TOKEN}%26hub.challenge%3D{CHALLENGE}"
            ),
        )
        .unread(NotHandshake),
        mode("H25 space", "hub.mode=subscribe%20&"),
        mode("H25 zero", "hub.mode=subscribe%00&"),
        mode("H25 plus", "hub.mode=+subscribe&"),
        mode("H25 empty", "hub.mode=&"),
        mode("H25 no value", "hub.mode&"),
        token("H26", &TOKEN.to_uppercase()),
        token("H26 space", &format!("{TOKEN}+")),
        token("H26 line", &format!("{TOKEN}%0a")),
        token("H26 twice", &format!("{TOKEN}{TOKEN}")),
        token("H26 joined", &format!("{TOKEN},{TOKEN}")),
        token("H26 cut escape", &format!("{TOKEN}%")),
        token("H26 no hex", &format!("{TOKEN}%zz")),
        token("H26 long", &"x".repeat(1900)),
        token("H26 any byte", "%ff%fe"),
        challenge("H27", "1%00"),
        challenge("H27 tab", "%09"),
        challenge("H27 line", "1%0a"),
        challenge("H27 slash", "..%2f"),
        challenge("H27 quotes", "%22"),
        challenge("H27 overlong", "%c0%ae"),
        challenge("H27 wide", "%ef%bc%91"),
        challenge("H27 right to left", "1%e2%80%ae1"),
        challenge("H27 any byte", "%ff"),
        challenge("H27 cut escape", "1%3"),
        // Headers have no effect here: neither range, nor content negotiation, nor credentials.
        Row::one(
            "H28",
            Sent::get(good())
                .header("range", "bytes=0-1")
                .header("if-none-match", "*"),
        ),
        Row::one(
            "H28 form",
            Sent::get(good())
                .header("accept", "text/html")
                .header("accept-encoding", "gzip"),
        ),
        Row::one(
            "H28 origin",
            Sent::get(good())
                .header("origin", "http://evil")
                .header("sec-fetch-mode", "cors"),
        ),
        Row::one(
            "H28 method",
            Sent::get(good()).header("x-http-method-override", "DELETE"),
        ),
        Row::one(
            "H28 path",
            Sent::get(good())
                .header("x-original-url", "/x")
                .header("x-rewrite-url", "/x"),
        ),
        Row::one("H28 signed", Sent::get(good()).signature("sha256=0")),
        // Parameters in a form body are not a query.
        Row::one(
            "H29",
            Sent::get(PATH)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form()),
        )
        .unread(NotHandshake),
        Row::one("H29 posted", Sent::unsigned("").target(good())).unread(SignatureMissing),
        Row::one("H29 head", Sent::get(good()).method("HEAD")).unread(MethodNotAllowed),
    ]
}

//! H: the GET handshake.

use tower_whatsapp::RejectionKind::{HandshakeMalformed, HandshakeRefused};

use crate::{
    row::{Answer, Driver, Row, Sent},
    support::{CHALLENGE, PATH, TOKEN, handshake},
};

pub(crate) fn rows() -> Vec<Row> {
    let ask = |id, query: String| Row::one(id, Sent::get(query));
    let token = |id, token: &str| ask(id, handshake(token, CHALLENGE)).unread(HandshakeRefused);
    let mode = |id, mode: &str| {
        let query = format!("{PATH}?{mode}hub.verify_token={TOKEN}&hub.challenge={CHALLENGE}");
        ask(id, query).unread(HandshakeRefused)
    };
    let good = || handshake(TOKEN, CHALLENGE);
    let again = |id, more: &str| ask(id, good() + more).unread(HandshakeRefused);
    let challenge =
        |id, challenge: &str| ask(id, handshake(TOKEN, challenge)).unread(HandshakeMalformed);
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
        // Who does not know the token learns nothing about the challenge.
        ask("H19 wrong token", handshake("wrong", "a+b")).unread(HandshakeRefused),
        // hyper lets no more than 16 KiB of headers through over HTTP/2.
        ask("H20 long", good() + "&x=" + &"x".repeat(60_000))
            .unread(HandshakeMalformed)
            .but(Driver::Http2, Answer::Server(431)),
        ask("H20 many", good() + &"&a".repeat(1000)).unread(HandshakeMalformed),
        ask("H20 just too many", good() + &"&a".repeat(14)).unread(HandshakeMalformed),
        ask("H20 just not too many", good() + &"&a".repeat(13)),
        ask(
            "H21",
            format!("{PATH}?hub_mode=subscribe&hub_verify_token={TOKEN}&hub_challenge={CHALLENGE}"),
        )
        .unread(HandshakeRefused),
        ask("H21 no query", PATH.to_owned()).unread(HandshakeRefused),
        Row::one("H22", Sent::get(good()).body(vec![b'x'; 1_000_000])),
    ]
}

//! M: other methods. P: other paths.

use test_support::json::one_text;
use tower_whatsapp::RejectionKind::MethodNotAllowed;

use crate::row::{Driver, Row, Sent};

pub(crate) fn rows() -> Vec<Row> {
    let method = |id, method| {
        let good = Sent::post(one_text()).method(method);
        Row::one(id, good).unread(MethodNotAllowed)
    };
    let path = |id, path: &str| Row::one(id, Sent::post(one_text()).target(path)).passed_through();
    let absolute = Sent::post(one_text()).target("http://evil/wh");
    vec![
        method("M1", "HEAD"),
        method("M2", "OPTIONS"),
        method("M3", "PUT"),
        method("M4", "DELETE"),
        method("M5", "PATCH"),
        method("M6", "TRACE"),
        method("M7", "post"),
        method("M7 get", "get"),
        method("M8", "FOO"),
        method("M8 long", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        method("M8 more", "POSTS"),
        method("M8 less", "POS"),
        method("M8 mixed", "Post"),
        method("M8 query", "QUERY"),
        method("M8 WebDAV", "PROPFIND"),
        Row::one(
            "M9",
            Sent::post(one_text())
                .method("PUT")
                .header("x-http-method-override", "POST"),
        )
        .unread(MethodNotAllowed),
        Row::one(
            "M9 other way",
            Sent::post(one_text()).header("x-http-method-override", "PUT"),
        )
        .handled(&[super::json::ONE_TEXT]),
        path("P1", "/wh/"),
        path("P2", "//wh"),
        path("P3", "/%77h"),
        path("P4", "/WH"),
        path("P5", "/a/../wh"),
        path("P6", "/wh;x"),
        path("P6 prefix", "/whx"),
        path("P6 root", "/"),
        path("P6 query", "/w?/wh"),
        path("P8", "/./wh"),
        path("P8 end", "/wh/."),
        path("P8 above", "/wh/.."),
        path("P8 escaped", "/%2e/wh"),
        path("P9", "/wh%2f"),
        path("P9 zero", "/wh%00"),
        path("P9 space", "/wh%20"),
        path("P9 question mark", "/wh%3f"),
        path("P9 twice", "/%2577h"),
        path("P9 no hex", "/%zzwh"),
        path("P9 cut", "/wh%"),
        path("P10", "/wh."),
        path("P10 comma", "/wh,"),
        path("P10 colon", "/wh:443"),
        path("P10 twice", "/wh/wh"),
        path("P10 slashes", "///wh"),
        path("P10 between", "//evil/wh"),
        path("P10 short", "/w"),
        path("P10 no ASCII", "/ẘh"),
        // hyper allows at most 16 KiB of headers over HTTP/2.
        Row::one(
            "P11",
            Sent::post(one_text()).target("/".to_owned() + &"wh/".repeat(2000)),
        )
        .passed_through(),
        Row::one("P12", Sent::post(one_text()).target("http://evil")).passed_through(),
        Row::one(
            "P12 query",
            Sent::post(one_text()).target("http://evil?/wh"),
        )
        .passed_through(),
        Row::one("P12 asterisk", Sent::get("*").method("OPTIONS"))
            .passed_through()
            .on(&[Driver::Tower, Driver::Http1]),
        Row::one("P12 authority", Sent::get("wh:443").method("CONNECT"))
            .passed_through()
            .on(&[Driver::Tower, Driver::Http1]),
        Row::one(
            "P13",
            Sent::post(one_text()).target("http://user@evil:1/wh?x"),
        )
        .handled(&[super::json::ONE_TEXT]),
        Row::one("P13 empty query", Sent::post(one_text()).target("/wh?"))
            .handled(&[super::json::ONE_TEXT]),
        Row::one(
            "P13 path in query",
            Sent::post(one_text()).target("/wh?/../x"),
        )
        .handled(&[super::json::ONE_TEXT]),
        // Valid clients never send a fragment, and servers cut it off.
        Row::one("P13 fragment", Sent::post(one_text()).target("/wh#/x"))
            .handled(&[super::json::ONE_TEXT]),
        Row::one("P7", absolute).handled(&[super::json::ONE_TEXT]),
        Row::one("P7 query", Sent::post(one_text()).target("/wh?a=b"))
            .handled(&[super::json::ONE_TEXT]),
    ]
}

//! M: other methods. P: other paths.

use tower_whatsapp::RejectionKind::MethodNotAllowed;

use crate::{
    row::{Row, Sent},
    support::json::one_text,
};

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
        path("P1", "/wh/"),
        path("P2", "//wh"),
        path("P3", "/%77h"),
        path("P4", "/WH"),
        path("P5", "/a/../wh"),
        path("P6", "/wh;x"),
        path("P6 prefix", "/whx"),
        path("P6 root", "/"),
        path("P6 query", "/w?/wh"),
        Row::one("P7", absolute).handled(&[super::json::ONE_TEXT]),
        Row::one("P7 query", Sent::post(one_text()).target("/wh?a=b"))
            .handled(&[super::json::ONE_TEXT]),
    ]
}

//! T: several apps behind one layer, each with its own secret, some with a list of accounts.

use test_support::{
    CHALLENGE,
    json::{change, messages, one_text, text},
    sign,
};
use tower_whatsapp::{
    App, Credentials,
    RejectionKind::{AccountRefused, HandshakeToken, SignatureMismatch},
    WebhookLayer, WebhookLayerBuilder,
    webhook::OnForeignEvent,
};

use super::json::ONE_TEXT;
use crate::row::{Row, Sent};

pub(crate) fn rows() -> Vec<Row> {
    [
        routes(),
        #[cfg(feature = "apps")]
        names::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn routes() -> Vec<Row> {
    let of = |id, path: &str, signer: &str| {
        Row::one(id, signed(path, signer, one_text())).with(two_routes)
    };
    let about = |id, body: String| Row::one(id, signed("/bank", "bank", body)).with(two_routes);
    let account = |account: &str| one_text().replace("102290129340398", account);
    let both = |second: &str| {
        let first = messages(&text("a", "x"));
        let (head, tail) = first.split_at(first.len() - 2);
        format!(r#"{head},{second}{tail}"#)
    };
    let echo = |id, path: &str, of: &str| Row::one(id, Sent::get(asked(path, of))).with(two_routes);
    vec![
        of("T1", "/shop", "shop")
            .handled(&[ONE_TEXT])
            .app("shop")
            .secret_label("1"),
        of("T1 other", "/bank", "bank")
            .handled(&[ONE_TEXT])
            .app("bank")
            .secret_label("1"),
        // S19 between apps of one layer.
        of("T2", "/bank", "shop").read(SignatureMismatch),
        of("T2 other", "/shop", "bank").read(SignatureMismatch),
        of("T3", "/nobody", "shop").passed_through(),
        of("T3 prefix", "/shop/", "shop").passed_through(),
        echo("T4", "/shop", "shop"),
        echo("T4 other", "/shop", "bank").unread(HandshakeToken),
        about("T5", account("1")).read(AccountRefused),
        // Events without an account are not foreign.
        about("T5 none", account(""))
            .handled(&[ONE_TEXT])
            .app("bank")
            .secret_label("1"),
        about("T5 number", one_text().replace(r#""102290129340398""#, "1")).read(AccountRefused),
        about("T5 longer", account("1022901293403980")).read(AccountRefused),
        // One of two is foreign; the first one is not.
        about(
            "T6",
            both(r#"{"id":"1","changes":[{"field":"x","value":1}]}"#),
        )
        .read(AccountRefused),
        about("T6 nothing", both("7"))
            .handled(&["message a x", "unknown Shape 1"])
            .app("bank")
            .secret_label("1"),
        about(
            "T6 good",
            both(r#"{"id":"102290129340398","changes":[{"field":"x","value":1}]}"#),
        )
        .handled(&["message a x", "unknown Field 1"])
        .app("bank")
        .secret_label("1"),
        about(
            "T7",
            change(r#""field":"brand_new","value":7"#).replace("102290129340398", "2"),
        )
        .read(AccountRefused),
        // Without any event.
        about("T8", r#"{"entry":[]}"#.to_owned())
            .handled(&[])
            .app("bank")
            .secret_label("1"),
    ]
}

fn app(label: &str) -> tower_whatsapp::webhook::AppBuilder {
    let credentials = Credentials::new([("1", secret(label))], [("1", token(label))]);
    App::builder(label, credentials.unwrap())
}

fn secret(label: &str) -> String {
    format!("canary secret of {label}")
}

fn token(label: &str) -> String {
    format!("token-of-{label}")
}

fn signed(path: &str, label: &str, body: String) -> Sent {
    let signature = sign(secret(label), &body);
    Sent::unsigned(body).target(path).signature(signature)
}

fn asked(path: &str, label: &str) -> String {
    let token = token(label);
    format!("{path}?hub.mode=subscribe&hub.verify_token={token}&hub.challenge={CHALLENGE}")
}

fn two_routes() -> WebhookLayerBuilder {
    let bank = app("bank")
        .accounts(["102290129340398"])
        .on_foreign_event(OnForeignEvent::Refuse);
    WebhookLayer::builder()
        .route("/shop", app("shop").build().unwrap())
        .route("/bank", bank.build().unwrap())
}

#[cfg(feature = "apps")]
mod names {
    use tower_whatsapp::{
        App,
        RejectionKind::{
            AppResolverUnavailable, AppUnknown, BodyTooLarge, HandshakeMalformed, HandshakeToken,
            MethodNotAllowed, NotHandshake, SignatureMalformed, SignatureMismatch,
            SignatureMissing,
        },
        WebhookLayer, WebhookLayerBuilder,
        webhook::{AppResolver, ResolveError},
    };

    use super::{ONE_TEXT, Row, Sent, app, asked, one_text, signed};

    pub(super) fn rows() -> Vec<Row> {
        let of = |id, name: &str, signer: &str| {
            let path = format!("/hooks/{name}/in");
            Row::one(id, signed(&path, signer, one_text())).with(found)
        };
        let ask = |id, name: &str, of: &str| {
            Row::one(id, Sent::get(asked(&format!("/hooks/{name}/in"), of))).with(found)
        };
        let unknown = |id, name: &str| of(id, name, "shop").unread(AppUnknown);
        let elsewhere = |id, path: &str| {
            Row::one(id, signed(path, "shop", one_text()))
                .with(found)
                .passed_through()
        };
        vec![
            of("T10", "shop", "shop")
                .handled(&[ONE_TEXT])
                .app("shop")
                .secret_label("1"),
            of("T11", "shop", "bank").read(SignatureMismatch),
            of("T11 other", "bank", "shop").read(SignatureMismatch),
            unknown("T12", "nobody"),
            unknown("T12 case", "Shop"),
            unknown("T12 escaped", "%73hop"),
            unknown("T12 slash", "shop%2f"),
            unknown("T12 zero", "shop%00"),
            unknown("T12 dots", "..%2fshop"),
            unknown("T12 words", "a,b;c=d"),
            unknown("T12 no ASCII", "%C3%A9"),
            unknown("T13", &"x".repeat(128)),
            unknown("T13 longer", &"x".repeat(129)),
            unknown("T13 long", &"x".repeat(4000)),
            of("T14", "down", "shop").unread(AppResolverUnavailable),
            ask("T14 asked", "down", "shop").unread(AppResolverUnavailable),
            ask("T15", "shop", "shop"),
            ask("T15 other", "shop", "bank").unread(HandshakeToken),
            ask("T16", "nobody", "shop").unread(AppUnknown),
            // These cause no lookup, so the response does not show that the resolver is down.
            Row::one("T17", Sent::unsigned(one_text()).target("/hooks/down/in"))
                .with(found)
                .unread(SignatureMissing),
            Row::one(
                "T17 malformed",
                Sent::unsigned(one_text())
                    .target("/hooks/down/in")
                    .signature("sha256=0"),
            )
            .with(found)
            .unread(SignatureMalformed),
            Row::one("T17 method", Sent::get("/hooks/down/in").method("DELETE"))
                .with(found)
                .unread(MethodNotAllowed),
            Row::one("T17 no query", Sent::get("/hooks/down/in"))
                .with(found)
                .unread(NotHandshake),
            Row::one(
                "T17 parameters",
                Sent::get(asked("/hooks/down/in", "shop") + &"&a".repeat(20)),
            )
            .with(found)
            .unread(HandshakeMalformed),
            Row::one(
                "T18",
                signed("/hooks/shop/in", "shop", one_text()).declared(8_000_000_000_u64),
            )
            .with(found)
            .unread(BodyTooLarge)
            .closes(),
            elsewhere("T19", "/hooks//in"),
            elsewhere("T19 deeper", "/hooks/shop/x/in"),
            elsewhere("T19 short", "/hooks/shop"),
            elsewhere("T19 long", "/hooks/shop/in/"),
            elsewhere("T19 before", "//hooks/shop/in"),
            elsewhere("T19 dots", "/hooks/../hooks/shop/in"),
        ]
    }

    struct Found;

    impl AppResolver for Found {
        async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
            match name {
                "shop" | "bank" => Ok(Some(app(name).build().unwrap())),
                "down" => Err(ResolveError::unavailable("the database is down")),
                _ => Ok(None),
            }
        }
    }

    fn found() -> WebhookLayerBuilder {
        WebhookLayer::builder().app_resolver("/hooks/{app}/in", Found)
    }
}

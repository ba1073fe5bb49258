use std::{error::Error, time::Duration};

use tower_whatsapp::{
    App, ConfigError, WebhookLayer, WebhookLayerBuilder,
    webhook::{AppBuilder, CachedResolver, CachedResolverBuilder, OnForeignEvent},
};

use super::{
    resolvers::Tenants,
    subject::{app, credentials, down, secret},
};

#[track_caller]
fn refused(builder: WebhookLayerBuilder, error: ConfigError, setting: &str) {
    assert_eq!(builder.build().unwrap_err(), error);
    assert!(
        error.to_string().contains(&format!("`{setting}`")),
        "{error}"
    );
}

fn layer() -> WebhookLayerBuilder {
    WebhookLayer::builder()
}

#[test]
fn routes() {
    refused(layer(), ConfigError::PathMissing, "path");
    refused(
        layer().route("/a?b", app("a")),
        ConfigError::PathInvalid,
        "path",
    );
    refused(
        layer().route("/{app}", app("a")),
        ConfigError::PathPattern,
        "path",
    );
    for second in ["/a", "/b"] {
        let twice = layer()
            .route("/a", app("a"))
            .route("/b", app("b"))
            .route(second, app("c"));
        refused(twice, ConfigError::PathConflict, "path");
    }
    let one = |layer: WebhookLayerBuilder| layer.app_secret("s").verify_token("t");
    refused(
        one(layer()).route("/a", app("a")),
        ConfigError::PathMissing,
        "path",
    );
    refused(
        one(layer()).path("/a").route("/a", app("a")),
        ConfigError::PathConflict,
        "path",
    );
    refused(
        one(layer()).any_path().route("/a", app("a")),
        ConfigError::PathConflict,
        "path",
    );
    refused(
        one(layer())
            .any_path()
            .app_resolver("/{app}", Tenants::default()),
        ConfigError::PathConflict,
        "path",
    );
    refused(
        layer().path("/a").route("/b", app("b")),
        ConfigError::AppSecretMissing,
        "app_secret",
    );
    assert!(
        one(layer())
            .path("/a")
            .route("/b", app("b"))
            .build()
            .is_ok()
    );
    // One app may have several paths. Two apps with the same label would share event keys.
    let same = app("a");
    assert!(
        layer()
            .route("/a", same.clone())
            .route("/b", same)
            .build()
            .is_ok()
    );
    refused(
        layer().route("/a", app("a")).route("/b", app("a")),
        ConfigError::AppLabelConflict,
        "route",
    );
    refused(
        layer()
            .route("/a", app("a"))
            .route("/b", app("b"))
            .route("/c", app("b")),
        ConfigError::AppLabelConflict,
        "route",
    );
}

/// Anything but digits would match nothing: every event would be set aside and answered with 200.
#[test]
fn ids_are_digits() {
    for wrong in ["", " ", "123\n", "+16505550001", "12,34", "WABA", "١٢"] {
        let builder = || App::builder("a", credentials("a"));
        assert_eq!(
            builder().accounts(["1", wrong]).build().err(),
            Some(ConfigError::Accounts),
            "{wrong:?}"
        );
        assert_eq!(
            builder().phone_numbers(["1", wrong]).build().err(),
            Some(ConfigError::PhoneNumbers),
            "{wrong:?}"
        );
    }
}

#[test]
fn patterns() {
    for wrong in [
        "",
        "/",
        "/hooks",
        "{app}",
        "hooks/{app}",
        "/hooks-{app}",
        "/{app}x",
        "/{app}/{app}",
        "/{tenant}",
        "/{app}?a",
        "/ /{app}",
        "/{app}/a#b",
    ] {
        refused(
            layer().app_resolver(wrong, Tenants::default()),
            ConfigError::AppResolverPattern,
            "app_resolver",
        );
    }
    for right in ["/{app}", "/hooks/{app}", "/hooks/{app}/", "/{app}/whatsapp"] {
        assert!(
            layer()
                .app_resolver(right, Tenants::default())
                .build()
                .is_ok(),
            "{right}"
        );
    }
    for plus in ["/a+b/{app}", "/{app}/+"] {
        let layer = layer().app_resolver(plus, Tenants::default());
        refused(layer, ConfigError::PathPlus, "path");
    }
    refused(
        layer().route("/a+b", app("a")),
        ConfigError::PathPlus,
        "path",
    );
    let twice = layer()
        .app_resolver("/a/{app}", Tenants::default())
        .app_resolver("/b/{app}", Tenants::default());
    refused(twice, ConfigError::AppResolverConflict, "app_resolver");
}

#[test]
fn apps() {
    let build = |configure: fn(AppBuilder) -> AppBuilder| {
        configure(App::builder("a", credentials("a")))
            .build()
            .map(drop)
    };
    let long = "x".repeat(65);
    for wrong in ["", "a b", "a/b", "ä", &long] {
        let error = App::new(wrong, credentials("a")).unwrap_err();
        assert_eq!(error, ConfigError::AppLabel);
        assert!(error.to_string().contains("`App`"));
    }
    assert!(App::new(&long[1..], credentials("a")).is_ok());
    for character in '\0'..='\u{ff}' {
        let label = format!("a{character}");
        let is_valid = character.is_ascii_alphanumeric() || "._~-".contains(character);
        assert_eq!(
            App::new(&label, credentials("a")).is_ok(),
            is_valid,
            "{label}"
        );
        let labelled = tower_whatsapp::Credentials::new([(&label, "secret")], [(&label, "token")]);
        assert_eq!(labelled.is_ok(), is_valid, "{label}");
    }
    assert_eq!(
        build(|app| app.accounts([""; 0])),
        Err(ConfigError::Accounts)
    );
    assert_eq!(
        build(|app| app.phone_numbers([""; 0])),
        Err(ConfigError::PhoneNumbers)
    );
    assert_eq!(build(|app| app.body_limit(0)), Err(ConfigError::BodyLimit));
    assert_eq!(
        build(|app| app.body_limit(1 << 32)),
        Err(ConfigError::BodyLimit)
    );
    assert_eq!(
        build(|app| app.body_deadline(Duration::ZERO)),
        Err(ConfigError::BodyDeadline)
    );
    assert_eq!(
        build(|app| app.body_idle_timeout(Duration::ZERO)),
        Err(ConfigError::BodyIdleTimeout)
    );
    let refusing = |app: AppBuilder| app.on_foreign_event(OnForeignEvent::Refuse);
    let unused = ConfigError::OnForeignEventUnused;
    assert_eq!(build(refusing), Err(unused));
    assert!(unused.to_string().starts_with("`on_foreign_event`: "));
    assert_eq!(
        build(|app| app.on_foreign_event(OnForeignEvent::SetAside)),
        Ok(())
    );
    let app = || App::builder("a", credentials("a"));
    for listed in [app().accounts(["1"]), app().phone_numbers(["1"])] {
        assert!(refusing(listed).build().is_ok());
    }
    assert_eq!(build(|app| app.accounts(["1"]).body_limit(1)), Ok(()));
    let large = App::builder("a", credentials("a"))
        .body_limit(100 << 20)
        .build()
        .unwrap();
    refused(
        layer().route("/a", large),
        ConfigError::MemoryBudget,
        "memory_budget",
    );
}

#[test]
fn directories() {
    let build = |configure: fn(CachedResolverBuilder) -> CachedResolverBuilder| {
        configure(CachedResolver::builder(Tenants::default()))
            .build()
            .map(drop)
    };
    for (setting, zero) in [
        (
            "time_to_live",
            build(|resolver| resolver.time_to_live(Duration::ZERO)),
        ),
        (
            "unknown_time_to_live",
            build(|resolver| resolver.unknown_time_to_live(Duration::ZERO)),
        ),
        (
            "lookup_timeout",
            build(|resolver| resolver.lookup_timeout(Duration::ZERO)),
        ),
        ("capacity", build(|resolver| resolver.capacity(0))),
        (
            "unknown_capacity",
            build(|resolver| resolver.unknown_capacity(0)),
        ),
        (
            "lookups_per_second",
            build(|resolver| resolver.lookups_per_second(0)),
        ),
    ] {
        let text = zero.unwrap_err().to_string();
        assert_eq!(text, format!("`{setting}`: must not be zero"));
    }
    assert_eq!(build(|resolver| resolver), Ok(()));
}

#[test]
fn debug_shows_no_secret() {
    let layer = layer()
        .route("/a", app("a"))
        .app_resolver("/{app}", Tenants::of(&["b"]));
    let builder = format!("{layer:?}");
    let text = format!("{builder} {:#?} {:?}", layer.build().unwrap(), app("c"));
    assert!(
        text.contains("\"a\"") && !text.contains("secret of") && !text.contains("token of"),
        "{text}"
    );
}

#[test]
fn what_is_shown() {
    let resolver = CachedResolver::builder(Tenants::default());
    let shown = format!("{resolver:?}");
    assert!(
        shown.starts_with("CachedResolverBuilder { durations: "),
        "{shown}"
    );
    let resolver = resolver.build().unwrap();
    let empty = "CachedResolver { known: 0, unknown: 0, lookups: 0, .. }";
    assert_eq!(format!("{resolver:?}"), empty);
    let layer = layer()
        .route("/a", app("a"))
        .app_resolver("/b/{app}", resolver);
    let shown = format!("{:?}", layer.build().unwrap());
    assert!(shown.contains("Routes { first: "), "{shown}");
    assert!(shown.contains(empty), "{shown}");
    let app = App::builder("a", credentials("a"));
    let shown = format!("{app:?}");
    assert!(shown.starts_with("AppBuilder { label: \"a\", "), "{shown}");
    assert!(!shown.contains(&secret("a")), "{shown}");
}

#[test]
fn what_a_directory_says_when_it_is_not_there() {
    let error = down();
    assert_eq!(error.to_string(), "the app resolver is not available");
    assert_eq!(error.source().unwrap().to_string(), "the database is down");
}

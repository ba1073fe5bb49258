//! Ten thousand apps.

use tower_whatsapp::{RejectionKind, WebhookLayer, webhook::CachedResolver};

use super::{
    resolvers::Tenants,
    subject::{app, delivered, delivery, refused, send},
};

#[tokio::test]
async fn ten_thousand_apps() {
    const APPS: usize = 10_000;
    let tenants = Tenants::default();
    for number in 0..APPS {
        tenants.add(app(&format!("app-{number}")));
    }
    let resolver = CachedResolver::builder(tenants.clone())
        .lookups_per_second(1_000_000)
        .build()
        .unwrap();
    let layer = WebhookLayer::builder()
        .app_resolver("/hooks/{app}", resolver.clone())
        .build()
        .unwrap();
    for _ in 0..2 {
        for number in 0..APPS {
            let label = format!("app-{number}");
            let path = format!("/hooks/{label}");
            assert_eq!(
                send(&layer, delivery(&path, &label)).await,
                delivered(&label)
            );
            let other = format!("app-{}", (number + 1) % APPS);
            assert_eq!(
                send(&layer, delivery(&path, &other)).await,
                refused(RejectionKind::SignatureMismatch)
            );
        }
    }
    // One lookup each: all of them are cached.
    assert_eq!(tenants.asked().len(), APPS);
    assert_eq!(resolver.counters().lookups, 10_000);
}

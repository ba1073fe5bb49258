//! This crate with a subscriber at INFO, as in production, and a recorder of metrics for
//! Prometheus, which nothing scrapes. The handler reads every event.

use std::{error::Error, io};

use axum::{Router, routing::post};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower_whatsapp::WebhookLayer;
use tower_whatsapp_peers::{PATH, read_events, secret, serve};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    PrometheusBuilder::new().install_recorder()?;
    let whatsapp = WebhookLayer::new(PATH, secret(), "token")?;
    let router = Router::new().route(PATH, post(read_events)).layer(whatsapp);
    Ok(serve(router)?)
}

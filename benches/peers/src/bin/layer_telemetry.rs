//! This crate with a subscriber at the level of production (INFO) and a recorder of metrics that
//! Prometheus could scrape. The handler reads every event.

use std::{error::Error, io, mem};

use axum::{Router, routing::post};
use metrics_exporter_prometheus::PrometheusBuilder;
use tower_whatsapp::WebhookLayer;
use tower_whatsapp_peers::{PATH, read_events, secret, serve};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    // Without its listener, which needs a thread of its own.
    let recorder = PrometheusBuilder::new().install_recorder()?;
    mem::forget(recorder);
    let whatsapp = WebhookLayer::new(PATH, secret(), "token")?;
    let router = Router::new().route(PATH, post(read_events)).layer(whatsapp);
    Ok(serve(router)?)
}

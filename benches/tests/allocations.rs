//! Limits the number of allocations per request. `cargo bench -p benches --bench allocations` shows
//! where they are.

#![cfg(test)]

use std::{
    cell::Cell,
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use tower_whatsapp::{Notification, webhook::RequestBody};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

/// Maximum number of allocations for a delivery of one message, from the layer's call to the host's
/// call, for any text length. With axum there are two more: one to lift its body limit, and one
/// because there are four extensions.
const MAX_ALLOCATIONS: u64 = if cfg!(feature = "axum") { 14 } else { 12 };

thread_local! {
    /// Allocations when the host was called.
    static AT_HOST: Cell<u64> = const { Cell::new(0) };
}

/// The only test of this file, because allocations of other threads would be counted too.
#[test]
fn a_delivery_allocates_a_few_times() {
    // The layer needs a runtime with a timer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut service = test_support::layer().layer(service_fn(host));

    let request = Request::get("/elsewhere").body(Full::default()).unwrap();
    let before = allocations();
    complete(&mut service, request);
    assert_eq!(allocations() - before, 0, "another path");

    // The first delivery is not counted, because it includes what is allocated once per process.
    for (number, text) in ["first", "Is the blue one still there?", &"x".repeat(4000)]
        .into_iter()
        .enumerate()
    {
        let delivery = delivery(text);
        let request = Request::post(test_support::PATH)
            .header(
                "x-hub-signature-256",
                test_support::sign(test_support::SECRET, &delivery),
            )
            .header("content-length", delivery.len())
            .header("content-type", "application/json")
            .body(Full::from(delivery))
            .unwrap();
        let before = allocations();
        complete(&mut service, request);
        let blocks = AT_HOST.get() - before;
        println!("allocations of a message: {blocks}");
        assert!(number == 0 || blocks <= MAX_ALLOCATIONS, "{blocks}");
    }
}

async fn host(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    AT_HOST.set(allocations());
    if let Some(notification) = request.extensions().get::<Notification>() {
        let before = allocations();
        assert_eq!(notification.messages().count(), 1);
        assert_eq!(allocations() - before, 0, "reading must not allocate");
    }
    // An empty body does not allocate.
    Ok(Response::new(Full::default()))
}

/// Allocations since the start of the test.
fn allocations() -> u64 {
    dhat::HeapStats::get().total_blocks
}

fn complete<S>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Error = Infallible>,
{
    let mut call = pin!(service.call(request));
    let response = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(response, Poll::Ready(Ok(_))));
}

fn delivery(text: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"2"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"15550000002"}}],"messages":[{{"from":"15550000002","id":"wamid.A","timestamp":"1760000000","text":{{"body":"{text}"}},"type":"text"}}]}},"field":"messages"}}]}}]}}"#
    )
}

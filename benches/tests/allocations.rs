//! How often the way of a request takes memory. `cargo bench -p benches --bench allocations` says where.

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

/// The most for a delivery of one message, from the call of the layer to that of the host, however long its texts are.
/// With axum one for its own limit of bodies, which is lifted, and one because the extensions are four then.
const MESSAGE: u64 = if cfg!(feature = "axum") { 13 } else { 11 };

thread_local! {
    /// What had been taken when the host was called.
    static ARRIVED: Cell<u64> = const { Cell::new(0) };
}

/// The only test of this file: what another thread takes would be counted too.
#[test]
fn the_way_to_the_host_takes_memory_a_few_times() {
    // The layer needs one with a timer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut service = test_support::layer().layer(service_fn(host));

    let request = Request::get("/elsewhere").body(Full::default()).unwrap();
    let before = taken();
    answered(&mut service, request);
    assert_eq!(taken() - before, 0, "another path");

    // What is made once in a process is not what a message costs: the first is not looked at.
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
        let before = taken();
        answered(&mut service, request);
        let blocks = ARRIVED.get() - before;
        println!("allocations of a message: {blocks}");
        assert!(number == 0 || blocks <= MESSAGE, "{blocks}");
    }
}

async fn host(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    ARRIVED.set(taken());
    if let Some(notification) = request.extensions().get::<Notification>() {
        let before = taken();
        assert_eq!(notification.messages().count(), 1);
        assert_eq!(taken() - before, 0, "reading takes memory");
    }
    // Without a body of its own there is nothing to take.
    Ok(Response::new(Full::default()))
}

/// Allocations since the test began.
fn taken() -> u64 {
    dhat::HeapStats::get().total_blocks
}

fn answered<S>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Error = Infallible>,
{
    let mut call = pin!(service.call(request));
    let answer = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(answer, Poll::Ready(Ok(_))));
}

fn delivery(text: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"2"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"15550000002"}}],"messages":[{{"from":"15550000002","id":"wamid.A","timestamp":"1760000000","text":{{"body":"{text}"}},"type":"text"}}]}},"field":"messages"}}]}}]}}"#
    )
}

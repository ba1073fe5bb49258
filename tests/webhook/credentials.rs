//! Secrets and tokens are replaced while requests are served.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::RwLock;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Credentials, Rejection, RejectionKind, Verified, WebhookLayer,
    webhook::{RequestBody, ResponseBody},
};

use test_support::{PATH, Script, Step, TOKEN, handshake, repetitions, sign};

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[]}"#;

fn credentials() -> Credentials {
    Credentials::new([("old", "the old secret")], [("t", TOKEN)]).unwrap()
}

fn layer(credentials: &Credentials) -> WebhookLayer {
    let builder = WebhookLayer::builder().path(PATH);
    builder.credentials(credentials.clone()).build().unwrap()
}

/// Status, reason of the rejection, and the label of the secret that the host saw.
type Answer = (StatusCode, Option<RejectionKind>, Option<String>);

async fn send<B>(layer: &WebhookLayer, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let host = service_fn(async |request: Request<RequestBody<B>>| {
        let verified: &Verified = request.extensions().get().unwrap();
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(verified.clone());
        Ok::<_, Infallible>(response)
    });
    answer_of(&layer.layer(host).oneshot(request).await.unwrap())
}

fn answer_of(response: &Response<ResponseBody<Full<Bytes>>>) -> Answer {
    let rejection: Option<&Rejection> = response.extensions().get();
    let verified: Option<&Verified> = response.extensions().get();
    (
        response.status(),
        rejection.map(Rejection::kind),
        verified.map(|verified| verified.secret_label().to_owned()),
    )
}

fn signed(secret: &str) -> Request<Full<Bytes>> {
    Request::post(PATH)
        .header("x-hub-signature-256", sign(secret, BODY))
        .body(Full::from(BODY))
        .unwrap()
}

fn taken(label: &str) -> Answer {
    (StatusCode::OK, None, Some(label.to_owned()))
}

fn refused(kind: RejectionKind) -> Answer {
    (StatusCode::FORBIDDEN, Some(kind), None)
}

const MISMATCH: RejectionKind = RejectionKind::SignatureMismatch;

#[tokio::test]
async fn each_change_holds_from_the_next_request_on() {
    let credentials = credentials();
    let layer = layer(&credentials);
    let [old, new] = ["the old secret", "the new secret"];
    assert_eq!(send(&layer, signed(old)).await, taken("old"));
    assert_eq!(send(&layer, signed(new)).await, refused(MISMATCH));

    credentials.add_secret("new", new).unwrap();
    assert_eq!(send(&layer, signed(old)).await, taken("old"));
    assert_eq!(send(&layer, signed(new)).await, taken("new"));

    credentials.remove_secret("old").unwrap();
    assert_eq!(send(&layer, signed(old)).await, refused(MISMATCH));
    assert_eq!(send(&layer, signed(new)).await, taken("new"));

    // A blank one is rejected, and the previous ones stay.
    assert!(credentials.replace_secrets([("next", " ")]).is_err());
    assert_eq!(send(&layer, signed(new)).await, taken("new"));

    credentials.replace_secrets([("back", old)]).unwrap();
    assert_eq!(send(&layer, signed(old)).await, taken("back"));
    assert_eq!(send(&layer, signed(new)).await, refused(MISMATCH));
    assert_eq!(credentials.generation(), 3);
}

/// Two requests are equally verified if both the app and the secret are the same. Neither label
/// alone says which key made the signature: each app may have a secret labelled "1".
#[tokio::test]
async fn what_verified_a_request_is_an_app_and_a_secret() {
    let verified = async |app: &str, secret: &str| {
        let credentials = Credentials::new([(secret, "of the app")], [("t", TOKEN)]).unwrap();
        let builder = WebhookLayer::builder();
        let layer = if app.is_empty() {
            builder.path(PATH).credentials(credentials)
        } else {
            builder.route(PATH, App::new(app, credentials).unwrap())
        };
        let host = service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
            let verified: &Verified = request.extensions().get().unwrap();
            let mut response = Response::new(Full::<Bytes>::default());
            response.extensions_mut().insert(verified.clone());
            Ok::<_, Infallible>(response)
        });
        let service = layer.build().unwrap().layer(host);
        let response = service.oneshot(signed("of the app")).await.unwrap();
        response.extensions().get::<Verified>().unwrap().clone()
    };
    let pairs = [("a", "1"), ("a", "2"), ("b", "1"), ("", "1"), ("1", "a")];
    for (app, secret) in pairs {
        let one = verified(app, secret).await;
        assert_eq!((one.app(), one.secret_label()), (app, secret));
        for other in pairs {
            let is_same = one == verified(other.0, other.1).await;
            assert_eq!(is_same, (app, secret) == other, "{app} {secret} {other:?}");
        }
    }
}

#[tokio::test]
async fn tokens_change_as_secrets_do() {
    let credentials = credentials();
    let layer = layer(&credentials);
    let ask = async |token: &str| {
        let request = Request::get(handshake(token, "7")).body(Full::<Bytes>::default());
        send(&layer, request.unwrap()).await.0
    };
    assert_eq!(
        (ask(TOKEN).await, ask("second").await),
        (StatusCode::OK, StatusCode::FORBIDDEN)
    );
    credentials.add_token("u", "second").unwrap();
    assert_eq!(
        (ask(TOKEN).await, ask("second").await),
        (StatusCode::OK, StatusCode::OK)
    );
    credentials.remove_token("t").unwrap();
    assert_eq!(
        (ask(TOKEN).await, ask("second").await),
        (StatusCode::FORBIDDEN, StatusCode::OK)
    );
    credentials.replace_tokens([("t", TOKEN)]).unwrap();
    assert_eq!(
        (ask(TOKEN).await, ask("second").await),
        (StatusCode::OK, StatusCode::FORBIDDEN)
    );
}

/// Not even a delivery that had begun to arrive before.
#[tokio::test(start_paused = true)]
async fn a_removed_secret_verifies_nothing_that_is_on_its_way() {
    let [old, new] = ["the old secret", "the new secret"];
    for (change, secret, expected) in [
        ("nothing", old, taken("old")),
        ("add", old, taken("old")),
        ("remove", old, refused(MISMATCH)),
        ("replace", old, refused(MISMATCH)),
        ("remove another", old, taken("old")),
    ] {
        let credentials = credentials();
        credentials.add_secret("other", "a third secret").unwrap();
        let layer = layer(&credentials);
        let (first, second) = BODY.split_at(20);
        let pause = Duration::from_secs(1);
        let body = Script::new([Step::data(first), Step::Wait(pause), Step::data(second)]);
        let request = Request::post(PATH)
            .header("x-hub-signature-256", sign(secret, BODY))
            .body(body)
            .unwrap();
        let answer = tokio::spawn({
            let layer = layer.clone();
            async move { send(&layer, request).await }
        });
        tokio::time::sleep(pause / 2).await;
        match change {
            "add" => credentials.add_secret("new", new).unwrap(),
            "remove" => credentials.remove_secret("old").unwrap(),
            "replace" => credentials.replace_secrets([("old", new)]).unwrap(),
            "remove another" => credentials.remove_secret("other").unwrap(),
            _ => {}
        }
        assert_eq!(answer.await.unwrap(), expected, "{change}");
    }
}

/// A host that is ready at the third poll, and counts its calls.
#[derive(Clone)]
struct SlowlyReady {
    looks: usize,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<RequestBody<Full<Bytes>>>> for SlowlyReady {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.looks += 1;
        if self.looks < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let verified: &Verified = request.extensions().get().unwrap();
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(verified.clone());
        std::future::ready(Ok(response))
    }
}

/// Secrets change at any stage of a delivery: while it is hashed, parsed, or waiting
/// for the inner service.
#[tokio::test]
async fn secrets_change_at_any_point_before_the_call() {
    let old = "the old secret";
    // Several polls for the hash, and several for the JSON.
    let body = format!(r#"{{"entry":[{}0]}}"#, "0,".repeat(100_000));
    type Change = fn(&Credentials);
    let changes: [(&str, Change, Answer); 6] = [
        (
            "remove",
            |credentials| credentials.remove_secret("old").unwrap(),
            refused(MISMATCH),
        ),
        (
            "replace",
            |credentials| credentials.replace_secrets([("old", "another")]).unwrap(),
            refused(MISMATCH),
        ),
        (
            "reload",
            |credentials| {
                let same = [("old", "the old secret"), ("other", "a third secret")];
                credentials.replace_secrets(same).unwrap();
            },
            taken("old"),
        ),
        (
            "reload in another order",
            |credentials| {
                let same = [("other", "a third secret"), ("old", "the old secret")];
                credentials.replace_secrets(same).unwrap();
            },
            taken("old"),
        ),
        (
            "rename",
            |credentials| {
                let renamed = [("before", "the old secret")];
                credentials.replace_secrets(renamed).unwrap();
            },
            taken("before"),
        ),
        (
            "remove and add",
            |credentials| {
                credentials.remove_secret("old").unwrap();
                credentials.add_secret("old", "the old secret").unwrap();
            },
            taken("old"),
        ),
    ];
    for (change, apply, expected) in changes {
        let mut looks = 0;
        loop {
            let credentials = credentials();
            credentials.add_secret("other", "a third secret").unwrap();
            let host = SlowlyReady {
                looks: 0,
                calls: Arc::default(),
            };
            let calls = Arc::clone(&host.calls);
            let request = Request::post(PATH)
                .header("x-hub-signature-256", sign(old, &body))
                .body(Full::from(body.clone()))
                .unwrap();
            let service = layer(&credentials).layer(host);
            let mut answer = pin!(service.oneshot(request));
            let mut early = None;
            for _ in 0..looks {
                let polled = std::future::poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
                if let Poll::Ready(response) = polled {
                    early = Some(response);
                    break;
                }
            }
            if early.is_some() {
                break;
            }
            apply(&credentials);
            let found = answer_of(&answer.await.unwrap());
            assert_eq!(found, expected, "{change} after {looks} looks");
            let called = usize::from(expected.0 == StatusCode::OK);
            assert_eq!(calls.load(Ordering::SeqCst), called, "{change} {looks}");
            looks += 1;
        }
        assert!(looks > 8, "{change}: {looks} looks");
    }
}

/// 100,000 deliveries (with `LONG_TESTS`) from four senders during rotation. A secret that is
/// configured before and after a request must be accepted. One that is configured at neither time
/// must be rejected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load() {
    const SENDERS: usize = 4;
    let each = repetitions(25_000);
    let credentials =
        Credentials::new([("0", "secret 0"), ("1", "secret 1")], [("t", TOKEN)]).unwrap();
    let layer = layer(&credentials);
    let busy = Arc::new(AtomicUsize::new(SENDERS));
    // Numbers of the secrets that are certainly configured. Additions are announced after they
    // return, removals before they start.
    let configured = Arc::new(RwLock::new((vec![0_usize, 1], 0_usize)));
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let (layer, configured, busy) = (layer.clone(), Arc::clone(&configured), Arc::clone(&busy));
        senders.push(tokio::spawn(async move {
            let mut counts = [0; 4];
            for round in 0..each {
                let (before, removed) = configured.read().await.clone();
                // Half of them use the older secret, half the newer one, and a few a removed one.
                let number = match (round + sender) % 8 {
                    7 if removed > 0 => removed - 1,
                    odd if odd % 2 == 1 => *before.last().unwrap(),
                    _ => before[0],
                };
                let (status, kind, label) = send(&layer, signed(&format!("secret {number}"))).await;
                let (after, _) = configured.read().await.clone();
                let there = |list: &[usize]| list.contains(&number);
                if number < removed {
                    assert_eq!(
                        (status, kind),
                        (StatusCode::FORBIDDEN, Some(MISMATCH)),
                        "removed"
                    );
                    counts[0] += 1;
                } else if there(&before) && there(&after) {
                    assert_eq!(
                        (status, label),
                        (StatusCode::OK, Some(number.to_string())),
                        "configured"
                    );
                    counts[1] += 1;
                } else {
                    counts[2] += 1;
                }
                counts[3] += usize::from(status == StatusCode::OK);
            }
            busy.fetch_sub(1, Ordering::SeqCst);
            counts
        }));
    }
    let mut newest = 1;
    while busy.load(Ordering::SeqCst) > 0 {
        newest += 1;
        credentials
            .add_secret(newest.to_string(), format!("secret {newest}"))
            .unwrap();
        configured.write().await.0.push(newest);
        tokio::task::yield_now().await;
        configured.write().await.0.remove(0);
        let oldest = newest - 2;
        credentials.remove_secret(&oldest.to_string()).unwrap();
        configured.write().await.1 = oldest + 1;
        tokio::task::yield_now().await;
    }
    let mut counts = [0; 4];
    for sender in senders {
        for (sum, count) in counts.iter_mut().zip(sender.await.unwrap()) {
            *sum += count;
        }
    }
    let [removed, kept, between, good] = counts;
    println!(
        "{newest} rotations; {removed} under a removed secret, {kept} under a configured one, {between} in between, {good} taken"
    );
    assert_eq!(removed + kept + between, SENDERS * each);
    assert!(removed > each / 20 && kept > each && newest > 100);
}

#[test]
fn the_layer_says_what_is_wrong_with_its_credentials() {
    use tower_whatsapp::ConfigError;
    let error = |builder: tower_whatsapp::WebhookLayerBuilder| builder.build().unwrap_err();
    let with = || {
        WebhookLayer::builder()
            .path(PATH)
            .credentials(credentials())
    };
    assert_eq!(
        error(with().app_secret("x")),
        ConfigError::CredentialsConflict
    );
    assert_eq!(
        error(with().verify_token("x")),
        ConfigError::CredentialsConflict
    );
    let without_path = WebhookLayer::builder().credentials(credentials());
    assert_eq!(error(without_path), ConfigError::PathMissing);
    assert!(with().build().is_ok());
}

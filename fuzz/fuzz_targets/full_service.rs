//! Random scripts for the whole service: requests of Meta and of attackers to several apps, secret
//! rotation, a failing store and resolver, and an arbitrary host. Invariants:
//!
//! - a 200 means that every event of the delivery was handled;
//! - the host gets exactly the deliveries that were signed for the app of their path;
//! - at rest all memory is released and no event is pending;
//! - no secret, token, phone number or message text is in any response or `Debug` output.

#![no_main]

use std::{
    collections::HashSet,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use test_support::{
    CHALLENGE, Script, Step, TOKEN, hex,
    json::{PHONE, WORDS, delivery, text},
    sign, tag,
};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_whatsapp::{
    App, Credentials, Notification, Rejection, RejectionKind, Verified, WebhookLayer,
    admission::{IpAllowList, PeerAddr},
    dedup::{DedupLayer, DedupRejection, MemoryStore, PartialFailure},
    event::EventKey,
    testing::{FaultRates, FaultyStore},
    webhook::{AppResolver, OnForeignEvent, RequestBody, ResolveError},
};

const SIGNATURE: &str = "x-hub-signature-256";

/// Header with the number of the request in the script.
const NUMBER: &str = "x-number";

/// The host's response body.
const HOST: &[u8] = b"the host";

/// Path and label of each app. Each app starts with one secret.
const APPS: [(&str, &str); 4] = [
    ("/wh", ""),
    ("/hooks/shop", "shop"),
    ("/hooks/bank", "bank"),
    ("/apps/kiosk", "kiosk"),
];

/// This app rejects deliveries with events of other accounts.
const BANK: usize = 2;
const ACCOUNT: &str = "102290129340398";

/// This app is looked up by the name in its path.
const KIOSK: usize = 3;

/// Addresses of Meta and of an attacker.
const META: ([u8; 4], u16) = ([192, 0, 2, 1], 443);
const STRANGER: ([u8; 4], u16) = ([198, 51, 100, 1], 443);
const ADMITTED: &str = "192.0.2.0/24";

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    /// Failure rate of each operation of the store.
    faults: [u8; 3],
    actions: Vec<Action>,
}

#[derive(Arbitrary, Debug)]
enum Action {
    Send(Sending),
    /// Numbers of an app and of a secret.
    AddSecret(u8, u8),
    RemoveSecret(u8, u8),
    ReplaceSecrets(u8, u8),
    StoreFails(bool),
    DirectoryFails(bool),
    Wait(u16),
}

#[derive(Arbitrary, Debug)]
struct Sending {
    target: Target,
    method: Verb,
    body: Contents,
    signature: Signature,
    cuts: Vec<u8>,
    breaks_off: bool,
    length: Option<u32>,
    is_compressed: bool,
    is_of_a_stranger: bool,
    host: Host,
    /// Continue the script before the response arrives.
    in_background: bool,
}

#[derive(Arbitrary, Debug)]
enum Target {
    Webhook(u8),
    WithSlash(u8),
    Elsewhere,
}

#[derive(Arbitrary, Debug)]
enum Verb {
    Post,
    Handshake(bool),
    Put,
    Head,
}

#[derive(Arbitrary, Debug)]
struct Contents {
    /// Ids as a bit set.
    messages: u8,
    statuses: u8,
    is_of_another_account: bool,
    is_cut: bool,
}

#[derive(Arbitrary, Debug)]
enum Signature {
    Of(u8),
    Twice(u8),
    OneBitOff(u8, u8),
    Text(String),
    None,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Host {
    Answers(u8),
    /// In milliseconds.
    AnswersLate(u16),
    HandlesOneOnly,
    Fails,
}

#[derive(Debug)]
struct HostError;

/// The expected state of the service.
#[derive(Default)]
struct Ledger {
    /// Numbers of the current secrets of each app.
    secrets: [Vec<u8>; 4],
    /// How the host must act on each request, and whether the request reached it.
    requests: Vec<(Host, bool)>,
    /// Handled events, by app.
    handled: HashSet<(&'static str, EventKey)>,
    /// Whether the resolver fails now, and whether it has ever failed.
    directory_fails: bool,
    directory_has_failed: bool,
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<Ledger>>);

impl World {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }
}

/// A resolver that knows one app.
struct Tenants {
    world: World,
    kiosk: App,
}

impl AppResolver for Tenants {
    async fn resolve(&self, name: &str) -> Result<Option<App>, ResolveError> {
        if self.world.ledger().directory_fails {
            return Err(ResolveError::unavailable("canary-resolver"));
        }
        Ok((name == self.kiosk.label()).then(|| self.kiosk.clone()))
    }
}

fuzz_target!(|input: Input| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(&input));
});

async fn run(input: &Input) {
    let world = World::default();
    world.ledger().secrets = [vec![0], vec![1], vec![2], vec![3]];
    let credentials = [0, 1, 2, 3].map(|number| {
        Credentials::new([(label(number), secret(number))], [("token", TOKEN)]).unwrap()
    });
    let [own, shop, bank, kiosk] = credentials.clone();
    let bank = App::builder(APPS[BANK].1, bank)
        .accounts([ACCOUNT])
        .on_foreign_event(OnForeignEvent::Refuse)
        .build();
    let tenants = Tenants {
        world: world.clone(),
        kiosk: App::new(APPS[KIOSK].1, kiosk).unwrap(),
    };
    let webhook = WebhookLayer::builder()
        .path(APPS[0].0)
        .credentials(own)
        .route(APPS[1].0, App::new(APPS[1].1, shop).unwrap())
        .route(APPS[BANK].0, bank.unwrap())
        .app_resolver("/apps/{app}", tenants)
        .ip_allow_list(IpAllowList::parse(ADMITTED).unwrap())
        .build()
        .unwrap();
    let free = webhook.available_memory();
    let memory = MemoryStore::with_capacity(1000);
    let [claim, commit, release] = input
        .faults
        .map(|often| FaultRates::uniform(f64::from(often) / 300.0));
    let store = FaultyStore::new(memory.clone(), input.seed)
        .on_claim(claim)
        .on_commit(commit)
        .on_release(release);
    let dedup = DedupLayer::new(store.clone());
    let handle = dedup.handle();
    let host = {
        let world = world.clone();
        service_fn(move |request| host(world.clone(), request))
    };
    let inner = dedup.layer(host);
    let service = webhook.layer(Watch {
        inner,
        world: world.clone(),
    });

    let mut background = Vec::new();
    for action in &input.actions {
        match action {
            Action::Send(sending) => {
                let sent = send(service.clone(), &world, sending);
                if sending.in_background {
                    background.push(tokio::spawn(sent));
                } else {
                    sent.await;
                }
            }
            Action::AddSecret(app, number) => {
                let (app, number) = (usize::from(app % 4), number % 4);
                let secrets = &mut world.ledger().secrets[app];
                let added = credentials[app].add_secret(label(number), secret(number));
                assert_eq!(added.is_ok(), !secrets.contains(&number));
                if added.is_ok() {
                    secrets.push(number);
                }
            }
            Action::RemoveSecret(app, number) => {
                let (app, number) = (usize::from(app % 4), number % 4);
                let secrets = &mut world.ledger().secrets[app];
                let removed = credentials[app].remove_secret(&label(number));
                assert_eq!(
                    removed.is_ok(),
                    secrets.len() > 1 && secrets.contains(&number)
                );
                if removed.is_ok() {
                    secrets.retain(|secret| *secret != number);
                }
            }
            Action::ReplaceSecrets(app, number) => {
                let (app, number) = (usize::from(app % 4), number % 4);
                let replaced = credentials[app].replace_secrets([(label(number), secret(number))]);
                replaced.unwrap();
                world.ledger().secrets[app] = vec![number];
            }
            Action::StoreFails(true) => store.enable_faults(),
            Action::StoreFails(false) => store.disable_faults(),
            Action::DirectoryFails(fails) => {
                let mut ledger = world.ledger();
                ledger.directory_fails = *fails;
                ledger.directory_has_failed |= fails;
            }
            Action::Wait(millis) => sleep(Duration::from_millis((*millis).into())).await,
        }
    }

    store.disable_faults();
    for sent in background {
        sent.await.unwrap();
    }
    // Longer than any lease, and than any pending write to the store.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(webhook.available_memory(), free);
    assert_eq!(memory.pending(), 0);
    assert_eq!(handle.counters().running, 0);
    says_nothing(&(&webhook, &credentials, &dedup, &handle, &memory));
}

/// Sends a request and checks the response.
fn send<S, R>(service: S, world: &World, sending: &Sending) -> impl Future<Output = ()> + use<S, R>
where
    S: Service<Request<Script>, Response = Response<R>, Error = HostError>,
    R: Body<Data = Bytes, Error: Debug>,
{
    let (app, path) = match sending.target {
        Target::Webhook(app) => {
            let app = usize::from(app % 4);
            (Some(app), APPS[app].0.to_owned())
        }
        Target::WithSlash(app) => (None, format!("{}/", APPS[usize::from(app % 4)].0)),
        Target::Elsewhere => (None, "/".to_owned()),
    };
    let (method, uri) = match sending.method {
        Verb::Post => (Method::POST, path),
        Verb::Put => (Method::PUT, path),
        Verb::Head => (Method::HEAD, path),
        Verb::Handshake(right) => {
            let token = if right { TOKEN } else { "canary-wrong" };
            let query = test_support::handshake(token, CHALLENGE);
            let (_, query) = query.split_once('?').unwrap();
            (Method::GET, format!("{path}?{query}"))
        }
    };
    let body = contents(&sending.body);
    let mut steps = Vec::new();
    let mut start = 0;
    for cut in &sending.cuts {
        let end = (start + usize::from(*cut)).min(body.len());
        steps.extend([Step::Data(body.slice(start..end)), Step::Pending]);
        start = end;
    }
    steps.push(Step::Data(body.slice(start..)));
    if sending.breaks_off {
        steps.push(Step::Fail);
    }
    let mut headers = HeaderMap::new();
    let mut signer = None;
    match &sending.signature {
        Signature::Of(number) => {
            signer = Some(number % 4);
            headers.append(SIGNATURE, sign(secret(number % 4), &body).parse().unwrap());
        }
        Signature::Twice(number) => {
            let signature = sign(secret(number % 4), &body);
            headers.append(SIGNATURE, signature.parse().unwrap());
            headers.append(SIGNATURE, signature.parse().unwrap());
        }
        Signature::OneBitOff(number, bit) => {
            let mut tag = tag(secret(number % 4), &body);
            tag[usize::from(bit / 8)] ^= 1 << (bit % 8);
            headers.append(SIGNATURE, format!("sha256={}", hex(&tag)).parse().unwrap());
        }
        Signature::Text(text) => {
            if let Ok(value) = text.parse() {
                headers.append(SIGNATURE, value);
            }
        }
        Signature::None => {}
    }
    if let Some(length) = sending.length {
        headers.append("content-length", length.into());
    }
    if sending.is_compressed {
        headers.append("content-encoding", "gzip".parse().unwrap());
    }

    let mut ledger = world.ledger();
    let keys = app.map_or(Vec::new(), |app| keys(&body, APPS[app].1));
    let account_is_right =
        app != Some(BANK) || keys.is_empty() || !sending.body.is_of_another_account;
    let is_good = app.is_some_and(|app| {
        method == Method::POST
            && signer.is_some_and(|signer| ledger.secrets[app].contains(&signer))
            && !sending.breaks_off
            && !sending.is_compressed
            && !sending.body.is_cut
            && sending
                .length
                .is_none_or(|length| length <= 4 * 1024 * 1024)
            && account_is_right
            && !sending.is_of_a_stranger
    });
    let number = ledger.requests.len();
    headers.append(NUMBER, number.into());
    ledger.requests.push((sending.host, false));
    drop(ledger);

    let mut request = Request::new(Script::new(steps));
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    *request.headers_mut() = headers;
    let caller = if sending.is_of_a_stranger {
        STRANGER
    } else {
        META
    };
    request.extensions_mut().insert(PeerAddr(caller.into()));
    let is_handshake = app.is_some() && matches!(sending.method, Verb::Handshake(true));
    let in_background = sending.in_background;
    let world = world.clone();
    async move {
        let answer = service.oneshot(request).await;
        let (_, reached_host) = world.ledger().requests[number];
        let Ok(response) = answer else {
            assert!(app.is_none(), "only the host fails");
            return;
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        says_nothing(&(&parts, &body));
        let rejection = parts.extensions.get::<Rejection>();
        says_nothing(&(rejection, parts.extensions.get::<DedupRejection>()));
        let Some(app) = app else {
            assert_eq!(&body[..], HOST);
            return;
        };
        let is_not_found =
            rejection.map(Rejection::kind) == Some(RejectionKind::AppResolverUnavailable);
        if is_not_found {
            assert!(app == KIOSK && world.ledger().directory_has_failed);
            assert_eq!(parts.status, StatusCode::SERVICE_UNAVAILABLE);
            return;
        }
        if is_handshake {
            assert_eq!(
                (parts.status, &body[..]),
                (StatusCode::OK, CHALLENGE.as_bytes())
            );
            return;
        }
        // The secrets may have changed while a background request was running.
        assert!(in_background || reached_host == is_good);
        assert_eq!(reached_host, rejection.is_none());
        if !reached_host {
            assert!(parts.status.is_client_error() || parts.status.is_server_error());
            assert!(body.is_empty());
        }
        assert!(parts.status == StatusCode::OK || !parts.status.is_success());
        if parts.status == StatusCode::OK {
            let handled = &world.ledger().handled;
            assert!(
                keys.iter()
                    .all(|key| handled.contains(&(APPS[app].1, *key)))
            );
        }
    }
}

/// A layer between the two: checks that a request that gets here is verified.
#[derive(Clone)]
struct Watch<S> {
    inner: S,
    world: World,
}

impl<S> Service<Request<RequestBody<Script>>> for Watch<S>
where
    S: Service<Request<RequestBody<Script>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody<Script>>) -> S::Future {
        let notification = request.extensions().get::<Notification>();
        let verified = request.extensions().get::<Verified>();
        let path = request.uri().path();
        let Some(app) = APPS.iter().position(|(app, _)| *app == path) else {
            assert!(notification.is_none() && verified.is_none());
            return self.inner.call(request);
        };
        let (notification, verified) = (notification.unwrap(), verified.unwrap());
        says_nothing(&(
            notification,
            notification.events(),
            verified,
            request.body(),
        ));
        assert_eq!(request.method(), Method::POST);
        assert_eq!(verified.app(), APPS[app].1);
        let mut ledger = self.world.ledger();
        let mut secrets = ledger.secrets[app].iter();
        let signer = secrets.find(|number| label(**number) == verified.secret_label());
        let signature = sign(secret(*signer.unwrap()), notification.body());
        let given: Vec<_> = request.headers().get_all(SIGNATURE).iter().collect();
        assert_eq!(given, [signature.as_str()]);
        let events = notification.events();
        assert!(app != BANK || events.iter().all(|event| event.entry_id() == Some(ACCOUNT)));
        ledger.requests[number(request.headers())].1 = true;
        drop(ledger);
        self.inner.call(request)
    }
}

async fn host(
    world: World,
    request: Request<RequestBody<Script>>,
) -> Result<Response<Full<Bytes>>, HostError> {
    let (parts, body) = request.into_parts();
    let answer = |status: u16| {
        let mut response = Response::new(Full::from(HOST));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    let (plan, _) = world.ledger().requests[number(&parts.headers)];
    let Some(notification) = parts.extensions.get::<Notification>() else {
        return match plan {
            Host::Fails => Err(HostError),
            _ => Ok(answer(200)),
        };
    };
    assert_eq!(
        body.collect().await.unwrap().to_bytes(),
        notification.body()
    );
    let app = parts.extensions.get::<Verified>().unwrap().app();
    let (_, app) = APPS.into_iter().find(|(_, label)| *label == app).unwrap();
    let mut handled: Vec<_> = notification
        .events()
        .iter()
        .map(|event| event.key_in(app))
        .collect();
    let mut response = answer(200);
    match plan {
        Host::Answers(status) => {
            response = answer([200, 201, 204, 302, 400, 404, 500, 503][usize::from(status % 8)]);
        }
        Host::AnswersLate(millis) => sleep(Duration::from_millis(millis.into())).await,
        Host::HandlesOneOnly => {
            let failed = handled.split_off(1.min(handled.len()));
            response
                .extensions_mut()
                .insert(PartialFailure::of_keys(failed));
        }
        Host::Fails => return Err(HostError),
    }
    if response.status().is_success() {
        let handled = handled.into_iter().map(|key| (app, key));
        world.ledger().handled.extend(handled);
    }
    Ok(response)
}

fn says_nothing(something: &impl Debug) {
    let text = format!("{something:?}");
    for secret in ["canary", WORDS, PHONE] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn number(headers: &HeaderMap) -> usize {
    headers[NUMBER].to_str().unwrap().parse().unwrap()
}

fn label(number: u8) -> String {
    format!("label-{number}")
}

fn secret(number: u8) -> String {
    format!("canary-secret-{number}")
}

fn keys(body: &Bytes, app: &str) -> Vec<EventKey> {
    let notification = Notification::parse(body.clone());
    let notification = notification.iter();
    let events = notification.flat_map(Notification::events);
    events.map(|event| event.key_in(app)).collect()
}

fn contents(contents: &Contents) -> Bytes {
    let set = |bits: u8| (0..8).filter(move |place| bits >> place & 1 == 1);
    let messages = set(contents.messages).map(|place| text(&format!("wamid.{place}"), WORDS));
    let statuses = set(contents.statuses).map(|place| {
        format!(r#"{{"id":"wamid.S{place}","status":"read","timestamp":"1760000000","recipient_id":"{PHONE}"}}"#)
    });
    let [messages, statuses] =
        [messages.collect::<Vec<_>>(), statuses.collect()].map(|elements| elements.join(","));
    let mut body = delivery(&format!(
        r#""messages":[{messages}],"statuses":[{statuses}]"#
    ));
    if contents.is_of_another_account {
        body = body.replace(ACCOUNT, "7");
    }
    if contents.is_cut {
        body.pop();
    }
    Bytes::from(body)
}

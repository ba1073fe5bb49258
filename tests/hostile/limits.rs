//! Limits whose edges are tested nowhere else: the limit itself passes, one more does not.
//!
//! Limits of the body, the handshake and JSON are rows. Limits of settings are in
//! `tests/webhook/config.rs`, `tests/apps` and `tests/dedup`.

use tower_whatsapp::{Credentials, CredentialsError, Notification, Payload};

use test_support::{SECRET, TOKEN, json::delivery};

#[test]
fn labels_and_tokens_of_credentials() {
    let of = |label: usize, token: usize| {
        let secret = [("x".repeat(label), SECRET)];
        Credentials::new(secret, [(TOKEN, "x".repeat(token))]).map(drop)
    };
    assert_eq!(of(64, 512), Ok(()));
    assert_eq!(of(65, 512), Err(CredentialsError::LabelInvalid));
    assert_eq!(of(64, 513), Err(CredentialsError::TokenTooLong));
    assert_eq!(of(1, 1), Ok(()));
    assert_eq!(of(0, 1), Err(CredentialsError::LabelInvalid));
    assert_eq!(of(1, 0), Err(CredentialsError::TokenBlank));
}

/// Maximum number of contacts in which a sender is found.
#[test]
fn contacts() {
    const MOST: usize = 32_768;
    let name = |before: usize| {
        let others = r#"{"wa_id":"2"},"#.repeat(before);
        let body = delivery(&format!(
            r#""contacts":[{others}{{"wa_id":"1","profile":{{"name":"N"}}}}],"messages":[{{"from":"1"}}]"#
        ));
        let notification = Notification::parse(body).unwrap();
        let Payload::Message(message) = notification.events()[0].payload() else {
            panic!("{notification:?}")
        };
        message.sender.name().map(str::to_owned)
    };
    assert_eq!(name(MOST - 1).as_deref(), Some("N"));
    assert_eq!(name(MOST), None);
}

#[cfg(feature = "admission")]
mod admission {
    use std::net::SocketAddr;

    use http::Request;
    use tower::{Layer, ServiceExt, service_fn};
    use tower_whatsapp::{
        Rejection, RejectionKind, WebhookLayerBuilder,
        admission::{ForwardedHeader, IpAllowList, ListErrorKind, PeerAddr, TrustedProxies},
    };

    use test_support::{SECRET, Script, builder, json::one_text, sign};

    #[test]
    fn texts_of_lists() {
        let text = |len: usize| "10.0.0.0/8\n".to_owned() + &"#".repeat(len - 11);
        assert!(IpAllowList::parse(&text(4 << 20)).is_ok());
        let longer = IpAllowList::parse(&text((4 << 20) + 1));
        assert!(longer.is_err_and(|error| error.kind() == ListErrorKind::TooLong));
    }

    #[test]
    fn prefixes() {
        for (most, more) in [("10.0.0.0/8", "10.0.0.0/7"), ("fc00::/7", "fc00::/6")] {
            assert!(IpAllowList::from_prefixes([most]).is_ok(), "{most}");
            assert!(IpAllowList::from_prefixes([more]).is_err(), "{more}");
        }
    }

    async fn refused(
        builder: WebhookLayerBuilder,
        headers: &[(&str, String)],
    ) -> Option<RejectionKind> {
        let mut request =
            Request::post("/wh").header("x-hub-signature-256", sign(SECRET, one_text()));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Script::whole(one_text())).unwrap();
        let proxy: SocketAddr = "10.0.0.1:1".parse().unwrap();
        request.extensions_mut().insert(PeerAddr(proxy));
        let host = service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(http::Response::new(Script::new([])))
        });
        let layer = builder.build().unwrap();
        let response = layer.layer(host).oneshot(request).await.unwrap();
        response.extensions().get().map(|it: &Rejection| it.kind())
    }

    fn from_meta(proxies: TrustedProxies) -> WebhookLayerBuilder {
        let list = IpAllowList::from_prefixes(["157.240.0.0/16"]).unwrap();
        builder().ip_allow_list(list).trusted_proxies(proxies)
    }

    #[tokio::test]
    async fn numbers_of_proxies() {
        let header = ForwardedHeader::x_forwarded_for();
        let most = TrustedProxies::with_hop_count(32, header.clone()).unwrap();
        assert!(TrustedProxies::with_hop_count(33, header).is_err());
        let walked = |others: usize| {
            let line = "157.240.1.1".to_owned() + &", 10.0.0.9".repeat(others);
            [("x-forwarded-for", line)]
        };
        let of = |others| {
            let (most, headers) = (most.clone(), walked(others));
            async move { refused(from_meta(most), &headers).await }
        };
        assert_eq!(of(31).await, None);
        assert_eq!(of(30).await, Some(RejectionKind::AddressUnknown));
    }

    #[tokio::test]
    async fn elements_of_forwarded() {
        let of = async |len: usize| {
            let start = "for=157.240.1.1;host=";
            let element = start.to_owned() + &"x".repeat(len - start.len());
            let proxies =
                TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::forwarded());
            refused(from_meta(proxies.unwrap()), &[("forwarded", element)]).await
        };
        assert_eq!(of(1024).await, None);
        assert_eq!(of(1025).await, Some(RejectionKind::AddressUnknown));
    }

    #[cfg(feature = "client-certificate")]
    #[tokio::test]
    async fn headers_with_certificates() {
        use tower_whatsapp::admission::{CertificateHeader, ClientCertificate};

        let of = async |len: usize| {
            let start = "CN=client.webhooks.fbclientcerts.com,O=";
            let subject = start.to_owned() + &"x".repeat(len - start.len());
            let proxies =
                TrustedProxies::from_prefixes(["10.0.0.0/8"], ForwardedHeader::x_forwarded_for());
            let certificate = ClientCertificate::meta().forwarded(CertificateHeader::aws_alb());
            let builder = builder()
                .client_certificate(certificate)
                .trusted_proxies(proxies.unwrap());
            refused(builder, &[("x-amzn-mtls-clientcert-subject", subject)]).await
        };
        assert_eq!(of(16 * 1024).await, None);
        let more = of(16 * 1024 + 1).await;
        assert_eq!(more, Some(RejectionKind::CertificateRefused));
    }
}

#[cfg(feature = "apps")]
mod apps {
    use std::{convert::Infallible, time::Duration};

    use http::Request;
    use tower::{Layer, Service, ServiceExt, service_fn};
    use tower_whatsapp::{
        App, Credentials, Rejection, RejectionKind, WebhookLayer,
        webhook::{AppResolver, CachedResolver, ResolveError},
    };

    use test_support::{SECRET, Script, TOKEN, sign};

    /// Every name has an app. A lookup takes a second.
    struct Everybody;

    impl AppResolver for Everybody {
        async fn resolve(&self, _: &str) -> Result<Option<App>, ResolveError> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let credentials = Credentials::new([("1", SECRET)], [("1", TOKEN)]).unwrap();
            Ok(Some(App::new("a", credentials).unwrap()))
        }
    }

    /// Rejections of concurrent deliveries to these names.
    async fn refused(names: impl IntoIterator<Item = String>) -> Vec<RejectionKind> {
        let layer = WebhookLayer::builder()
            .app_resolver("/{app}", CachedResolver::new(Everybody))
            .build()
            .unwrap();
        let host = service_fn(async |_| Ok::<_, Infallible>(http::Response::new(Script::new([]))));
        let mut service = layer.layer(host);
        service.ready().await.unwrap();
        let sent: Vec<_> = names
            .into_iter()
            .map(|name| {
                let request = Request::post(format!("/{name}"))
                    .header("x-hub-signature-256", sign(SECRET, "{}"))
                    .body(Script::whole("{}"))
                    .unwrap();
                tokio::spawn(service.call(request))
            })
            .collect();
        let mut refused = Vec::new();
        for sent in sent {
            let response = sent.await.unwrap().unwrap();
            let rejection: Option<&Rejection> = response.extensions().get();
            refused.extend(rejection.map(Rejection::kind));
        }
        refused
    }

    #[tokio::test(start_paused = true)]
    async fn lengths_of_names() {
        assert_eq!(refused(["x".repeat(128)]).await, []);
        assert_eq!(
            refused(["x".repeat(129)]).await,
            [RejectionKind::AppUnknown]
        );
    }

    /// Requests that wait for one lookup.
    #[tokio::test(start_paused = true)]
    async fn numbers_of_those_who_wait() {
        const MOST: usize = 1024;
        let name = || "a".to_owned();
        assert_eq!(refused((0..MOST).map(|_| name())).await, []);
        let one_more = refused((0..=MOST).map(|_| name())).await;
        assert_eq!(one_more, [RejectionKind::AppResolverUnavailable]);
    }
}

//! The gRPC server and the webhook on one port, as a process.
#![cfg(test)]

use std::time::Duration;

use http::{Request, StatusCode, Version};
use test_support::{
    process::{Process, command, run},
    webhook::{ENV, HANDSHAKE, ends_with, send, webhook},
};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const EXAMPLE: &str = "example-tonic";

#[tokio::test]
async fn tonic_serves_grpc_and_the_webhook_on_one_port() {
    let (process, address) = Process::serve(EXAMPLE, &ENV);
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let request = |service: &str| HealthCheckRequest {
        service: service.to_owned(),
    };
    let serving = ServingStatus::Serving;

    // The stream is open all the while. It has its first message at once, so nobody waits for its end.
    let watch = health.watch(request("")).await.unwrap();
    let mut watch = watch.into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), serving);

    webhook(&process, address, Version::HTTP_11, "1").await;
    webhook(&process, address, Version::HTTP_2, "2").await;

    let answer = health.check(request("")).await.unwrap().into_inner();
    assert_eq!(answer.status(), serving);
    let error = health.check(request("nobody")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    let silence = tokio::time::timeout(Duration::from_millis(50), watch.message()).await;
    assert!(
        silence.is_err(),
        "the stream is open and has nothing to say"
    );

    drop((watch, health));
    ends_with(process, &["wamid.signed.1", "wamid.signed.2"]).await;
}

#[test]
fn a_setting_that_is_missing_is_named() {
    let output = run(command(EXAMPLE).envs([ENV[0]]), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("WHATSAPP_VERIFY_TOKEN is not set") && stderr.lines().count() == 1,
        "{stderr}"
    );
}

/// A gRPC stream without an end, and half of a request head.
#[cfg(unix)]
#[tokio::test]
async fn it_ends_whatever_strangers_hold_open() {
    use tokio::{io::AsyncWriteExt, net::TcpStream};

    let (process, address) = Process::serve(EXAMPLE, &ENV);
    let mut stranger = TcpStream::connect(address).await.unwrap();
    let half = b"POST /webhook HTTP/1.1\r\nHost: x\r\n";
    stranger.write_all(half).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let request = HealthCheckRequest::default();
    let response = HealthClient::new(channel).watch(request).await.unwrap();
    let _watch = response.into_inner();
    // The connections before this one have been accepted.
    let answer = send(address, Version::HTTP_11, Request::get(HANDSHAKE), "").await;
    assert_eq!(answer.0, StatusCode::OK);
    process.signal("-TERM");
    let output = tokio::task::spawn_blocking(move || process.end()).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn it_goes_on_without_descriptors() {
    test_support::exhaustion::goes_on(EXAMPLE);
}

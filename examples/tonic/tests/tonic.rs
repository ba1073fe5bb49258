//! Runs the example as a process: gRPC and the webhook on one port.
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

    // The stream stays open during the test. Its first message arrives at once.
    let watch = health.watch(request("")).await.unwrap();
    let mut watch = watch.into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), serving);

    webhook(&process, address, Version::HTTP_11, "1").await;
    webhook(&process, address, Version::HTTP_2, "2").await;

    let response = health.check(request("")).await.unwrap().into_inner();
    assert_eq!(response.status(), serving);
    let error = health.check(request("nobody")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    let silence = tokio::time::timeout(Duration::from_millis(50), watch.message()).await;
    assert!(silence.is_err(), "the stream must be open and silent");

    drop((watch, health));
    ends_with(process, &["wamid.signed.1", "wamid.signed.2"]).await;
}

#[test]
fn a_missing_setting_is_named() {
    let output = run(command(EXAMPLE).envs([ENV[0]]), b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("WHATSAPP_VERIFY_TOKEN is not set") && stderr.lines().count() == 1,
        "{stderr}"
    );
}

/// A client holds an endless gRPC stream, and another one half of a request head.
#[cfg(unix)]
#[tokio::test]
async fn shutdown_is_not_blocked_by_open_connections() {
    use tokio::{io::AsyncWriteExt, net::TcpStream};

    let (process, address) = Process::serve(EXAMPLE, &ENV);
    let mut client = TcpStream::connect(address).await.unwrap();
    let half = b"POST /webhook HTTP/1.1\r\nHost: x\r\n";
    client.write_all(half).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.unwrap().connect().await.unwrap();
    let request = HealthCheckRequest::default();
    let response = HealthClient::new(channel).watch(request).await.unwrap();
    let _watch = response.into_inner();
    // Connections are accepted in order, so the two above have been accepted too.
    let answer = send(address, Version::HTTP_11, Request::get(HANDSHAKE), "").await;
    assert_eq!(answer.0, StatusCode::OK);
    process.signal("-TERM");
    let output = tokio::task::spawn_blocking(move || process.end()).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn it_survives_running_out_of_file_descriptors() {
    test_support::exhaustion::goes_on(EXAMPLE);
}

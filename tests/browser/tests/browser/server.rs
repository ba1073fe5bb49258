//! The program as a process, and what Meta sends it.

use std::net::SocketAddr;

use http::{Request, Version};
use test_support::{
    process::{Process, command},
    sign,
    webhook::{ENV, SECRET, send},
};

pub struct Server {
    /// Kept alive.
    process: Process,
    pub webhook: SocketAddr,
    pub page: SocketAddr,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[], "127.0.0.1:0")
    }

    pub fn with(options: &[&str], page: &str) -> Self {
        let mut command = command("whatsapp-webhook");
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--page", page])
            .args(options)
            .envs(ENV);
        let process = Process::spawn(&mut command);
        let address = |line: &str| -> SocketAddr {
            let (_, rest) = line.split_once("http://").unwrap();
            rest.split('/').next().unwrap().parse().unwrap()
        };
        let webhook = address(&process.line());
        let page = loop {
            let line = process.line();
            if line.starts_with("page ") {
                break address(&line);
            }
        };
        Self {
            process,
            webhook,
            page,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.page)
    }

    pub async fn deliver(&self, body: &str) -> u16 {
        self.deliver_signed(body, SECRET).await
    }

    pub async fn deliver_signed(&self, body: &str, secret: &str) -> u16 {
        let request = Request::post("/webhook").header("X-Hub-Signature-256", sign(secret, body));
        let (status, _) = send(self.webhook, Version::HTTP_11, request, body).await;
        status.as_u16()
    }

    pub async fn get(&self, path: &str) -> u16 {
        let (status, _) = send(self.webhook, Version::HTTP_11, Request::get(path), "").await;
        status.as_u16()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() * 1024
    }
}

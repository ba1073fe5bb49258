//! Runs nginx, Caddy or HAProxy with the documented configuration.

use std::{
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use test_support::port;
use test_support::process::Process;
use tls_tests::pki::{Directory, Identity};

use crate::HOST;

const NGINX: &str = include_str!("../../../../examples/behind_proxy/nginx.conf");
const CADDY: &str = include_str!("../../../../examples/behind_proxy/Caddyfile");
const HAPROXY: &str = include_str!("../../../../examples/behind_proxy/haproxy.cfg");

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
    /// HAProxy that accepts unverified certificates (`crt-ignore-err`). Their verdict is not 0.
    LaxHaproxy,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy | Self::LaxHaproxy => "haproxy",
        }
    }
}

/// A proxy process that stops when it is dropped.
pub(crate) struct Proxy {
    process: Process,
    address: SocketAddr,
}

impl Proxy {
    pub(crate) fn start(
        kind: Kind,
        files: &Directory,
        server: &Identity,
        metas_authority: &str,
        service: SocketAddr,
    ) -> Self {
        let certificate = files.write("fullchain.pem", &server.pem());
        let key = files.write("privkey.pem", &server.key.serialize_pem());
        let authority = files.write("authority.pem", metas_authority);
        let port = port::free();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let service = service.to_string();
        let mut command = match kind {
            Kind::Nginx => {
                let listen = format!("listen {address} ssl http2;");
                let site = replaced(
                    NGINX,
                    &[
                        ("listen 443 ssl http2;", &listen),
                        (
                            "/etc/letsencrypt/live/hooks.example.com/fullchain.pem",
                            &certificate,
                        ),
                        ("/etc/letsencrypt/live/hooks.example.com/privkey.pem", &key),
                        ("/etc/ssl/meta-outbound-api-ca-2025-12.pem", &authority),
                        ("127.0.0.1:3000", &service),
                    ],
                );
                let site = files.write("site.conf", &site);
                // The surrounding configuration of a distribution, with a writable
                // directory of its own.
                let here = files.path();
                let main = format!(
                    "daemon off; master_process off; pid {here}/pid; error_log stderr;
                    events {{}}
                    http {{
                        access_log off;
                        client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;
                        uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
                        include {site};
                    }}"
                );
                let mut command = Command::new("nginx");
                command.args(["-p", here, "-c", &files.write("nginx.conf", &main)]);
                command
            }
            Kind::Caddy => {
                let site = format!("{HOST}:{port} {{");
                let site = replaced(
                    CADDY,
                    &[
                        ("hooks.example.com {", &site),
                        ("/etc/ssl/hooks.example.com/fullchain.pem", &certificate),
                        ("/etc/ssl/hooks.example.com/privkey.pem", &key),
                        ("/etc/ssl/meta-outbound-api-ca-2025-12.pem", &authority),
                        ("127.0.0.1:3000", &service),
                    ],
                );
                // Without the admin port and redirects, which would need further ports.
                let site = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}");
                let mut command = Command::new("caddy");
                let site = files.write("Caddyfile", &site);
                command.args(["run", "--adapter", "caddyfile", "--config", &site]);
                for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                    command.env(variable, files.path());
                }
                command
            }
            Kind::Haproxy | Kind::LaxHaproxy => {
                let both = files.write("server.pem", &(server.pem() + &server.key.serialize_pem()));
                let bind = format!("bind {address} ssl");
                let verify = match kind {
                    Kind::LaxHaproxy => "verify optional crt-ignore-err all ca-ignore-err all",
                    _ => "verify optional",
                };
                let config = replaced(
                    HAPROXY,
                    &[
                        ("bind :443 ssl", &bind),
                        ("/etc/ssl/hooks.example.com.pem", &both),
                        ("/etc/ssl/meta-outbound-api-ca-2025-12.pem", &authority),
                        ("verify optional", verify),
                        ("127.0.0.1:3000", &service),
                    ],
                );
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f", &files.write("haproxy.cfg", &config)]);
                command
            }
        };
        let process = Process::spawn(command.stdin(Stdio::null()));
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < PATIENCE,
                "{} does not listen",
                kind.name()
            );
            sleep(Duration::from_millis(20));
        }
        Self { process, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn replaced(text: &str, changes: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in the configuration");
        text = text.replace(from, to);
    }
    text
}

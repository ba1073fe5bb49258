//! The servers that are compared, and what each of them does.

use std::{ffi::OsString, path::Path, time::Duration};

pub struct Peer {
    pub name: &'static str,
    program: Program,
    /// What it does with a delivery, for the table.
    pub work: &'static str,
    pub delivers: Delivers,
    pub role: Role,
}

/// Whether a server is compared with the first one, or stands beside for reference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Receiver,
    /// This crate with a further part, which the others lack.
    Variant,
    /// A lower bound.
    Floor,
}

enum Program {
    /// A binary of this package.
    Rust(&'static str),
    /// A binary of this package that is built with all features.
    Telemetry(&'static str),
    Node(&'static str),
    Python(&'static str),
}

/// Which events of an accepted delivery reach the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivers {
    All,
    /// Only the first one.
    First,
    /// None: it has no handler.
    Nothing,
}

impl Delivers {
    /// Expected number of events, for `deliveries` with `events` each.
    pub fn of(self, deliveries: u64, events: u64) -> u64 {
        match self {
            Self::All => deliveries * events,
            Self::First => deliveries,
            Self::Nothing => 0,
        }
    }
}

impl Peer {
    /// Duration of the warm-up.
    pub fn warm_up(&self) -> Duration {
        match self.program {
            // Its JIT compiler needs more than a second.
            Program::Node(_) => Duration::from_secs(2),
            Program::Rust(_) | Program::Telemetry(_) | Program::Python(_) => {
                Duration::from_millis(500)
            }
        }
    }

    pub fn command(&self, built: &Path) -> Vec<OsString> {
        match self.program {
            Program::Rust(name) => vec![built.join("release").join(name).into()],
            Program::Telemetry(name) => vec![built.join("telemetry/release").join(name).into()],
            Program::Node(file) => vec!["node".into(), built.join("node").join(file).into()],
            Program::Python(file) => vec![
                built.join("python/bin/python").into(),
                Path::new("benches/peers/python").join(file).into(),
            ],
        }
    }
}

/// This crate comes first: the others are compared with it.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "tower-whatsapp",
        program: Program::Rust("layer"),
        work: "verifies while the body arrives (sha2), checks the JSON, hands on typed events; the handler reads each",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "axum by hand",
        program: Program::Rust("handwritten"),
        work: "`Bytes` with a raised limit, hex and HMAC (sha2), `serde_json::Value`; untyped",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "axum-github-webhook-extract 0.3.0",
        program: Program::Rust("github_extractor"),
        work: "GitHub's scheme: an extractor that verifies (hmac-sha256) and reads `serde_json::Value`, limit raised; untyped",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "tower-github-webhook 0.2.0",
        program: Program::Rust("github_layer"),
        work: "GitHub's scheme: a layer that verifies bodies of any length (sha2), then axum's `Json<Value>`, limit raised; untyped",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "whatsapp-business-rs 0.5.0",
        program: Program::Rust("business_rs"),
        work: "inside an axum router, limit raised (its own server rejects 3 MB): verifies (sha2), derived types, responds, then a task for each event",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "Express 5.3.0 by hand",
        program: Program::Node("express.js"),
        work: "`express.raw` with a raised limit, `timingSafeEqual` (OpenSSL), `JSON.parse`; untyped",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "whatsapp-api-js 6.3.0",
        program: Program::Node("whatsapp_api_js.js"),
        work: "with Express, limit raised: verifies (OpenSSL), `JSON.parse`",
        delivers: Delivers::First,
        role: Role::Receiver,
    },
    Peer {
        name: "FastAPI 0.163.2 by hand",
        program: Program::Python("by_hand.py"),
        work: "`request.body()`, `compare_digest` (OpenSSL), `json.loads`; untyped. One process of uvicorn with uvloop and httptools",
        delivers: Delivers::All,
        role: Role::Receiver,
    },
    Peer {
        name: "pywa 4.5.0",
        program: Program::Python("with_pywa.py"),
        work: "with FastAPI: verifies (OpenSSL), `json.loads`, responds, then the handler, typed; its deduplication is off. uvicorn as above",
        delivers: Delivers::First,
        role: Role::Receiver,
    },
    Peer {
        name: "tower-whatsapp with DedupLayer",
        program: Program::Rust("layer_dedup"),
        work: "the first row, with `DedupLayer` and `MemoryStore`; each event is new to the store",
        delivers: Delivers::All,
        role: Role::Variant,
    },
    Peer {
        name: "tower-whatsapp with telemetry",
        program: Program::Telemetry("layer_telemetry"),
        work: "the first row, with the features `tracing` and `metrics`, a subscriber at INFO and a recorder for Prometheus",
        delivers: Delivers::All,
        role: Role::Variant,
    },
    Peer {
        name: "axum, body read, hashed and dropped",
        program: Program::Rust("hashed"),
        work: "the lower bound of a receiver that verifies (sha2): nothing is compared or parsed",
        delivers: Delivers::Nothing,
        role: Role::Floor,
    },
    Peer {
        name: "axum, body read and dropped",
        program: Program::Rust("floor"),
        work: "the lower bound: nothing is verified or parsed",
        delivers: Delivers::Nothing,
        role: Role::Floor,
    },
];

use std::sync::{Arc, Mutex};

use tower_whatsapp::dedup::{DedupLayer, MemoryStore};

fn main() {
    let _ = DedupLayer::builder(Arc::new(Mutex::new(MemoryStore::new())));
}

use std::collections::HashMap;

use tower_whatsapp::dedup::DedupLayer;

fn main() {
    let _ = DedupLayer::new(HashMap::<String, bool>::new());
}

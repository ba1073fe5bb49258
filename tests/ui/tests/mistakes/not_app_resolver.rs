use std::collections::HashMap;

use tower_whatsapp::{App, webhook::CachedResolver};

fn main() {
    let _ = CachedResolver::builder(HashMap::<String, App>::new());
}

use std::collections::HashMap;

use tower_whatsapp::{App, webhook::Directory};

fn main() {
    let _ = Directory::builder(HashMap::<String, App>::new());
}

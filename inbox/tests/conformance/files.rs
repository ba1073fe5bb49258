//! The files of SQLite.

use std::{fs, path::Path};

use http::StatusCode;
use tower_whatsapp_inbox::{Inbox, InboxErrorKind};

use crate::common::{message, messages, post};

type Tamper = fn(&Path);

/// Another file under the same name.
#[cfg(unix)]
fn make_again(file: &Path) {
    let content = fs::read(file).unwrap();
    fs::remove_file(file).unwrap();
    fs::write(file, content).unwrap();
}

/// Nobody would find again what SQLite writes to a file that has no name any more.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_is_503() {
    let cases: [(&str, Tamper); 8] = [
        ("the database is removed", |file| {
            fs::remove_file(file).unwrap();
        }),
        ("the database is moved", |file| {
            fs::rename(file, file.with_extension("old")).unwrap();
        }),
        ("the database is replaced", |file| {
            let copy = file.with_extension("copy");
            fs::copy(file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        }),
        ("the database is emptied", |file| {
            fs::write(file, "").unwrap();
        }),
        ("the log is removed", |file| {
            fs::remove_file(file.with_extension("db-wal")).unwrap();
        }),
        // By any process that reads the file afterwards.
        ("the log is made again", |file| {
            make_again(&file.with_extension("db-wal"));
        }),
        ("the index of the log is removed", |file| {
            fs::remove_file(file.with_extension("db-shm")).unwrap();
        }),
        ("the index of the log is made again", |file| {
            make_again(&file.with_extension("db-shm"));
        }),
    ];
    for (case, tamper) in cases {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("inbox.db");
        let inbox = Inbox::sqlite(&file).await.unwrap();
        let body = |id: &str| messages(&[message("491", id, 1)]);
        assert_eq!(post(&inbox, body("w1")).await, StatusCode::OK, "{case}");
        tamper(&file);
        let answer = post(&inbox, body("w2")).await;
        assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE, "{case}");
        assert_eq!(inbox.counters().refused, 1, "{case}");
    }
}

/// The log is beside the file that a link leads to.
#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_file_works() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("real.db"), dir.path().join("inbox.db"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for id in ["w1", "w2"] {
        let inbox = Inbox::sqlite(&link).await.unwrap();
        let body = messages(&[message("491", id, 1)]);
        assert_eq!(post(&inbox, body).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_no_path_is_refused() {
    for path in [
        "",
        ":memory:",
        "file:inbox.db",
        "file::memory:?cache=shared",
        "sqlite:inbox.db",
        "sqlite::memory:",
        "sqlite://inbox.db",
    ] {
        let error = Inbox::sqlite(path).await.unwrap_err();
        let is_config = error.kind() == InboxErrorKind::Config;
        assert!(is_config && error.to_string().contains("path"), "{path}");
    }
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing").join("inbox.db");
    let error = Inbox::sqlite(missing).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the file cannot be opened (code 14)");
}

//! Loading and watching the file of a list.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use test_support::within;
use tokio::sync::mpsc;
use tower_whatsapp::admission::{IpAllowList, ListError, ListErrorKind, Reload, Shrink};

/// A temporary directory that is removed when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-whatsapp-addresses-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Writes to a temporary file and renames it, as a tool that fetches lists should.
    fn write(&self, content: impl AsRef<[u8]>) -> PathBuf {
        let (new, path) = (self.0.join("list.new"), self.0.join("list"));
        fs::write(&new, content).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_is_read_from_a_file() {
    let directory = Directory::new();
    // A comment that is not UTF-8.
    let path = directory.write(b"10.0.0.0/8 # Malm\xf6\r\n");
    let list = IpAllowList::load(&path).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(list.status().modified, Some(written));

    let reload = |shrink| list.reload_from(&path, shrink);
    assert_eq!(reload(Shrink::Refuse).unwrap(), Reload::Unchanged);
    directory.write("10.0.0.0/8\n11.0.0.0/8");
    assert_eq!(reload(Shrink::Refuse).unwrap(), Reload::Replaced);

    directory.write("10.0.0.0/8\n11.0.0.0/");
    let bad = reload(Shrink::Allow).unwrap_err();
    assert_eq!(bad.kind(), ListErrorKind::Prefixes);
    assert_eq!(bad.path(), Some(&*path));
    directory.write("10.0.0.0/16");
    let shrunk = reload(Shrink::Refuse).unwrap_err();
    assert_eq!(shrunk.kind(), ListErrorKind::Shrunk);
    assert_eq!(shrunk.path(), Some(&*path));
    assert_eq!((list.status().generation, list.status().prefixes), (2, 2));
    assert_eq!(reload(Shrink::Allow).unwrap(), Reload::Replaced);
    assert_eq!((list.status().generation, list.status().prefixes), (3, 1));
}

/// The error text contains the file and the cause, because some hosts print only that.
#[test]
fn what_is_no_such_file() {
    let directory = Directory::new();
    let long = directory.write(vec![b'\n'; 4 * 1024 * 1024 + 1]);
    let missing = directory.0.join("missing");
    for (path, kind, text) in [
        (
            &*long,
            ListErrorKind::TooLong,
            "the list is longer than 4 MiB",
        ),
        (
            &missing,
            ListErrorKind::File,
            "cannot read the file: entity not found",
        ),
        (&directory.0, ListErrorKind::NotAFile, "not a regular file"),
        (
            Path::new("/dev/zero"),
            ListErrorKind::NotAFile,
            "not a regular file",
        ),
    ] {
        let error = IpAllowList::load(path).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.path(), Some(path));
        assert_eq!(error.to_string(), format!("address list {path:?}: {text}"));
        let is_io = std::error::Error::source(&error).is_some();
        assert_eq!(is_io, kind == ListErrorKind::File);
    }
    let path = directory.write("10.0.0.0/8\n 10.0.0.1/8 # x");
    let error = IpAllowList::load(&path).unwrap_err();
    let expected = format!("address list {path:?}: line 2, \" 10.0.0.1/8 # x\": host bits are set");
    assert_eq!(error.to_string(), expected);
}

/// Opening a FIFO blocks until the other end opens. The file may become one between two checks.
#[cfg(unix)]
#[test]
fn a_file_swapped_for_a_fifo_does_not_block() {
    let directory = Directory::new();
    let [file, fifo, path] = ["file", "fifo", "list"].map(|name| directory.0.join(name));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let is_done = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (is_done, path) = (Arc::clone(&is_done), path.clone());
        move || {
            while !is_done.load(Ordering::Relaxed) {
                fs::write(&file, "10.0.0.0/8").unwrap();
                fs::rename(&file, &path).unwrap();
                // A hard link to the FIFO replaces the file.
                fs::hard_link(&fifo, &file).unwrap();
                fs::rename(&file, &path).unwrap();
            }
        }
    });
    let (sender, outcomes) = std::sync::mpsc::sync_channel(1000);
    let reader = {
        let path = path.clone();
        move || {
            let load = || IpAllowList::load(&path).map_err(|error| error.kind());
            // Until the receiver is dropped.
            while sender.send(load().map(|_| ())).is_ok() {}
        }
    };
    std::thread::spawn(reader);
    let (mut good, mut fifos) = (0, 0);
    // On a busy machine the swapping thread may not run during the first 20,000 loads.
    for outcome in 1..=20_000_000 {
        // Fails instead of hanging.
        match outcomes.recv_timeout(Duration::from_secs(60)) {
            Ok(Ok(())) => good += 1,
            Ok(Err(ListErrorKind::NotAFile)) => fifos += 1,
            // Before the first rename, or between the truncation and the write.
            Ok(Err(ListErrorKind::File | ListErrorKind::Empty)) => {}
            other => panic!("{other:?} after {good} and {fifos}"),
        }
        if outcome >= 20_000 && good > 0 && fifos > 0 {
            break;
        }
    }
    is_done.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(good > 0 && fifos > 0, "{good} {fifos}");
}

/// Every error names the watched file.
fn is(outcome: &Result<Reload, ListError>, kind: ListErrorKind) -> bool {
    outcome.as_ref().is_err_and(|error| {
        let path = error.path();
        assert!(path.is_some_and(|path| path.ends_with("list")), "{error}");
        error.kind() == kind
    })
}

/// Outcomes from before a change may still arrive after it.
async fn until(
    outcomes: &mut mpsc::UnboundedReceiver<Result<Reload, ListError>>,
    is_expected: fn(&Result<Reload, ListError>) -> bool,
) {
    let expected = async { while !is_expected(&outcomes.recv().await.unwrap()) {} };
    within("a report of the watched file", expected).await;
}

#[tokio::test]
async fn it_is_watched() {
    let directory = Directory::new();
    let path = directory.write("10.0.0.0/8");
    let list = IpAllowList::load(&path).unwrap();
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let watch = list.watch(&path, Duration::ZERO, move |outcome| {
        let _ = sender.send(outcome);
    });
    let [ten, eleven] = ["10.0.0.1", "11.0.0.1"].map(|text| text.parse().unwrap());

    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Unchanged))
    })
    .await;
    assert_eq!(list.status().generation, 1);

    directory.write("10.0.0.0/8\n11.0.0.0/8");
    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Replaced))
    })
    .await;
    assert!(list.contains(eleven));

    directory.write("10.0.0.0/8\nan error page");
    until(&mut outcomes, |outcome| {
        is(outcome, ListErrorKind::Prefixes)
    })
    .await;
    directory.write("10.0.0.0/10");
    until(&mut outcomes, |outcome| is(outcome, ListErrorKind::Shrunk)).await;
    fs::remove_file(&path).unwrap();
    until(&mut outcomes, |outcome| is(outcome, ListErrorKind::File)).await;
    // Reported at every check, as long as the error lasts.
    until(&mut outcomes, |outcome| is(outcome, ListErrorKind::File)).await;
    assert!(list.contains(ten) && list.contains(eleven));
    assert_eq!((list.status().generation, list.status().prefixes), (2, 2));

    // Rewritten without a change: this still shows that the file is current.
    directory.write("11.0.0.0/8\n10.0.0.0/8");
    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Unchanged))
    })
    .await;
    let status = list.status();
    assert!(status.generation == 2 && status.confirmed < status.age);
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(status.modified, Some(written));

    drop(watch);
    while outcomes.recv().await.is_some() {}
    directory.write("12.0.0.0/7");
    assert!(list.contains(ten));
}

/// A file with the list in force counts as read, by hand or by the watch.
#[tokio::test]
async fn a_list_that_equals_the_file_is_that_of_the_file() {
    let directory = Directory::new();
    let path = directory.write("10.0.0.0/8");
    let both = "10.0.0.0/8\n11.0.0.0/8";
    for is_read_by_hand in [true, false] {
        let list = IpAllowList::parse("10.0.0.0/8").unwrap();
        if is_read_by_hand {
            let outcome = list.reload_from(&path, Shrink::Refuse);
            assert_eq!(outcome.unwrap(), Reload::Unchanged);
            list.replace(both, Shrink::Refuse).unwrap();
        }
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        let watch = list.watch(&path, Duration::ZERO, move |outcome| {
            let _ = sender.send(outcome);
        });
        if !is_read_by_hand {
            let outcome = outcomes.recv().await.unwrap().unwrap();
            assert_eq!(outcome, Reload::Unchanged);
            list.replace(both, Shrink::Refuse).unwrap();
        }
        // A check that began before the replacement may still report.
        let outcome = loop {
            match outcomes.recv().await.unwrap().unwrap() {
                Reload::Unchanged if !is_read_by_hand => {}
                outcome => break outcome,
            }
        };
        assert_eq!(outcome, Reload::Overridden, "{is_read_by_hand}");
        assert!(list.contains("11.0.0.1".parse().unwrap()));
        drop(watch);
    }
}

/// A list that was set by hand stays until the file changes.
#[tokio::test]
async fn watching_does_not_undo_a_manual_replacement() {
    let directory = Directory::new();
    let path = directory.write("10.0.0.0/8");
    let list = IpAllowList::load(&path).unwrap();
    let [ten, eleven] = ["10.0.0.1", "11.0.0.1"].map(|text| text.parse().unwrap());
    let both = "10.0.0.0/8\n11.0.0.0/8";
    // Also before the first check.
    list.replace(both, Shrink::Refuse).unwrap();
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let watch = list.watch(&path, Duration::ZERO, move |outcome| {
        let _ = sender.send(outcome);
    });
    for _ in 0..3 {
        let outcome = outcomes.recv().await.unwrap().unwrap();
        assert_eq!(outcome, Reload::Overridden);
    }
    assert!(list.contains(ten) && list.contains(eleven));
    assert_eq!(list.status().modified, None);

    // A changed file is loaded again.
    directory.write("10.0.0.0/8\n12.0.0.0/8");
    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Replaced))
    })
    .await;
    assert!(list.contains(ten) && !list.contains(eleven));
    // A list set by hand stays again.
    list.replace(both, Shrink::Refuse).unwrap();
    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Overridden))
    })
    .await;
    assert!(list.contains(eleven));
    // Unless the file is loaded by hand.
    assert_eq!(
        list.reload_from(&path, Shrink::Refuse).unwrap(),
        Reload::Replaced
    );
    until(&mut outcomes, |outcome| {
        matches!(outcome, Ok(Reload::Unchanged))
    })
    .await;
    assert!(!list.contains(eleven));
    drop(watch);
}

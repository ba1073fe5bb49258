//! The file that a list comes from.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::sync::mpsc;
use tower_whatsapp::admission::{IpAllowList, ListError, Reload, Shrink};

/// A directory that goes away again.
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

    /// As whoever fetches a list should do it.
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
    // A registry's description in another encoding.
    let path = directory.write(b"route: 10.0.0.0/8\r\ndescr: Malm\xf6\r\n");
    let list = IpAllowList::load(&path).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(list.status().modified, Some(written));

    let reload = |shrink| list.reload_from(&path, shrink);
    assert_eq!(reload(Shrink::Refuse).unwrap(), Reload::Unchanged);
    directory.write("10.0.0.0/8\n11.0.0.0/8");
    assert_eq!(reload(Shrink::Refuse).unwrap(), Reload::Replaced);

    directory.write("10.0.0.0/8\n11.0.0.0/");
    assert!(matches!(reload(Shrink::Allow), Err(ListError::Prefixes(_))));
    directory.write("10.0.0.0/16");
    assert!(matches!(reload(Shrink::Refuse), Err(ListError::Shrunk)));
    assert_eq!((list.status().generation, list.status().prefixes), (2, 2));
    assert_eq!(reload(Shrink::Allow).unwrap(), Reload::Replaced);
    assert_eq!((list.status().generation, list.status().prefixes), (3, 1));
}

#[test]
fn what_is_no_such_file() {
    let directory = Directory::new();
    let long = directory.write(vec![b'\n'; 4 * 1024 * 1024 + 1]);
    assert!(matches!(IpAllowList::load(long), Err(ListError::TooLong)));
    let missing = directory.0.join("missing");
    for path in [&*missing, &directory.0, Path::new("/dev/zero")] {
        let error = IpAllowList::load(path).unwrap_err();
        assert!(matches!(error, ListError::File(_)), "{path:?} {error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

/// Looks from before a change may be reported after it. Ends a test that would wait for ever.
async fn until(
    outcomes: &mut mpsc::UnboundedReceiver<Result<Reload, ListError>>,
    is_expected: fn(&Result<Reload, ListError>) -> bool,
) {
    let expected = async { while !is_expected(&outcomes.recv().await.unwrap()) {} };
    let expected = tokio::time::timeout(Duration::from_secs(60), expected).await;
    expected.expect("what was expected is not reported");
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
        matches!(outcome, Err(ListError::Prefixes(_)))
    })
    .await;
    directory.write("10.0.0.0/10");
    until(&mut outcomes, |outcome| {
        matches!(outcome, Err(ListError::Shrunk))
    })
    .await;
    fs::remove_file(&path).unwrap();
    until(&mut outcomes, |outcome| {
        matches!(outcome, Err(ListError::File(_)))
    })
    .await;
    // Not once: for as long as it is so.
    until(&mut outcomes, |outcome| {
        matches!(outcome, Err(ListError::File(_)))
    })
    .await;
    assert!(list.contains(ten) && list.contains(eleven));
    assert_eq!((list.status().generation, list.status().prefixes), (2, 2));

    // Written again, and nothing new in it: a good sign.
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

//! Where a server kills itself.

use std::{
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// The points, in the order in which a delivery passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Half of the body has been read.
    Body,
    /// Before the claim is sent.
    BeforeClaim,
    /// The claim has taken effect, but the layer has no response yet.
    AfterClaim,
    HandlerStart,
    /// Half of the events have been handled.
    HandlerMiddle,
    /// All events have been handled, but the handler has not returned.
    HandlerEnd,
    /// The handler is running, before the renewal is sent.
    BeforeRenewal,
    /// The renewal has taken effect, but the layer has no response yet.
    AfterRenewal,
    /// The handler has failed, before the release is sent.
    BeforeRelease,
    /// The release has taken effect, but the layer has no response yet.
    AfterRelease,
    BeforeCommit,
    /// The commit has taken effect, but the layer has no response yet.
    AfterCommit,
    /// The layers have returned 200, but nothing has been written.
    BeforeAnswer,
    /// The response has been written.
    AfterAnswer,
}

impl Point {
    pub(crate) const ALL: [Self; 14] = [
        Self::Body,
        Self::BeforeClaim,
        Self::AfterClaim,
        Self::HandlerStart,
        Self::HandlerMiddle,
        Self::HandlerEnd,
        Self::BeforeRenewal,
        Self::AfterRenewal,
        Self::BeforeRelease,
        Self::AfterRelease,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeAnswer,
        Self::AfterAnswer,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::BeforeClaim => "before-claim",
            Self::AfterClaim => "after-claim",
            Self::HandlerStart => "handler-start",
            Self::HandlerMiddle => "handler-middle",
            Self::HandlerEnd => "handler-end",
            Self::BeforeRenewal => "before-renewal",
            Self::AfterRenewal => "after-renewal",
            Self::BeforeRelease => "before-release",
            Self::AfterRelease => "after-release",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforeAnswer => "before-answer",
            Self::AfterAnswer => "after-answer",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let point = Self::ALL.into_iter().find(|point| point.name() == name);
        point.unwrap_or_else(|| panic!("there is no point {name}"))
    }

    /// Whether only a handler that runs longer than a third of its lease passes it.
    pub(crate) fn needs_long_work(self) -> bool {
        matches!(self, Self::BeforeRenewal | Self::AfterRenewal)
    }

    /// Whether events may have been handled that the store does not know to be done.
    pub(crate) fn may_repeat(self) -> bool {
        matches!(
            self,
            Self::HandlerMiddle | Self::HandlerEnd | Self::BeforeCommit
        )
    }
}

/// Kills the process when a point is passed for the n-th time.
#[derive(Debug)]
pub(crate) struct Trap {
    /// Counted down.
    armed: Option<(Point, AtomicU32)>,
}

impl Trap {
    pub(crate) fn new(armed: Option<(Point, u32)>) -> Self {
        Self {
            armed: armed.map(|(point, nth)| (point, nth.into())),
        }
    }

    pub(crate) fn pass(&self, point: Point) {
        if let Some((armed, left)) = &self.armed
            && *armed == point
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            die();
        }
    }
}

/// The runtime has one thread, so nothing else runs until the signal arrives.
fn die() -> ! {
    let id = process::id().to_string();
    let killed = Command::new("kill").args(["-9", &id]).status();
    killed.expect("`kill` is needed on the PATH");
    loop {
        thread::park();
    }
}

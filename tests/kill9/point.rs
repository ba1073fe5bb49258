//! Where a server kills itself.

use std::{
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

/// The points, in the order in which a delivery comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Half of the body was read.
    Body,
    /// The claim is not sent yet.
    BeforeClaim,
    /// The claim has had its effect, and the layer has not heard of it.
    AfterClaim,
    HandlerStart,
    /// Half of the events were handled.
    HandlerMiddle,
    /// All events were handled, and nobody has heard of it.
    HandlerEnd,
    /// The handler runs, and the renewal is not sent yet.
    BeforeRenewal,
    /// The renewal has had its effect, and the layer has not heard of it.
    AfterRenewal,
    /// The handler has failed, and the release is not sent yet.
    BeforeRelease,
    /// The release has had its effect, and the layer has not heard of it.
    AfterRelease,
    BeforeCommit,
    /// The commit has had its effect, and the layer has not heard of it.
    AfterCommit,
    /// The layers have said 200, and nothing of it was written.
    BeforeAnswer,
    /// An answer was written.
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

    /// Whether it is passed only by a handler that runs for longer than a third of its lease.
    pub(crate) fn needs_long_work(self) -> bool {
        matches!(self, Self::BeforeRenewal | Self::AfterRenewal)
    }

    /// Whether something may have been handled of which the store does not know.
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

/// The runtime has one thread, so nothing else goes on until the signal is there.
fn die() -> ! {
    let id = process::id().to_string();
    let killed = Command::new("kill").args(["-9", &id]).status();
    killed.expect("`kill` is needed on the PATH");
    loop {
        thread::park();
    }
}

//! Helpers that the examples share: settings from the environment, graceful shutdown, and events as
//! lines of text.

mod event_line;
mod printer;
mod settings;

#[allow(unused_imports, reason = "not every example uses every helper")]
pub(crate) use self::{
    printer::Printer,
    settings::{listen, optional, required, run_until_signal},
};

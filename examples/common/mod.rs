//! What the examples share: settings from the environment, and events as lines of text.

mod line;
mod printer;
mod settings;

pub(crate) use self::{
    printer::Printer,
    settings::{listen, until_interrupted, variable},
};

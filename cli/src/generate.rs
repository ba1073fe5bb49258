//! Shell completions and man pages, by clap's own crates.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{args::Args, failure::Failure, output};

pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "whatsapp-webhook", &mut script);
    print(&script)
}

/// Writes the pages of all commands into the directory, or prints the page of the program.
pub(crate) fn man(directory: Option<&Path>) -> Result<ExitCode, Failure> {
    let command = Args::command();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        let rendered = Man::new(command).render(&mut page);
        rendered.map_err(|error| Failure::caused("cannot write the man page", &error))?;
        return print(&page);
    };
    let cannot = |error: io::Error| {
        Failure::usage(format!(
            "cannot write man pages into {}: {error}",
            directory.display()
        ))
    };
    fs::create_dir_all(directory).map_err(cannot)?;
    clap_mangen::generate_to(command, directory).map_err(cannot)?;
    Ok(ExitCode::SUCCESS)
}

fn print(bytes: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    output::written(out.write_all(bytes).and_then(|()| out.flush()))?;
    Ok(ExitCode::SUCCESS)
}

use std::env;

use crate::failure::Failure;

/// Exit code of a command that Ctrl-C ended: 128 and the number of the signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// Reads the app secret from an environment variable. Arguments would show it to other users.
pub(crate) fn app_secret(variable: &str) -> Result<String, Failure> {
    let secret = optional(variable)?.ok_or_else(|| {
        Failure::usage(format!(
            "{variable} is not set: set it to the app secret of the service, or name another \
             variable with --secret-env"
        ))
    })?;
    if secret.trim() != secret {
        return Err(Failure::usage(format!(
            "{variable} starts or ends with white space: remove it"
        )));
    }
    Ok(secret)
}

/// Reads a secret that may be missing. A blank one is a mistake.
pub(crate) fn optional(variable: &str) -> Result<Option<String>, Failure> {
    match env::var(variable) {
        Ok(value) if value.trim().is_empty() => Err(Failure::usage(format!(
            "{variable} is blank: set it, or unset it"
        ))),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::usage(format!(
            "{variable} is not UTF-8: set it again"
        ))),
    }
}

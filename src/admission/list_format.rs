use ipnet::IpNet;

use super::{
    error::{BadPrefixes, ListError, Problem},
    prefix::{BadPrefix, PrefixProblem, prefix},
};

/// Maximum length of a list, bytes. All published prefixes of Meta need less than a tenth of it.
pub(super) const MAX_TEXT: usize = 4 * 1024 * 1024;

/// Parses a list with one prefix per line.
pub(super) fn prefixes(text: &str) -> Result<Vec<IpNet>, ListError> {
    if text.len() > MAX_TEXT {
        return Err(Problem::TooLong.into());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    collect(text.lines().map(|line| (line, read(line))), "line")
}

/// Parses one prefix from each text.
pub(super) fn each<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
) -> Result<Vec<IpNet>, ListError> {
    let prefixes = texts.into_iter().map(|text| {
        let found = prefix(text.as_ref()).map(Some);
        (text, found)
    });
    collect(prefixes, "prefix")
}

/// Returns all prefixes, or all invalid lines.
fn collect<T: AsRef<str>>(
    lines: impl Iterator<Item = (T, Result<Option<IpNet>, PrefixProblem>)>,
    noun: &'static str,
) -> Result<Vec<IpNet>, ListError> {
    let mut nets = Vec::new();
    let mut bad = BadPrefixes::new(noun);
    for (index, (line, found)) in lines.enumerate() {
        match found {
            Ok(net) => nets.extend(net),
            Err(problem) => bad.add(|| BadPrefix::new(index + 1, line.as_ref(), problem)),
        }
    }
    if bad.count() > 0 {
        Err(Problem::Prefixes(bad).into())
    } else if nets.is_empty() {
        Err(Problem::Empty.into())
    } else {
        Ok(nets)
    }
}

/// Returns the prefix of a line, or `None` if the line is blank or a comment.
fn read(line: &str) -> Result<Option<IpNet>, PrefixProblem> {
    let (text, _) = line.split_once('#').unwrap_or((line, ""));
    match text.trim() {
        "" => Ok(None),
        text => prefix(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::error::ListErrorKind, *};

    fn found(text: &str) -> Vec<String> {
        let nets = prefixes(text).unwrap();
        nets.iter().map(ToString::to_string).collect()
    }

    /// Returns the number and the problem of each invalid line.
    fn bad(text: &str) -> Vec<(usize, PrefixProblem)> {
        let error = prefixes(text).unwrap_err();
        let bad = error.bad_prefixes().unwrap().first().iter();
        bad.map(|bad| (bad.line(), bad.problem())).collect()
    }

    #[test]
    fn one_prefix_per_line() {
        let text = "\u{feff}# a list\r\n\r\n  10.0.0.0/8 # a comment\n\tfe80::/10\n\
            fd00::1\n192.0.2.1\n192.0.2.1";
        let expected = [
            "10.0.0.0/8",
            "fe80::/10",
            "fd00::1/128",
            "192.0.2.1/32",
            "192.0.2.1/32",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn invalid_lines() {
        use PrefixProblem::{HostBits, Length, Malformed, TooWide};
        for (line, problem) in [
            ("10.0.0.1/8", HostBits),
            ("0.0.0.0/0", TooWide),
            ("::/0", TooWide),
            ("10.0.0.0/33", Length),
            ("AS32934", Malformed),
            ("10.0.0.0/8 11.0.0.0/8", Malformed),
            ("10.0.0.0/8,11.0.0.0/8", Malformed),
            ("10.0.0.0 - 10.0.0.255", Malformed),
            ("10.0.0.0:80", Malformed),
            // Other formats: unfiltered `whois` output, and geofeeds.
            ("route: 10.0.0.0/8", Malformed),
            ("route:          10.0.0.0/8", Malformed),
            ("descr: a network", Malformed),
            ("% no entries found", Malformed),
            ("10.0.0.0/8,US,,,", Malformed),
            ("<html>", Malformed),
            ("{", Malformed),
            ("\u{e9}", Malformed),
        ] {
            let text = format!("10.0.0.0/8\n\n{line}\n");
            assert_eq!(bad(&text), [(3, problem)], "{line}");
        }
    }

    #[test]
    fn lists_without_a_prefix() {
        for text in ["", "\n\r\n", "# x", " \t# 10.0.0.0/8", "\u{feff}"] {
            let error = prefixes(text).unwrap_err();
            assert_eq!(error.kind(), ListErrorKind::Empty, "{text:?}");
        }
    }

    #[test]
    fn maximum_length() {
        const MOST: usize = 4_194_304;
        let mut text = "10.0.0.0/8\n".repeat(MOST / 11);
        text.push_str(&"\n".repeat(MOST - text.len()));
        assert_eq!(found(&text).len(), MOST / 11);
        text.push('\n');
        assert_eq!(prefixes(&text).unwrap_err().kind(), ListErrorKind::TooLong);
    }
}

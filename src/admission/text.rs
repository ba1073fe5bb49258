use ipnet::IpNet;

use super::{
    error::{BadPrefixes, ListError},
    prefix::{BadPrefix, PrefixProblem, prefix},
};

/// All that is published of the addresses of Meta is less than a tenth of it.
pub(super) const MAX_TEXT: usize = 4 * 1024 * 1024;

/// Reads the prefixes from any of the forms that the docs of [`IpAllowList`](super::IpAllowList) name.
pub(super) fn prefixes(text: &str) -> Result<Vec<IpNet>, ListError> {
    if text.len() > MAX_TEXT {
        return Err(ListError::TooLong);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut attribute = Attribute::None;
    let lines = text.lines().map(|line| (line, read(line, &mut attribute)));
    let nets = collect(lines, "line").map_err(ListError::Prefixes)?;
    if nets.is_empty() {
        return Err(ListError::Empty);
    }
    Ok(nets)
}

/// Reads one prefix from each.
pub(super) fn each<T: AsRef<str>>(
    texts: impl IntoIterator<Item = T>,
) -> Result<Vec<IpNet>, BadPrefixes> {
    let prefixes = texts.into_iter().map(|text| {
        let found = prefix(text.as_ref()).map(Some);
        (text, found)
    });
    collect(prefixes, "prefix")
}

/// All, or what is wrong.
fn collect<T: AsRef<str>>(
    lines: impl Iterator<Item = (T, Result<Option<IpNet>, PrefixProblem>)>,
    noun: &'static str,
) -> Result<Vec<IpNet>, BadPrefixes> {
    let mut nets = Vec::new();
    let mut bad = BadPrefixes::new(noun);
    for (index, (line, found)) in lines.enumerate() {
        match found {
            Ok(net) => nets.extend(net),
            Err(problem) => bad.add(|| BadPrefix::new(index + 1, line.as_ref(), problem)),
        }
    }
    if bad.count() > 0 { Err(bad) } else { Ok(nets) }
}

/// The attribute of an RPSL object that an indented line would go on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    None,
    Route,
    Other,
}

/// What stands in a line, if anything does.
fn read(line: &str, attribute: &mut Attribute) -> Result<Option<IpNet>, PrefixProblem> {
    if line.is_empty() {
        *attribute = Attribute::None;
        return Ok(None);
    }
    if line.starts_with('%') {
        return Ok(None);
    }
    let (line, _) = line.split_once('#').unwrap_or((line, ""));
    let is_continuation = *attribute != Attribute::None && line.starts_with([' ', '\t', '+']);
    let value = line.trim();
    if value.is_empty() || (is_continuation && *attribute == Attribute::Other) {
        return Ok(None);
    }
    if is_continuation {
        // Whatever it is: the line before had a whole prefix.
        return Err(PrefixProblem::Malformed);
    }
    let Some((name, value)) = name_and_value(value) else {
        *attribute = Attribute::None;
        return first_field(value).and_then(prefix).map(Some);
    };
    if !["route", "route6"]
        .iter()
        .any(|route| name.eq_ignore_ascii_case(route))
    {
        *attribute = Attribute::Other;
        return Ok(None);
    }
    *attribute = Attribute::Route;
    match prefix(value.trim()) {
        // The length belongs to it: this is the end of a text that was cut off.
        Ok(_) if !value.contains('/') => Err(PrefixProblem::Malformed),
        found => found.map(Some),
    }
}

/// An attribute of RPSL: `descr: a network`. An address of IPv6 is none, though `fe80::1` looks like one.
fn name_and_value(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let is_group = name.len() <= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_spaced = value.is_empty() || value.starts_with([' ', '\t']);
    (is_name && (is_spaced || !is_group)).then_some((name, value))
}

/// The prefix of a line of a geofeed, or the whole line. What is behind a comma must be a country, or a list in one line would
/// be taken for its first prefix.
fn first_field(line: &str) -> Result<&str, PrefixProblem> {
    let Some((first, rest)) = line.split_once(',') else {
        return Ok(line);
    };
    let country = rest.split(',').next().unwrap_or_default().trim();
    let is_country = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !country.is_empty() && !is_country {
        return Err(PrefixProblem::Malformed);
    }
    Ok(first.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let nets = prefixes(text).unwrap();
        nets.iter().map(ToString::to_string).collect()
    }

    /// The number and the problem of each bad line.
    fn bad(text: &str) -> Vec<(usize, PrefixProblem)> {
        match prefixes(text) {
            Err(ListError::Prefixes(bad)) => bad
                .first()
                .iter()
                .map(|bad| (bad.line(), bad.problem()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    /// As a registry prints them, with everything that is allowed.
    const OBJECTS: &str = "\
% This is a database.
% See https://example.net/terms

route:          157.240.0.0/16
descr:          a network
                10.1.0.0/16
+               10.2.0.0/16
\x20
                10.3.0.0/16
origin:         AS32934 # a comment
mnt-by:         MAINT-AS32934
remarks:
changed:        noc@example.net 20100101  #10:00:00Z
source:         RADB

ROUTE6:\t2a03:2880::/32 # the whole
# in between
origin:         AS32934
last-modified:  2024-01-01T00:00:00Z
source:         RADB

route:31.13.24.0/21
fax:10.4.0.0/16
";

    #[test]
    fn objects() {
        let expected = ["157.240.0.0/16", "2a03:2880::/32", "31.13.24.0/21"];
        assert_eq!(found(OBJECTS), expected);
        assert_eq!(found(&OBJECTS.replace('\n', "\r\n")), expected);
        let is_route = |line: &&str| line.to_ascii_lowercase().starts_with("route");
        let lines: Vec<_> = OBJECTS.lines().filter(is_route).collect();
        assert_eq!(found(&lines.join("\n")), expected);
    }

    #[test]
    fn one_per_line() {
        let text = "\u{feff}# a list\r\n\r\n  10.0.0.0/8 # a comment\n\tfe80::/10\nfd00::1\n192.0.2.1\n192.0.2.1";
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
    fn geofeed() {
        let text = "# prefix,country,region,city,postal\n31.13.24.0/21,IE,IE-L,Dublin,\n2a03:2880::/32,US,,,\n\
            fe80::/64,SE,,Luleå,\n129.134.0.0/17,,,,\n157.240.0.1,us\n10.0.0.0/8,\n";
        let expected = [
            "31.13.24.0/21",
            "2a03:2880::/32",
            "fe80::/64",
            "129.134.0.0/17",
            "157.240.0.1/32",
            "10.0.0.0/8",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn bad_lines() {
        use PrefixProblem::{HostBits, Length, Malformed, TooWide};
        for (line, problem) in [
            ("route: 10.0.0.1/8", HostBits),
            ("route: 0.0.0.0/0", TooWide),
            ("route6: ::/0", TooWide),
            ("route: 10.0.0.0/33", Length),
            ("route:", Malformed),
            ("route: AS32934", Malformed),
            ("route: 10.0.0.0/8 11.0.0.0/8", Malformed),
            // Cut off.
            ("route: 10.0.0.0", Malformed),
            ("rou", Malformed),
            ("10.0.0.0/8 11.0.0.0/8", Malformed),
            ("10.0.0.0/8,11.0.0.0/8", Malformed),
            ("10.0.0.0/8,USA", Malformed),
            (",US,,,", Malformed),
            ("10.0.0.0 - 10.0.0.255", Malformed),
            ("10.0.0.0:80", Malformed),
            ("fe80::/129", Length),
            ("fe80:x", Malformed),
            ("2a03: 2880::/32", Malformed),
            ("a b: c", Malformed),
            ("fe80::1::", Malformed),
            ("<html>", Malformed),
            ("{", Malformed),
            ("é", Malformed),
        ] {
            let text = format!("10.0.0.0/8\n\n{line}\n");
            assert_eq!(bad(&text), [(3, problem)], "{line}");
        }
        // A prefix of a route that goes on.
        assert_eq!(bad("route: 10.0.0.0/8\n 11.0.0.0/8"), [(2, Malformed)]);
    }

    #[test]
    fn nothing() {
        for text in [
            "",
            "\n\r\n",
            "% no entries found",
            "# x",
            "origin: AS32934\n 10.0.0.0/8",
            "fad: a group of digits, but for the space",
            "fad:",
        ] {
            assert!(matches!(prefixes(text), Err(ListError::Empty)), "{text:?}");
        }
    }

    #[test]
    fn bounds() {
        const MOST: usize = 4_194_304;
        let mut text = "10.0.0.0/8\n".repeat(MOST / 11);
        text.push_str(&"\n".repeat(MOST - text.len()));
        assert_eq!(found(&text).len(), MOST / 11);
        text.push('\n');
        assert!(matches!(prefixes(&text), Err(ListError::TooLong)));
    }
}

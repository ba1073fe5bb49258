//! Distinguished names as text: RFC 4514, and the older forms that RFC 2253 requires to accept.

use crate::hex;

/// Returns the common name of a subject. `None` if there is not exactly one, if it is empty, or if
/// any part of the text is malformed: guessing where a name ends would let its owner choose.
pub(super) fn common_name(subject: &[u8]) -> Option<Vec<u8>> {
    let mut cursor = Cursor { rest: subject };
    let mut found = None;
    loop {
        let is_name = cursor.key()?;
        let value = cursor.value()?;
        if is_name && found.replace(value).is_some() {
            return None;
        }
        match cursor.next() {
            // `+` joins attributes of one relative name. They count like all others.
            Some(b',' | b';' | b'+') => {}
            Some(_) => return None,
            None => break,
        }
    }
    found?.filter(|name| !name.is_empty())
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Reads a key up to and including the `=`. Returns whether it is that of a common name.
    fn key(&mut self) -> Option<bool> {
        let end = self.rest.iter().position(|&byte| byte == b'=')?;
        let (key, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        let key = key.trim_ascii();
        let well_formed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.".contains(byte);
        if key.is_empty() || !key.iter().all(well_formed) {
            return None;
        }
        // All spellings, so that a second common name is not missed.
        Some(
            [&b"CN"[..], b"commonName", b"2.5.4.3", b"OID.2.5.4.3"]
                .iter()
                .any(|name| key.eq_ignore_ascii_case(name)),
        )
    }

    /// Reads a value up to the next separator. The outer `None` means malformed; the inner `None`
    /// is a hexadecimal value (BER), which is not decoded.
    fn value(&mut self) -> Option<Option<Vec<u8>>> {
        self.skip_spaces();
        match self.peek() {
            Some(b'#') => {
                self.next();
                self.hexadecimal().map(|()| None)
            }
            Some(b'"') => {
                self.next();
                self.quoted().map(Some)
            }
            _ => self.plain().map(Some),
        }
    }

    fn hexadecimal(&mut self) -> Option<()> {
        let digits = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        self.rest = self.rest.get(digits..)?;
        self.skip_spaces();
        (digits > 0 && digits % 2 == 0).then_some(())
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => value.push(self.escaped()?),
                byte => value.push(byte),
            }
        }
        self.skip_spaces();
        Some(value)
    }

    fn plain(&mut self) -> Option<Vec<u8>> {
        let mut value = Vec::new();
        // Trailing spaces are not part of the value, unless they are escaped.
        let mut length = 0;
        loop {
            match self.peek() {
                None | Some(b',' | b';' | b'+') => break,
                Some(b'"' | b'<' | b'>' | b'\0') => return None,
                Some(b' ') => {
                    self.next();
                    value.push(b' ');
                    continue;
                }
                Some(b'\\') => {
                    self.next();
                    let byte = self.escaped()?;
                    value.push(byte);
                }
                Some(byte) => {
                    self.next();
                    value.push(byte);
                }
            }
            length = value.len();
        }
        value.truncate(length);
        Some(value)
    }

    fn escaped(&mut self) -> Option<u8> {
        let first = self.next()?;
        if b" \"#+,;<=>\\".contains(&first) {
            return Some(first);
        }
        let second = self.next()?;
        hex::decode_byte(first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(subject: &str) -> Option<String> {
        common_name(subject.as_bytes()).map(|name| String::from_utf8(name).unwrap())
    }

    #[test]
    fn one_common_name() {
        for subject in [
            "CN=a.b",
            "cn=a.b",
            "commonName=a.b",
            "2.5.4.3=a.b",
            "oid.2.5.4.3=a.b",
            "CN = a.b , O = Meta",
            "O=Meta,CN=a.b",
            "O=Meta; CN=a.b;C=US",
            "O=Meta+CN=a.b,C=US",
            r#"CN="a.b",O=Meta"#,
            r#"CN="\61.b" "#,
            r"CN=\61\2Eb",
            r"O=x\,CN=c,CN=a.b",
            r#"O="x,CN=c",CN=a.b"#,
            "O=CN=c,CN=a.b",
            "O=,CN=a.b",
            "1.2.3=#0403abcdef,CN=a.b",
            "1.2.3=#0403 , CN=a.b",
            "O=\u{c4}rger,CN=a.b",
        ] {
            assert_eq!(read(subject).as_deref(), Some("a.b"), "{subject}");
        }
        for (subject, name) in [
            (r"CN=\ a.b\ ", " a.b "),
            (r"CN=a.b\  ", "a.b "),
            (r#"CN=" a.b ""#, " a.b "),
            (r"CN=a\2Cb", "a,b"),
            (r"CN=a\,CN\=b", "a,CN=b"),
            (r"CN=a\00", "a\0"),
            (r"CN=\#a", "#a"),
            (r"CN=a\\", r"a\"),
            (r"CN=\C3\84", "\u{c4}"),
        ] {
            assert_eq!(read(subject).as_deref(), Some(name), "{subject}");
        }
    }

    #[test]
    fn none_several_or_malformed() {
        for subject in [
            "",
            " ",
            "a.b",
            "CN",
            "CN=",
            "CN= ",
            r#"CN="""#,
            "O=Meta",
            "CN=a.b,CN=a.b",
            "CN=a.b+CN=c",
            "CN=a.b,commonName=c",
            "CN=a.b,2.5.4.3=#0c0163",
            "CN=#0c03612e62",
            "CN=a.b,",
            ",CN=a.b",
            "CN=a.b,,O=x",
            "/C=US/CN=a.b",
            "=a.b",
            "C N=a.b",
            "CN=a.b,O",
            r"CN=a.b\",
            r"CN=a.b\x",
            r"CN=a.b\4",
            r"CN=a.b\4g",
            r"CN=\a.b",
            r#"CN="a.b"#,
            r#"CN="a.b"c"#,
            r#"CN="a.b"\"#,
            r#"CN=a"b"#,
            "CN=a<b",
            "CN=a.b,O=a>b",
            "CN=a.b\0",
            "CN=a.b,1.2.3=#",
            "CN=a.b,1.2.3=#040",
            "CN=a.b,1.2.3=#zz",
            "CN=a.b,1.2.3=#0403x",
        ] {
            assert_eq!(read(subject), None, "{subject}");
        }
    }
}

//! Request paths: decoding and cleaning, as the reference's router does.

/// The path with `%xx` decoded; `None` if that is malformed.
pub fn decode(raw: &str) -> Option<String> {
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
            decoded.push(digit(bytes.next())? * 16 + digit(bytes.next())?);
        } else {
            decoded.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

/// The path without `//`, `.` and `..`; a slash at the end stays.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut clean = format!("/{}", parts.join("/"));
    if path.ends_with('/') && clean != "/" {
        clean.push('/');
    }
    clean
}

/// The path as it may stand in a `Location`.
pub fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(decode("/a%2Fb%20").unwrap(), "/a/b ");
        assert!(decode("/%zz").is_none() && decode("/%2").is_none());
        for (path, cleaned) in
            [("/a//b", "/a/b"), ("/a/./b/", "/a/b/"), ("/../a", "/a"), ("", "/"), ("/", "/"), ("/a/b/..", "/a")]
        {
            assert_eq!(clean(path), cleaned, "{path}");
        }
        assert_eq!(encode("/a b<"), "/a%20b%3C");
    }
}

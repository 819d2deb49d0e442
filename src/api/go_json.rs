//! JSON as the reference's reader takes it (Go's `encoding/json`): what it refuses, and its words for that; numbers as
//! they were spelled; all keys of an object, in order and with repetitions.

use std::fmt;

/// Objects and lists in one another, at most.
const DEPTH: usize = 200;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was spelled.
    Number(String),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Keys and values, in order; a key may come again.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What the reference calls it in an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The integer; `1.5` and `1e1` are none.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a text is not JSON, in the reference's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// It ends too early.
    End,
    /// There is something else.
    Other(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("unexpected end of JSON input"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Reads a text that is one value and nothing else.
pub fn parse(text: &[u8]) -> Result<Json, Broken> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    match reader.next_token() {
        None => Ok(value),
        Some(byte) => Err(unexpected(byte, "after top-level value")),
    }
}

/// Reads the first value of a text; what follows is not looked at. The words for an early end are others here.
pub fn parse_first(text: &[u8]) -> Result<Json, String> {
    let mut reader = Reader { text, at: 0 };
    if reader.next_token().is_none() {
        return Err("EOF".to_owned());
    }
    reader.value(0).map_err(|broken| match broken {
        Broken::End => "unexpected EOF".to_owned(),
        Broken::Other(text) => text,
    })
}

fn unexpected(byte: u8, place: &str) -> Broken {
    Broken::Other(format!("invalid character {} {place}", quoted(byte)))
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        byte => format!("'{}'", char::from(byte)),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = self.peek().ok_or(Broken::End)?;
        self.at += 1;
        Ok(byte)
    }

    /// The next byte that is no white space; it is not taken.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn token(&mut self) -> Result<u8, Broken> {
        self.next_token();
        self.byte()
    }

    fn value(&mut self, depth: usize) -> Result<Json, Broken> {
        match self.token()? {
            b'{' => self.object(deeper(depth)?),
            b'[' => self.list(deeper(depth)?),
            b'"' => Ok(Json::Text(self.string()?)),
            b't' => self.word("true").map(|()| Json::Bool(true)),
            b'f' => self.word("false").map(|()| Json::Bool(false)),
            b'n' => self.word("null").map(|()| Json::Null),
            byte @ (b'-' | b'0'..=b'9') => self.number(byte),
            byte => Err(unexpected(byte, "looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Broken> {
        let mut pairs = Vec::new();
        loop {
            match self.token()? {
                b'"' => {}
                b'}' if pairs.is_empty() => return Ok(Json::Object(pairs)),
                byte => return Err(unexpected(byte, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.token()? {
                b':' => {}
                byte => return Err(unexpected(byte, "after object key")),
            }
            pairs.push((key, self.value(depth)?));
            match self.token()? {
                b',' => {}
                b'}' => return Ok(Json::Object(pairs)),
                byte => return Err(unexpected(byte, "after object key:value pair")),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json, Broken> {
        let mut items = Vec::new();
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.token()? {
                b',' => {}
                b']' => return Ok(Json::List(items)),
                byte => return Err(unexpected(byte, "after array element")),
            }
        }
    }

    /// The rest of a word whose first letter has been read.
    fn word(&mut self, word: &str) -> Result<(), Broken> {
        for expected in word.bytes().skip(1) {
            let byte = self.byte()?;
            if byte != expected {
                let place = format!("in literal {word} (expecting {})", quoted(expected));
                return Err(unexpected(byte, &place));
            }
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn digit(&mut self, place: &str) -> Result<u8, Broken> {
        match self.byte()? {
            byte if byte.is_ascii_digit() => Ok(byte),
            byte => Err(unexpected(byte, place)),
        }
    }

    fn number(&mut self, first: u8) -> Result<Json, Broken> {
        let start = self.at - 1;
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        let spelled = self.text.get(start..self.at).unwrap_or_default();
        Ok(Json::Number(String::from_utf8_lossy(spelled).into_owned()))
    }

    /// A string whose opening quote has been read. What is not UTF-8 becomes U+FFFD.
    fn string(&mut self) -> Result<String, Broken> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => {
                    let mut buffer = [0; 4];
                    bytes.extend_from_slice(self.escaped()?.encode_utf8(&mut buffer).as_bytes());
                }
                byte @ ..0x20 => return Err(unexpected(byte, "in string literal")),
                byte => bytes.push(byte),
            }
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| lossy(error.as_bytes())))
    }

    fn escaped(&mut self) -> Result<char, Broken> {
        Ok(match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex()?;
                if !matches!(unit, 0xd800..=0xdfff) {
                    return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                // A pair of surrogates is one character; one alone is none.
                let after = self.at;
                if unit < 0xdc00 && self.text.get(after..after + 2) == Some(br"\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if let 0xdc00..=0xdfff = low {
                        let both = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        return Ok(char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    self.at = after;
                }
                char::REPLACEMENT_CHARACTER
            }
            byte => return Err(unexpected(byte, "in string escape code")),
        })
    }

    fn hex(&mut self) -> Result<u32, Broken> {
        let mut unit = 0;
        for _ in 0..4 {
            let byte = self.byte()?;
            let digit = char::from(byte).to_digit(16);
            unit = unit * 16 + digit.ok_or_else(|| unexpected(byte, r"in \u hexadecimal character escape"))?;
        }
        Ok(unit)
    }
}

fn deeper(depth: usize) -> Result<usize, Broken> {
    if depth < DEPTH { Ok(depth + 1) } else { Err(Broken::Other("exceeded max depth".to_owned())) }
}

/// One U+FFFD for each byte that is not UTF-8.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &[u8]) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn values_are_read_as_they_are_spelled() {
        let Json::Object(pairs) =
            parse(br#" {"a": [1, -0, 1.50e+1, "\u00e9\ud83d\ude00\ud800x\n"], "a": null} "#).unwrap()
        else {
            panic!("not an object")
        };
        let number = |text: &str| Json::Number(text.to_owned());
        let text = Json::Text("é😀\u{fffd}x\n".to_owned());
        assert_eq!(pairs[0].1, Json::List(vec![number("1"), number("-0"), number("1.50e+1"), text]));
        assert_eq!(pairs[1], ("a".to_owned(), Json::Null));
        assert_eq!(parse(b"\"\xff\xc3x\"").unwrap(), Json::Text("\u{fffd}\u{fffd}x".to_owned()));
        assert_eq!(number("9223372036854775807").as_i64(), Some(i64::MAX));
        assert_eq!(number("9223372036854775808").as_i64(), None);
        assert_eq!(number("1e1").as_i64(), None);
    }

    #[test]
    fn what_is_wrong_is_told_in_the_references_words() {
        for (text, said) in [
            ("", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("\"a", "unexpected end of JSON input"),
            ("-", "unexpected end of JSON input"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("{'a'", "invalid character '\\'' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"", "invalid character '\"' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\n", "invalid character '\\n' in string literal"),
            ("\"\\x", "invalid character 'x' in string escape code"),
            ("\"\\u00x", "invalid character 'x' in \\u hexadecimal character escape"),
            ("\u{7}", "invalid character '\\a' looking for beginning of value"),
        ] {
            assert_eq!(broken(text.as_bytes()), said, "{text}");
        }
        assert_eq!(broken(b"\x9e"), "invalid character '\\u009e' looking for beginning of value");
        assert_eq!(broken("[".repeat(100_000).as_bytes()), "exceeded max depth");
    }

    #[test]
    fn the_first_value_is_enough_where_the_reference_reads_a_stream() {
        assert_eq!(parse_first(b"{} x"), Ok(Json::Object(Vec::new())));
        assert_eq!(parse_first(b" "), Err("EOF".to_owned()));
        assert_eq!(parse_first(b"{"), Err("unexpected EOF".to_owned()));
    }
}

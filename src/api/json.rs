//! Writing answers as the reference's JSON writer does (spec-api.md 1.2): what could be read as HTML is escaped, whole
//! floating-point numbers have no fraction, one line end follows.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// The content type of JSON answers.
pub const JSON_TYPE: &str = "application/json; charset=UTF-8";

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut tail = tail.chars();
            if let Some(special) = tail.next() {
                write!(writer, "\\u{:04x}", u32::from(special))?;
            }
            rest = tail.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        write!(writer, "{value}")
    }
}

/// The body of an answer.
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    // Our types have string keys and write to memory: this cannot fail.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(&mut body, Go));
    body.push(b'\n');
    body
}

//! JSON with the error texts of the reference's reader: what is wrong with a token is told in its words.

use serde_json::{Map, Value, error::Category};

/// Reads an object (`null` is an empty one) into what the reference calls `target`.
pub fn object(bytes: &[u8], target: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(other) => Err(format!("json: cannot unmarshal {} into Go value of type {target}", kind(&other))),
        Err(error) => Err(syntax(bytes, &error)),
    }
}

/// What the reference calls a value.
pub fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) => format!("number {number}"),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.classify() == Category::Eof {
        return "unexpected end of JSON input".to_owned();
    }
    let line_start: usize =
        bytes.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let at = line_start + error.column().saturating_sub(1);
    let Some(byte) = bytes.get(at).or(bytes.last()) else { return "unexpected end of JSON input".to_owned() };
    let message = error.to_string();
    let place = [
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("trailing characters", "after top-level value"),
        ("trailing comma", "looking for beginning of value"),
        ("control character", "in string literal"),
        ("invalid escape", "in string escape code"),
    ];
    let place =
        place.iter().find(|(ours, _)| message.starts_with(ours)).map_or("looking for beginning of value", |(_, go)| go);
    format!("invalid character {} {place}", quoted(char::from(*byte)))
}

fn quoted(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        '\n' => r"'\n'".to_owned(),
        '\r' => r"'\r'".to_owned(),
        '\t' => r"'\t'".to_owned(),
        '\\' => r"'\\'".to_owned(),
        c if c.is_ascii_control() => format!("'\\x{:02x}'", u32::from(c)),
        c if c.is_control() || matches!(c, '\u{a0}' | '\u{ad}') => format!("'\\u{:04x}'", u32::from(c)),
        c => format!("'{c}'"),
    }
}

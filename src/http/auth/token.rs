//! Reading and checking a token. The order of the checks and their texts are the reference's (spec-api.md section 3); the
//! signature is verified by the jsonwebtoken crate.

use jsonwebtoken::{Algorithm, DecodingKey};

use super::{Role, segment};
use crate::api::go_json::{self, Json};

/// The keys of the two roles, and how far a client's clock may be ahead.
pub struct Keys {
    admin: DecodingKey,
    user: DecodingKey,
    leeway: i64,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub role: Role,
    /// Hash of method and path.
    pub qsh: String,
}

const INTEGERS: [&str; 3] = ["exp", "iat", "nbf"];
const TEXTS: [&str; 5] = ["aud", "iss", "jti", "sub", "qsh"];

/// The claims we know, by name: the last of several spellings wins.
#[derive(Default)]
struct Read {
    numbers: [i64; 3],
    texts: [String; 5],
}

impl Read {
    fn new(claims: &[(String, Json)]) -> Result<Self, String> {
        let mut read = Self::default();
        let wrong = |value: &Json, name: &str, wanted: &str| {
            let found = match value {
                Json::Number(number) if wanted != "string" => format!("number {number}"),
                other => other.kind().to_owned(),
            };
            format!("json: cannot unmarshal {found} into Go struct field HeketiJwtClaims.{name} of type {wanted}")
        };
        for (key, value) in claims.iter().filter(|(_, value)| *value != Json::Null) {
            for (name, slot) in INTEGERS.iter().zip(&mut read.numbers) {
                if key.eq_ignore_ascii_case(name) {
                    *slot = value.as_i64().ok_or_else(|| wrong(value, name, "int64"))?;
                }
            }
            for (name, slot) in TEXTS.iter().zip(&mut read.texts) {
                if key.eq_ignore_ascii_case(name) {
                    value.as_str().ok_or_else(|| wrong(value, name, "string"))?.clone_into(slot);
                }
            }
        }
        Ok(read)
    }
}

/// The keys of an object; `null` has none. `target` is what the reference reads it into.
fn object(value: Json, target: &str) -> Result<Vec<(String, Json)>, String> {
    match value {
        Json::Object(pairs) => Ok(pairs),
        Json::Null => Ok(Vec::new()),
        other => Err(format!("json: cannot unmarshal {} into Go value of type {target}", other.kind())),
    }
}

fn algorithm(header: &[(String, Json)]) -> Result<Algorithm, String> {
    let given = header.iter().rev().find(|(name, _)| name == "alg");
    let Some(name) = given.and_then(|(_, value)| value.as_str()) else {
        return Err("signing method (alg) is unspecified.".to_owned());
    };
    match name {
        "HS256" => Ok(Algorithm::HS256),
        "HS384" => Ok(Algorithm::HS384),
        "HS512" => Ok(Algorithm::HS512),
        "none" | "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" | "ES256" | "ES384" | "ES512" | "EdDSA" => {
            Err(format!("Unexpected signing method: {name}"))
        }
        _ => Err("signing method (alg) is unavailable.".to_owned()),
    }
}

/// A duration as the reference prints it: `5s`, `6m40s`, `498726h25m3s`.
fn duration(seconds: i64) -> String {
    // Go's durations end at 2^63 nanoseconds.
    let seconds = seconds.clamp(0, i64::MAX / 1_000_000_000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

impl Keys {
    /// Keys as the configuration gives them, and the leeway in seconds.
    pub fn new(admin: &[u8], user: &[u8], leeway: i64) -> Self {
        Self { admin: DecodingKey::from_secret(admin), user: DecodingKey::from_secret(user), leeway }
    }

    /// Checks a token at this time (seconds since 1970).
    pub fn verify(&self, token: &str, now: i64) -> Result<Claims, String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, body, signature] = parts.as_slice() else {
            return Err("token contains an invalid number of segments".to_owned());
        };
        let header = go_json::parse(&segment::decode(header)?).map_err(|broken| broken.to_string())?;
        let header = object(header, "map[string]interface {}")?;
        let claims = object(go_json::parse_first(&segment::decode(body)?)?, "middleware.HeketiJwtClaims")?;
        let Read { numbers: [exp, iat, nbf], texts: [_, iss, _, _, qsh] } = Read::new(&claims)?;
        let algorithm = algorithm(&header)?;
        let (role, key) = match iss.as_str() {
            "" => return Err("Token missing iss claim".to_owned()),
            "admin" => (Role::Admin, &self.admin),
            "user" => (Role::User, &self.user),
            _ => return Err("Unknown user".to_owned()),
        };
        let mut why = None;
        if now > exp || exp == 0 {
            why = Some(format!("Token is expired by {}", duration(now.saturating_sub(exp))));
        }
        if now < iat.saturating_sub(self.leeway) {
            why = Some("Token used before issued (client and server clocks may differ)".to_owned());
        }
        if now < nbf {
            why = Some("token is not valid yet".to_owned());
        }
        // A wrong signature outdoes the other reasons.
        segment::decode(signature)?;
        let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        if !jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false) {
            return Err("signature is invalid (client and server secrets may not match)".to_owned());
        }
        why.map_or(Ok(Claims { role, qsh }), Err)
    }
}

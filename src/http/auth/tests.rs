//! Every row of the table of refusals.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Keys, Role, check};

const NOW: i64 = 1_800_000_000;

fn keys() -> Keys {
    Keys::new(b"admin key", b"user key", 120)
}

fn signed(algorithm: &str, key: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT"})), part(claims));
    let with = match algorithm {
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        _ => Algorithm::HS256,
    };
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key.as_bytes()), with).unwrap();
    format!("{message}.{signature}")
}

fn qsh(method: &str, path: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(format!("{method}&{path}")))
}

fn ask(authorization: &str, method: Method, path: &str) -> Result<Role, (StatusCode, String)> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(authorization).unwrap());
    check(&keys(), &headers, &method, path, NOW)
}

fn with_claims(algorithm: &str, key: &str, claims: Value) -> Result<Role, (StatusCode, String)> {
    ask(&format!("bearer {}", signed(algorithm, key, &claims)), Method::GET, "/volumes")
}

fn good() -> Value {
    json!({"iss": "admin", "iat": NOW, "exp": NOW + 1, "qsh": qsh("GET", "/volumes")})
}

#[test]
fn good_tokens_pass() {
    for algorithm in ["HS256", "HS384", "HS512"] {
        assert_eq!(with_claims(algorithm, "admin key", good()).unwrap(), Role::Admin);
    }
    let odd = json!({"ISS": "admin", "Exp": NOW, "iat": NOW + 120, "nbf": null, "qsh": qsh("GET", "/volumes")});
    assert_eq!(with_claims("HS256", "admin key", odd).unwrap(), Role::Admin);
    assert_eq!(qsh("GET", "/volumes"), "c162acc9024272120bacfff7709c932cc252337d0a30fa15b025010066662bea");
}

#[test]
fn headers_in_a_wrong_form() {
    let missing = check(&keys(), &HeaderMap::new(), &Method::GET, "/volumes", NOW).unwrap_err();
    assert_eq!(missing, (StatusCode::UNAUTHORIZED, "Required authorization token not found".to_owned()));
    assert_eq!(ask("", Method::GET, "/volumes").unwrap_err().0, StatusCode::UNAUTHORIZED);
    for header in ["bearer", "Basic x", "bearer a b"] {
        let (status, text) = ask(header, Method::GET, "/volumes").unwrap_err();
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::BAD_REQUEST, "Authorization header format must be Bearer {token}")
        );
    }
}

#[test]
fn tokens_that_cannot_be_read() {
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(good().to_string());
    for (token, text) in [
        ("a.b".to_owned(), "token contains an invalid number of segments"),
        ("not.a.jwt".to_owned(), "invalid character '\\u009e' looking for beginning of value"),
        ("a+b.c.d".to_owned(), "illegal base64 data at input byte 1"),
        (format!("{none}.abcde.x"), "illegal base64 data at input byte 4"),
        (format!("{}.{claims}.x", URL_SAFE_NO_PAD.encode("{")), "unexpected end of JSON input"),
        (format!("{none}.{}.x", URL_SAFE_NO_PAD.encode("{")), "unexpected EOF"),
        (
            format!("{none}.{}.x", URL_SAFE_NO_PAD.encode(r#"{"exp":1795417130.8509681}"#)),
            "json: cannot unmarshal number 1795417130.8509681 into Go struct field HeketiJwtClaims.exp of type int64",
        ),
        (format!("{}.{claims}.x", URL_SAFE_NO_PAD.encode("{}")), "signing method (alg) is unspecified."),
        (format!("{none}.{claims}.a*"), "illegal base64 data at input byte 1"),
    ] {
        let (status, found) = ask(&format!("Bearer {token}"), Method::GET, "/volumes").unwrap_err();
        assert_eq!((status, found), (StatusCode::UNAUTHORIZED, format!("Invalid JWT token: {text}")), "{token}");
    }
}

#[test]
fn tokens_that_say_the_wrong_things() {
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    for (algorithm, key, claims, text) in [
        ("XX1", "admin key", good(), "signing method (alg) is unavailable."),
        ("none", "admin key", good(), "Unexpected signing method: none"),
        ("RS256", "admin key", good(), "Unexpected signing method: RS256"),
        ("HS256", "admin key", json!({}), "Token missing iss claim"),
        ("HS256", "admin key", with("iss", json!("root")), "Unknown user"),
        ("HS256", "admin key", with("exp", json!(NOW - 400)), "Token is expired by 6m40s"),
        ("HS256", "admin key", with("exp", Value::Null), "Token is expired by 500000h0m0s"),
        (
            "HS256",
            "admin key",
            with("iat", json!(NOW + 121)),
            "Token used before issued (client and server clocks may differ)",
        ),
        ("HS256", "admin key", with("nbf", json!(NOW + 1)), "token is not valid yet"),
        ("HS256", "user key", good(), "signature is invalid (client and server secrets may not match)"),
        ("HS256", "user key", with("exp", json!(1)), "signature is invalid (client and server secrets may not match)"),
        (
            "HS256",
            "admin key",
            with("exp", json!(1.5)),
            "json: cannot unmarshal number 1.5 into Go struct field HeketiJwtClaims.exp of type int64",
        ),
        (
            "HS256",
            "admin key",
            with("aud", json!(["x"])),
            "json: cannot unmarshal array into Go struct field HeketiJwtClaims.aud of type string",
        ),
    ] {
        let (status, found) = with_claims(algorithm, key, claims).unwrap_err();
        assert_eq!((status, found), (StatusCode::UNAUTHORIZED, format!("Invalid JWT token: {text}")));
    }
    for claims in [with("qsh", json!("x")), with("qsh", Value::Null)] {
        assert_eq!(with_claims("HS256", "admin key", claims).unwrap_err().1, "Invalid qsh claim in token");
    }
}

#[test]
fn what_a_user_may_do() {
    let may = |method: Method, path: &str| {
        let claims = json!({"iss": "user", "exp": NOW + 1, "qsh": qsh(method.as_str(), path)});
        ask(&format!("bearer {}", signed("HS256", "user key", &claims)), method, path)
    };
    for (method, path) in [
        (Method::GET, "/volumes"),
        (Method::POST, "/volumes"),
        (Method::GET, "/queue/ab"),
        (Method::DELETE, "/volumes/ab"),
        (Method::POST, "/volumes/ab/expand"),
        (Method::GET, "/clusters/ab"),
        (Method::GET, "/nodes/ab"),
    ] {
        assert_eq!(may(method.clone(), path).unwrap(), Role::User, "{method} {path}");
    }
    for (method, path) in [
        (Method::GET, "/clusters"),
        (Method::DELETE, "/clusters/ab"),
        (Method::POST, "/nodes/ab/state"),
        (Method::GET, "/devices/ab"),
        (Method::GET, "/volumes/"),
        (Method::GET, "/backup/db"),
    ] {
        assert_eq!(may(method.clone(), path).unwrap_err().1, "Administrator access required", "{method} {path}");
    }
}

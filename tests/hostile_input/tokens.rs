//! Forged tokens, through the whole server: each is refused, and nothing happens.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heketi::http::Keys;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use sha2::Digest;

use crate::server::{Answer, Server};

const ADMIN: &[u8] = b"the admin's key";
const USER: &[u8] = b"the user's key";

async fn server() -> Server {
    Server::new(Some(Keys::new(ADMIN, USER, 120))).await
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn qsh(method: &str, path: &str) -> String {
    hex::encode(sha2::Sha256::digest(format!("{method}&{path}")))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Signs whatever these are with HMAC and this key.
fn signed(header: &str, claims: &str, key: &[u8], algorithm: Algorithm) -> String {
    let message = format!("{header}.{claims}");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key), algorithm).unwrap();
    format!("{message}.{signature}")
}

fn token(header: &Value, claims: &Value, key: &[u8]) -> String {
    signed(&part(header), &part(claims), key, Algorithm::HS256)
}

fn hs256() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": "admin", "iat": now(), "exp": now() + 300, "qsh": qsh("POST", "/volumes")})
}

/// The good claims with one of them changed; `null` takes it away.
fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    let map = claims.as_object_mut().unwrap();
    map.remove(key);
    if !value.is_null() {
        map.insert(key.to_owned(), value);
    }
    claims
}

async fn post(server: &Server, authorization: Option<HeaderValue>) -> Answer {
    let mut request = Request::post("/volumes").body(Body::from(r#"{"size":1}"#)).unwrap();
    if let Some(value) = authorization {
        request.headers_mut().insert("authorization", value);
    }
    server.ask(request).await
}

fn bearer(token: &str) -> Option<HeaderValue> {
    Some(HeaderValue::from_str(&format!("bearer {token}")).unwrap())
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let server = server().await;
    let before = server.dump();
    let good = token(&hs256(), &claims(), ADMIN);
    let parts: Vec<&str> = good.split('.').collect();
    let header = |alg: Value| json!({"alg": alg, "typ": "JWT"});
    let deep = format!(r#"{{"iss":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let mut forged: Vec<(&str, String)> = vec![
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("one part", parts[0].to_owned()),
        ("four parts", format!("{good}.x")),
        ("dots", "..".to_owned()),
        ("bad base64 in the header", format!("!{}.{}.{}", parts[0], parts[1], parts[2])),
        ("bad base64 in the claims", format!("{}.{}*.{}", parts[0], parts[1], parts[2])),
        ("bad base64 in the signature", format!("{}.{}.{}=", parts[0], parts[1], parts[2])),
        ("half a signature", good[..good.len() - 10].to_owned()),
        ("the signature of another", {
            let other = token(&hs256(), &with("exp", json!(now() + 301)), ADMIN);
            format!("{}.{}.{}", parts[0], parts[1], other.rsplit_once('.').unwrap().1)
        }),
        ("the user's key for the admin", token(&hs256(), &claims(), USER)),
        ("the admin's key for the user", token(&hs256(), &with("iss", json!("user")), ADMIN)),
        ("an empty key", signed(&part(&hs256()), &part(&claims()), b"", Algorithm::HS256)),
        ("somebody else", token(&hs256(), &with("iss", json!("root")), ADMIN)),
        ("a role in capitals", token(&hs256(), &with("iss", json!("ADMIN")), ADMIN)),
        ("nobody", token(&hs256(), &with("iss", Value::Null), ADMIN)),
        ("a number for a name", token(&hs256(), &with("iss", json!(1)), ADMIN)),
        ("expired", token(&hs256(), &with("exp", json!(now() - 1)), ADMIN)),
        ("expired long ago", token(&hs256(), &with("exp", json!(i64::MIN)), ADMIN)),
        ("never ending", token(&hs256(), &with("exp", Value::Null), ADMIN)),
        ("a text for the end", token(&hs256(), &with("exp", json!("9999999999")), ADMIN)),
        ("an end beyond 64 bits", token(&hs256(), &with("exp", json!(u64::MAX)), ADMIN)),
        ("a broken number for the end", token(&hs256(), &with("exp", json!(1e300)), ADMIN)),
        ("from the future", token(&hs256(), &with("iat", json!(now() + 500)), ADMIN)),
        ("from the far future", token(&hs256(), &with("iat", json!(i64::MAX)), ADMIN)),
        ("not yet", token(&hs256(), &with("nbf", json!(now() + 500)), ADMIN)),
        ("without a hash", token(&hs256(), &with("qsh", Value::Null), ADMIN)),
        ("the hash of another path", token(&hs256(), &with("qsh", json!(qsh("POST", "/nodes"))), ADMIN)),
        ("the hash of another method", token(&hs256(), &with("qsh", json!(qsh("GET", "/volumes"))), ADMIN)),
        ("a hash in capitals", token(&hs256(), &with("qsh", json!(qsh("POST", "/volumes").to_uppercase())), ADMIN)),
        ("half a hash", token(&hs256(), &with("qsh", json!(&qsh("POST", "/volumes")[..32])), ADMIN)),
        ("claims that are a list", token(&hs256(), &json!([]), ADMIN)),
        ("claims that are nothing", token(&hs256(), &Value::Null, ADMIN)),
        ("claims that are no JSON", signed(&part(&hs256()), &URL_SAFE_NO_PAD.encode("{"), ADMIN, Algorithm::HS256)),
        ("a header that is no JSON", signed(&URL_SAFE_NO_PAD.encode("x"), &part(&claims()), ADMIN, Algorithm::HS256)),
        ("a header that is a list", token(&json!(["HS256"]), &claims(), ADMIN)),
        ("no algorithm", token(&json!({"typ": "JWT"}), &claims(), ADMIN)),
        ("HS512 signed as HS256", token(&header(json!("HS512")), &claims(), ADMIN)),
        ("deep claims", signed(&part(&hs256()), &URL_SAFE_NO_PAD.encode(deep), ADMIN, Algorithm::HS256)),
        ("a long token", format!("{}.{}.{}", parts[0], "A".repeat(1 << 20), parts[2])),
        ("a long and signed one", token(&hs256(), &with("exp", json!("9".repeat(1 << 20))), ADMIN)),
    ];
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "RS256", "PS256", "ES256", "ES512", "EdDSA", "HS256 "]
    {
        forged.push(("another algorithm", token(&header(json!(alg)), &claims(), ADMIN)));
        forged.push(("another algorithm, unsigned", format!("{}.{}.", part(&header(json!(alg))), part(&claims()))));
    }
    for alg in [json!(256), json!(["HS256"]), json!({}), Value::Null, json!(true)] {
        forged.push(("an algorithm that is no text", token(&header(alg), &claims(), ADMIN)));
    }
    // Keys that the token brings along are not used.
    let jwk =
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": URL_SAFE_NO_PAD.encode("mine")}, "kid": "../../dev/null"});
    forged.push(("a key of its own", token(&jwk, &claims(), b"mine")));
    for (what, token) in &forged {
        let answer = post(&server, bearer(token)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text);
        assert!(answer.text.starts_with("Invalid") || answer.text.starts_with("Required"), "{what}: {}", answer.text);
    }
    let bad_form = StatusCode::BAD_REQUEST;
    for (authorization, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some(HeaderValue::from_static("")), StatusCode::UNAUTHORIZED),
        (Some(HeaderValue::from_str(&good).unwrap()), bad_form),
        (Some(HeaderValue::from_str(&format!("Basic {good}")).unwrap()), bad_form),
        (Some(HeaderValue::from_str(&format!("bearer {good} x")).unwrap()), bad_form),
        (Some(HeaderValue::from_static("bearer")), bad_form),
        (Some(HeaderValue::from_bytes(b"bearer \xff\xfe").unwrap()), StatusCode::UNAUTHORIZED),
    ] {
        let answer = post(&server, authorization.clone()).await;
        assert_eq!(answer.status, status, "{authorization:?}: {}", answer.text);
    }
    assert!(server.dump() == before && server.sent().is_empty());
    assert_eq!(post(&server, bearer(&good)).await.status, StatusCode::ACCEPTED, "the real one passes");
}

#[tokio::test]
async fn the_user_may_not_administer() {
    let server = server().await;
    let before = server.dump();
    let node = server.ops.store().read(|tx| tx.nodes(server.cluster)).unwrap()[0].id;
    let device = server.ops.store().read(|tx| tx.devices(node)).unwrap()[0].id;
    let cluster = server.cluster;
    for (method, path) in [
        (Method::POST, "/clusters".to_owned()),
        (Method::GET, "/clusters".to_owned()),
        (Method::DELETE, format!("/clusters/{cluster}")),
        (Method::POST, format!("/clusters/{cluster}/flags")),
        (Method::POST, "/nodes".to_owned()),
        (Method::DELETE, format!("/nodes/{node}")),
        (Method::POST, format!("/nodes/{node}/state")),
        (Method::POST, format!("/nodes/{node}/tags")),
        (Method::POST, "/devices".to_owned()),
        (Method::GET, format!("/devices/{device}")),
        (Method::GET, format!("/devices/{device}/resync")),
        (Method::DELETE, format!("/devices/{device}")),
        (Method::POST, format!("/devices/{device}/state")),
    ] {
        let claims = json!({"iss": "user", "iat": now(), "exp": now() + 300, "qsh": qsh(method.as_str(), &path)});
        let mut request = Request::builder().method(&method).uri(&path).body(Body::from("{}")).unwrap();
        request.headers_mut().insert("authorization", bearer(&token(&hs256(), &claims, USER)).unwrap());
        let answer = server.ask(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}: {}", answer.text);
        assert_eq!(answer.text, "Administrator access required\n");
    }
    assert!(server.dump() == before && server.sent().is_empty());
}

#[test]
fn no_byte_of_a_token_may_change() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(server());
    let good = token(&hs256(), &claims(), ADMIN);
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner
        .run(&(any::<prop::sample::Index>(), 0x21u8..0x7f), |(at, byte)| {
            let mut bytes = good.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            // The last character of the signature has bits that mean nothing.
            let signature = |token: &str| {
                use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
                let lax = GeneralPurposeConfig::new()
                    .with_decode_allow_trailing_bits(true)
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone);
                let engine = GeneralPurpose::new(&base64::alphabet::URL_SAFE, lax);
                engine.decode(token.rsplit_once('.').map_or("", |(_, signature)| signature)).ok()
            };
            let means_the_same = changed.rsplit_once('.').map(|(signed, _)| signed)
                == good.rsplit_once('.').map(|(signed, _)| signed)
                && signature(&changed) == signature(&good);
            let status = runtime.block_on(post(&server, bearer(&changed))).status;
            if means_the_same {
                prop_assert!(matches!(
                    status,
                    StatusCode::ACCEPTED | StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED
                ));
            } else {
                prop_assert_eq!(status, StatusCode::UNAUTHORIZED);
            }
            Ok(())
        })
        .unwrap();
}

//! The tolerances of the reader, the texts of the checks, and the form of answers.

use super::*;

fn volume(text: &str) -> Result<VolumeCreateRequest, NotParsed> {
    VolumeCreateRequest::read(&Body::parse(text.as_bytes())?)
}

#[test]
fn the_reader_is_as_tolerant_as_the_references() {
    let request = volume(
        r#" {"SIZE": 3, "Name":"v", "durability":{"TYPE":"replicate","replicate":{"replica":null}},
            "glustervolumeoptions":["a b",null], "clusters":null, "unknown":[1], "snapshot":{"enable":true,"factor":1.1}} "#,
    )
    .unwrap();
    assert_eq!(request.size, 3);
    assert_eq!(request.durability.kind, "replicate");
    assert_eq!(request.options, ["a b", ""]);
    assert_eq!(request.snapshot, SnapshotInfo { enable: true, factor: 1.1 });
    assert_eq!(volume("null").unwrap().size, 0);
    assert_eq!(volume(r#"{"size":1,"size":2}"#).unwrap().size, 2);
    assert_eq!(volume(r#"{"size":1,"SIZE":2,"size":3,"Size":null}"#).unwrap().size, 3);
    assert_eq!(volume(r#"{"size":-0,"name":"\ud800"}"#).unwrap().name, "\u{fffd}");
    let merged = volume(
        r#"{"durability":{"type":"replicate"},"Durability":{"replicate":{"replica":3}},"clusters":["a"],"clusters":null}"#,
    );
    let merged = merged.unwrap();
    assert_eq!((merged.durability.kind.as_str(), merged.durability.replicate.replica), ("replicate", 3));
    assert!(merged.clusters.is_empty());
    let tags = Body::parse(br#"{"tags":{"a":"1","b":null},"TAGS":{"a":"2"}}"#).unwrap().map("tags").unwrap();
    assert_eq!(tags, [("a".to_owned(), "2".to_owned()), ("b".to_owned(), String::new())].into());
}

#[test]
fn what_is_not_json_of_the_right_types_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[]",
        "1",
        r#"{"size":1} x"#,
        r#"{"size":"1"}"#,
        r#"{"size":1.5}"#,
        r#"{"size":1e1}"#,
        r#"{"size":9223372036854775808}"#,
        r#"{"name":1}"#,
        r#"{"block":1}"#,
        r#"{"clusters":"x"}"#,
        r#"{"clusters":[1]}"#,
        r#"{"durability":[]}"#,
        r#"{"size":"x","size":1}"#,
        r#"{"snapshot":{"factor":1e39}}"#,
    ] {
        assert!(volume(text).is_err(), "{text}");
    }
}

#[test]
fn checks_have_the_references_texts() {
    let text = |body: &str| NodeAddRequest::read(&Body::parse(body.as_bytes()).unwrap()).unwrap().check();
    assert_eq!(
        text("{}").unwrap_err().to_string(),
        "validation failed: cluster: cannot be blank; hostnames: (manage: cannot be blank; storage: cannot be blank.); \
         zone: cannot be blank."
    );
    assert_eq!(
        text(r#"{"zone":-1,"cluster":"x","hostnames":{"manage":["a b","c"],"storage":["10.0.0.1","::1","n_1.x."]}}"#)
            .unwrap_err()
            .to_string(),
        "validation failed: cluster: x is not a valid UUID; \
         hostnames: (manage: [a b c] is not a valid manage hostname.); zone: must be no less than 1."
    );
    let tags = |tags: &str| {
        let body = format!(r#"{{"change_type":"x","tags":{tags}}}"#);
        TagsChangeRequest::read(&Body::parse(body.as_bytes()).unwrap()).unwrap().check().unwrap_err().to_string()
    };
    assert_eq!(
        tags(r#"{"a b":"c"}"#),
        "validation failed: change_type: must be a valid value; tags: invalid characters in tag name a b."
    );
    assert_eq!(
        volume(r#"{"name":"a/b"}"#).unwrap().check().unwrap_err().to_string(),
        "validation failed: name: must be in a valid format; size: cannot be blank."
    );
}

#[test]
fn answers_are_written_as_the_reference_writes_them() {
    #[derive(serde::Serialize)]
    struct Answer {
        text: &'static str,
        whole: f32,
        part: f32,
    }
    let body = to_json(&Answer { text: "<a>&\u{2028}\"\u{8}\n", whole: 1.0, part: 1.1 });
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "{\"text\":\"\\u003ca\\u003e\\u0026\\u2028\\\"\\u0008\\n\",\"whole\":1,\"part\":1.1}\n"
    );
}

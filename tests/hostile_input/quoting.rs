//! What a client may choose reaches a node as one word, whatever is in it.

use std::collections::BTreeSet;
use std::process::Command;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use heketi::exec::Cmd;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::server::{Sent, Server};

/// The words that a POSIX shell makes of these lines, all in one go.
fn by_the_shell(lines: &[String]) -> Vec<Vec<String>> {
    let script: String = lines.iter().map(|line| format!("printf '%s\\0' {line}; printf '\\1\\0'\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let output = Command::new("/bin/sh").arg(&file).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something of a word was run");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words: Vec<Vec<String>> = vec![Vec::new()];
    for word in text.split('\0') {
        if word == "\u{1}" {
            words.push(Vec::new());
        } else {
            words.last_mut().unwrap().push(word.to_owned());
        }
    }
    words.pop();
    words
}

#[track_caller]
pub fn assert_words_survive(sent: &[Sent]) {
    for (line, words) in sent {
        assert_eq!(shlex::split(line).as_ref(), Some(words), "{line}");
    }
    let lines: Vec<String> = sent.iter().map(|(line, _)| line.clone()).collect();
    let wanted: Vec<&Vec<String>> = sent.iter().map(|(_, words)| words).collect();
    let shown = by_the_shell(&lines);
    assert_eq!(shown.len(), wanted.len());
    for (shown, wanted) in shown.iter().zip(wanted) {
        assert_eq!(shown, wanted);
    }
}

pub const HOSTILE: &[&str] = &[
    "$(touch owned)",
    "`touch owned`",
    "; touch owned;",
    "' ; touch owned ; '",
    "\" ; touch owned ; \"",
    "a'b\"c\\d",
    "\\",
    "\\'",
    "${HOME}",
    "$((1+1))",
    "!!",
    "*",
    "?[a-z]{a,b}",
    "~root",
    "&& touch owned",
    "|| touch owned",
    "> owned",
    "< /etc/passwd",
    "# comment",
    "%s%n%d",
    "äöü ✓ \u{202e}evil",
    "\u{feff}x",
    "a\u{a0}b",
    "x=y",
    "''",
    "\"\"",
];

#[test]
fn any_words_survive_the_shell() {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let word = prop_oneof![
        "[^\\x00\\x01]{0,24}",
        "[ -~]{0,24}",
        "[\"'`$\\\\ \\n;&|<>()*?~#!{}-]{0,12}",
        proptest::sample::select(HOSTILE).prop_map(str::to_owned),
    ];
    let line = proptest::collection::vec((0..3, word), 1..8);
    runner
        .run(&proptest::collection::vec(line, 1..12), |lines| {
            let sent: Vec<Sent> = lines
                .into_iter()
                .map(|words| {
                    let mut cmd = Cmd::new("program");
                    for (style, word) in &words {
                        cmd = match style {
                            0 => cmd.arg(word),
                            1 => cmd.single(word),
                            _ => cmd.double(word),
                        };
                    }
                    (cmd.line(), cmd.argv().into_iter().map(str::to_owned).collect())
                })
                .collect();
            assert_words_survive(&sent);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn odd_options_of_volumes_are_one_word_each() {
    let server = Server::new(None).await;
    for text in HOSTILE {
        for option in [format!("user.x {text}"), format!("{}{text} v", "k.")] {
            let body = json!({"size": 1, "durability": {"type": "replicate"}, "glustervolumeoptions": [option]});
            let request = Request::post("/volumes").body(Body::from(body.to_string())).unwrap();
            let answer = server.ask(request).await;
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{option}: {}", answer.text);
            server.outcome(&answer).await.unwrap();
        }
    }
    let sent = server.sent();
    let values: BTreeSet<&String> = sent.iter().flat_map(|(_, words)| words).collect();
    for text in HOSTILE {
        assert!(values.contains(&(*text).to_owned()), "{text} has not arrived whole");
    }
    assert_words_survive(&sent);
}

#[tokio::test]
async fn what_gluster_would_take_for_a_switch_is_refused() {
    let server = Server::new(None).await;
    for body in [
        json!({"size": 1, "glustervolumeoptions": ["--log-file=/etc/cron.d/x y"]}),
        json!({"size": 1, "glustervolumeoptions": [" --remote-host=evil"]}),
        json!({"size": 1, "glustervolumeoptions": ["user.x --log-file=/etc/cron.d/x"]}),
        json!({"size": 1, "glustervolumeoptions": ["user.x   --xml"]}),
        json!({"size": 1, "glustervolumeoptions": ["a b", "-x y"]}),
        json!({"size": 1, "name": "-"}),
        json!({"size": 1, "name": "--xml"}),
        json!({"size": 1, "name": "-force"}),
    ] {
        let request = Request::post("/volumes").body(Body::from(body.to_string())).unwrap();
        let answer = server.ask(request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
    }
    assert!(server.sent().is_empty());
    // A hyphen elsewhere, and numbers below zero, are fine.
    let body = json!({"size": 1, "name": "a--b-", "glustervolumeoptions": ["user.low -1", "user.x a --b"]});
    let request = Request::post("/volumes").body(Body::from(body.to_string())).unwrap();
    assert_eq!(server.ask(request).await.status, StatusCode::ACCEPTED);
}

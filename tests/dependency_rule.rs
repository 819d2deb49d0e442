//! Reads the sources and keeps the dependency rule of `src/lib.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may use of the others. A module that is not here has to be added, with a thought.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("units", &[]),
    ("topology", &["ids", "units"]),
    ("api", &["ids", "units", "topology"]),
    ("placement", &["ids", "units", "topology", "api"]),
    ("store", &["ids", "units", "topology", "api"]),
    ("exec", &["ids", "units", "topology", "api"]),
    ("ops", &["ids", "units", "topology", "api", "placement", "store", "exec"]),
    ("config", &["ids", "units", "topology", "api", "placement", "exec"]),
    ("background", &["ids", "units", "topology", "api", "store", "ops"]),
    ("http", &["ids", "units", "topology", "api", "store", "ops"]),
    (
        "server",
        &["ids", "units", "topology", "api", "placement", "store", "exec", "ops", "config", "background", "http"],
    ),
];

/// Words that the pure modules must not have: the outside world, and the clock.
const IMPURE: &[&str] = &[
    "tokio",
    "rusqlite",
    "axum",
    "hyper",
    "russh",
    "std::time",
    "SystemTime",
    "Instant",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::env",
    "std::process",
    "std::thread",
];
const PURE: &[&str] = &["ids", "units", "topology", "placement", "api"];

struct Source {
    path: PathBuf,
    module: String,
    /// Without comments and literals.
    code: String,
    is_test: bool,
}

/// Takes comments and the insides of string literals away; all else keeps its place.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if rest.starts_with("'\"'") {
            3
        } else if next == '"' {
            let mut escaped = false;
            let inside = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            inside.map_or(rest.len(), |at| at + 2)
        } else {
            code.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// How many hashes the raw string has that starts here.
fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?;
    let count = hashes.bytes().take_while(|b| *b == b'#').count();
    hashes[count..].starts_with('"').then_some(count)
}

fn sources() -> Vec<Source> {
    fn visit(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).unwrap();
                let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
                let is_test = relative.components().any(|part| {
                    let name = part.as_os_str().to_str().unwrap();
                    name == "tests" || name.trim_end_matches(".rs").ends_with("tests")
                });
                let code = code_of(&std::fs::read_to_string(&path).unwrap());
                // Tests inside a file stand at its end.
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.push(Source { module: first.trim_end_matches(".rs").to_owned(), code, is_test, path });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    visit(&root, &root, &mut found);
    found.retain(|source| source.module != "lib" && source.module != "bin");
    found
}

fn is_word(code: &str, at: usize, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    !code[..at].ends_with(inside) && !code[at + word.len()..].starts_with(inside)
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| is_word(code, at, word))
}

/// The modules of this crate that some code names: `crate::x`, also in `use crate::{x, y::z}`.
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| is_word(code, *at, "crate")) {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item_starts = true;
        for (i, c) in list.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => item_starts = true,
                c if c.is_whitespace() => {}
                _ if item_starts => {
                    found.insert(word(&list[i..]));
                    item_starts = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn may_use(module: &str) -> &'static [&'static str] {
    let known = MAY_USE.iter().find(|(name, _)| *name == module);
    known.unwrap_or_else(|| panic!("src/{module} has no place in the dependency rule")).1
}

#[test]
fn modules_name_only_those_below_them() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        let allowed = may_use(&source.module);
        for named in named_modules(&source.code) {
            let is_module = MAY_USE.iter().any(|(name, _)| *name == named);
            if is_module && named != source.module && !allowed.contains(&named.as_str()) {
                broken.push(format!("{}: {} may not use {named}", source.path.display(), source.module));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_rule_itself_points_downwards_only() {
    for (i, (module, uses)) in MAY_USE.iter().enumerate() {
        for used in *uses {
            assert!(MAY_USE[..i].iter().any(|(name, _)| name == used), "{module} uses {used}, which is not below it");
        }
    }
    assert!(!may_use("store").contains(&"exec") && !may_use("exec").contains(&"store"));
    assert!(!may_use("http").contains(&"exec"), "handlers talk to no node");
}

#[test]
fn pure_modules_know_neither_the_world_nor_the_clock() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test && PURE.contains(&source.module.as_str())) {
        broken.extend(
            IMPURE
                .iter()
                .filter(|word| has_word(&source.code, word))
                .map(|word| format!("{}: {word}", source.path.display())),
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn sql_stays_in_the_store_and_http_in_its_modules() {
    let homes: [(&str, &[&str]); 4] =
        [("rusqlite", &["store"]), ("axum", &["http"]), ("hyper", &["http"]), ("russh", &["exec"])];
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        for (word, home) in homes {
            if has_word(&source.code, word) && !home.contains(&source.module.as_str()) {
                broken.push(format!("{}: {word}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn this_reader_sees_what_it_looks_for() {
    let code = code_of(
        "use crate::{store::{Tx, x}, exec, ids::A}; // crate::server\nlet t = \"crate::http \\\" crate::ops\"; \
         let c = '\"'; r#\"crate::background \" \"#; crate::config::f(); /* crate::api */ mycrate::units::g()",
    );
    let named = named_modules(&code);
    assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), ["config", "exec", "ids", "store"]);
    assert!(has_word("use tokio::x;", "tokio") && !has_word("use tokio_util::x;", "tokio"));
    // All of the map is there, so that no rule is kept because nothing is read.
    let read: BTreeSet<String> = sources().into_iter().map(|source| source.module).collect();
    for (module, _) in MAY_USE {
        assert!(read.contains(*module), "{module} is not read");
    }
}

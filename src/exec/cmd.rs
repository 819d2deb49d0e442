//! One command as an argv, and the one place where it is quoted for a shell.

use std::fmt;
use std::time::Duration;

/// One word of a command.
///
/// The reference's command lines quote some words and not others; scripts and logs know them so. `Plain` is left bare
/// when it needs no quotes, the other two are always quoted in their way. All three are safe for any content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Bare if it holds nothing special, else in single quotes.
    Plain(String),
    /// Always in single quotes.
    Single(String),
    /// Always in double quotes; `"`, `\`, `$` and the backtick are escaped.
    Double(String),
}

impl Word {
    /// The word as the program will see it.
    pub fn value(&self) -> &str {
        match self {
            Self::Plain(value) | Self::Single(value) | Self::Double(value) => value,
        }
    }
}

/// One command for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    words: Vec<Word>,
    timeout: Duration,
    quiet: bool,
    trailing_blank: bool,
}

impl Cmd {
    /// The command `program`, with a limit of ten minutes.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            words: vec![Word::Plain(program.into())],
            timeout: Duration::from_secs(600),
            quiet: false,
            trailing_blank: false,
        }
    }

    /// One more word, quoted only if it has to be.
    #[must_use]
    pub fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(Word::Plain(word.into()));
        self
    }

    /// Several more words, quoted only if they have to be.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<String>>>(mut self, words: I) -> Self {
        self.words.extend(words.into_iter().map(|word| Word::Plain(word.into())));
        self
    }

    /// One more word, always in single quotes.
    #[must_use]
    pub fn single(mut self, word: impl Into<String>) -> Self {
        self.words.push(Word::Single(word.into()));
        self
    }

    /// One more word, always in double quotes.
    #[must_use]
    pub fn double(mut self, word: impl Into<String>) -> Self {
        self.words.push(Word::Double(word.into()));
        self
    }

    /// How long it may run before it counts as hung.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Neither its output nor its errors are logged: they are noise, or hold a password.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// The line ends in a blank, as the reference's brick lists do.
    #[must_use]
    pub const fn trailing_blank(mut self) -> Self {
        self.trailing_blank = true;
        self
    }

    /// The words as the program will see them, the program first.
    pub fn argv(&self) -> Vec<&str> {
        self.words.iter().map(Word::value).collect()
    }

    /// How long it may run.
    pub const fn limit(&self) -> Duration {
        self.timeout
    }

    /// Whether output is kept out of the log.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The line for a POSIX shell. The only place in the program where anything is quoted.
    pub fn line(&self) -> String {
        let mut line = String::with_capacity(128);
        for (i, word) in self.words.iter().enumerate() {
            if i > 0 {
                line.push(' ');
            }
            match word {
                Word::Plain(value) if is_bare(value) => line.push_str(value),
                Word::Plain(value) | Word::Single(value) => single_quote(value, &mut line),
                Word::Double(value) => double_quote(value, &mut line),
            }
        }
        if self.trailing_blank {
            line.push(' ');
        }
        line
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line())
    }
}

/// Appends `text` as one shell word in single quotes.
pub(crate) fn single_quote(text: &str, line: &mut String) {
    line.push('\'');
    for c in text.chars() {
        if c == '\'' {
            line.push_str("'\\''");
        } else {
            line.push(c);
        }
    }
    line.push('\'');
}

fn double_quote(text: &str, line: &mut String) {
    line.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push('"');
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&b))
}

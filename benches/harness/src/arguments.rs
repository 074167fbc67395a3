//! A command line of words and options, read from left to right.

use std::{str::FromStr, vec};

/// The words that are left of a command line.
pub struct Arguments {
    words: vec::IntoIter<String>,
    usage: String,
}

impl Arguments {
    /// Takes the words of a command line; whoever uses it wrongly is told `usage`.
    pub fn new(words: impl IntoIterator<Item = String>, usage: impl Into<String>) -> Arguments {
        Arguments { words: words.into_iter().collect::<Vec<_>>().into_iter(), usage: usage.into() }
    }

    /// Returns the next word, whatever it is.
    pub fn word(&mut self) -> Option<String> {
        self.words.next()
    }

    /// Returns the value that has to follow.
    ///
    /// # Errors
    ///
    /// The usage when nothing follows, or why the word is no such value.
    pub fn value<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.words.next().ok_or_else(|| self.usage.clone())?;
        word.parse().map_err(|_| format!("not a value that fits: {word}"))
    }

    /// Returns what to say of a word that means nothing here.
    pub fn unknown(&self, word: &str) -> String {
        format!("{word} means nothing here\n{}", self.usage)
    }

    /// Returns how to use the program.
    pub fn usage(&self) -> String {
        self.usage.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(line.split_ascii_whitespace().map(str::to_owned), "usage")
    }

    #[test]
    fn a_value_is_read_as_what_it_has_to_be() {
        let mut arguments = arguments("--port 80 --port many");
        assert_eq!(arguments.word().as_deref(), Some("--port"));
        assert_eq!(arguments.value(), Ok(80u16));
        arguments.word();
        assert_eq!(arguments.value::<u16>(), Err("not a value that fits: many".to_owned()));
    }

    #[test]
    fn a_missing_value_is_answered_with_the_usage() {
        assert_eq!(arguments("").value::<u16>(), Err("usage".to_owned()));
    }
}

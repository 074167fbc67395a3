//! What is known of an upload besides its bytes, and how it is written down.

use super::fields::{parse_metadata, parse_number};

/// What is known of an upload besides its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Info {
    /// Bytes that there will be; `None` as long as the client has not said.
    pub(super) length: Option<u64>,
    pub(super) kind: Kind,
    /// `Upload-Metadata`, as it came.
    pub(super) metadata: String,
    /// Whether all bytes are there and the program has been told.
    pub(super) is_finished: bool,
}

/// What becomes of an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It is what it is.
    Whole,
    /// It is to be a part of another.
    Partial,
    /// It was made of others; its `Upload-Concat`, as it came.
    Final(String),
}

/// The first line of a file, in case that there are ever others.
const FORMAT: &str = "snow upload 1";

impl Info {
    /// Returns the value of `Upload-Concat`.
    pub(super) fn concat(&self) -> Option<&str> {
        match &self.kind {
            Kind::Whole => None,
            Kind::Partial => Some("partial"),
            Kind::Final(text) => Some(text),
        }
    }

    /// Returns whether `offset` bytes are all.
    pub(super) fn is_complete_at(&self, offset: u64) -> bool {
        self.length == Some(offset)
    }

    /// Writes it down, a line for each thing known.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        let length = self.length.map(|length| length.to_string());
        let metadata = (!self.metadata.is_empty()).then_some(self.metadata.as_str());
        let lines =
            [("length", length.as_deref()), ("concat", self.concat()), ("metadata", metadata)];
        for (name, value) in lines {
            if let Some(value) = value {
                text.push_str(&format!("{name} {value}\n"));
            }
        }
        if self.is_finished {
            text.push_str("finished\n");
        }
        text
    }

    /// Takes what [`to_text`](Info::to_text) writes; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Info> {
        let mut info =
            Info { length: None, kind: Kind::Whole, metadata: String::new(), is_finished: false };
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next() != Some(FORMAT) {
            return None;
        }
        for line in lines {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("length", value) => info.length = Some(parse_number(value)?),
                ("concat", "partial") => info.kind = Kind::Partial,
                ("concat", value) => info.kind = Kind::Final(value.to_string()),
                ("metadata", value) => info.metadata = value.to_string(),
                ("finished", "") => info.is_finished = true,
                _ => return None,
            }
        }
        parse_metadata(&info.metadata)?;
        Some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let kinds = [Kind::Whole, Kind::Partial, Kind::Final("final;/a/b /a/c".to_string())];
        for kind in kinds {
            for (length, metadata, is_finished) in [(None, "", false), (Some(7), "a Zg==,b", true)]
            {
                let kind = kind.clone();
                let info = Info { length, kind, metadata: metadata.to_string(), is_finished };
                assert_eq!(Info::parse(&info.to_text()), Some(info));
            }
        }
    }

    #[test]
    fn a_file_that_is_no_record_is_refused() {
        for text in [
            "",
            "snow upload 1",
            "snow upload 2\n",
            "snow upload 1\nlength x\n",
            "snow upload 1\n\n",
        ] {
            assert_eq!(Info::parse(text), None, "{text:?}");
        }
    }
}

//! Lines of standard input, bounded.

use tokio::io::{AsyncBufReadExt, BufReader, Stdin};

/// Bytes of one line.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

pub(super) enum Input {
    Line(String),
    /// A line above the bound; it was skipped.
    TooLong,
    End,
}

pub(super) struct Lines {
    stdin: BufReader<Stdin>,
    line: Vec<u8>,
    skipping: bool,
}

impl Lines {
    pub(super) fn start() -> Self {
        Self { stdin: BufReader::new(tokio::io::stdin()), line: Vec::new(), skipping: false }
    }

    /// The next line. Cancel-safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            let Ok(chunk) = self.stdin.fill_buf().await else { return Input::End };
            if chunk.is_empty() {
                // A last line without its end still counts.
                let rest = std::mem::take(&mut self.line);
                if rest.is_empty() {
                    return Input::End;
                }
                return Input::Line(String::from_utf8_lossy(&rest).into_owned());
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > MAX_LINE_BYTES {
                self.skipping = true;
                self.line.clear();
            }
            if !self.skipping {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.stdin.consume(used);
            if end.is_some() {
                if std::mem::take(&mut self.skipping) {
                    return Input::TooLong;
                }
                let line = std::mem::take(&mut self.line);
                return Input::Line(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }
}

//! Lines of standard input, bounded.

use tokio::io::{AsyncBufReadExt, BufReader, Stdin};

/// Bytes of one line.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;
/// What some editors and shells put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

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
    /// Whether a line was read already.
    begun: bool,
}

impl Lines {
    pub(super) fn start() -> Self {
        let stdin = BufReader::new(tokio::io::stdin());
        Self { stdin, line: Vec::new(), skipping: false, begun: false }
    }

    fn line(&mut self) -> Input {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let first = !std::mem::replace(&mut self.begun, true);
        match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if first => Input::Line(rest.to_owned()),
            _ => Input::Line(line),
        }
    }

    /// The next line. Cancel-safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            let Ok(chunk) = self.stdin.fill_buf().await else { return Input::End };
            if chunk.is_empty() {
                // A last line without its end still counts.
                if self.line.is_empty() {
                    return Input::End;
                }
                return self.line();
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
                return self.line();
            }
        }
    }
}

//! The server's answer to the upgrade: its head, and the body of a refusal.

use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::DialError;
use crate::credential::scrub;
use crate::signalling::error::HttpRefusal;

/// Bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
/// Bytes of a refusal's body that are read.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long a refusal's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Characters of a refusal's code.
const MAX_CODE_CHARS: usize = 128;

/// A head, with names in lower case, and what came after it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) rest: Vec<u8>,
}

impl Answer {
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, DialError> {
        let mut bytes = Vec::with_capacity(1_024);
        loop {
            if let Some(answer) = Self::parse(&bytes)? {
                return Ok(answer);
            }
            if bytes.len() >= MAX_HEAD_BYTES {
                return Err(DialError::BadAnswer("its head does not end"));
            }
            if stream.read_buf(&mut bytes).await.map_err(DialError::Broken)? == 0 {
                let kind = std::io::ErrorKind::UnexpectedEof;
                return Err(DialError::Broken(kind.into()));
            }
        }
    }

    /// `None` while the head is not complete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, DialError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(bytes) {
            Ok(httparse::Status::Partial) => Ok(None),
            Ok(httparse::Status::Complete(length)) => Ok(Some(Self {
                status: response.code.ok_or(DialError::BadAnswer("it has no status"))?,
                headers: response
                    .headers
                    .iter()
                    .map(|header| {
                        let value = String::from_utf8_lossy(header.value).trim().to_owned();
                        (header.name.to_ascii_lowercase(), value)
                    })
                    .collect(),
                rest: bytes[length..].to_vec(),
            })),
            // An alert of TLS (RFC 8446 section 5.1): our greeting was not encrypted.
            Err(_) if bytes.starts_with(&[0x15, 0x03]) => {
                Err(DialError::BadAnswer("it is TLS, so the url must be wss://"))
            }
            Err(_) => Err(DialError::BadAnswer("it is no HTTP")),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a header's comma-separated list has a word, in any case.
    pub(super) fn lists(&self, name: &str, word: &str) -> bool {
        self.header(name)
            .is_some_and(|list| list.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// Reads the body of a refusal, bounded in bytes and time, and tells what it says.
    pub(super) async fn refusal(self, stream: &mut (impl AsyncRead + Unpin)) -> HttpRefusal {
        let chunked = self.lists("transfer-encoding", "chunked");
        let length = self.header("content-length").and_then(|text| text.parse::<usize>().ok());
        // Framing of chunks needs room too.
        let cap = if chunked { 2 * MAX_BODY_BYTES } else { MAX_BODY_BYTES };
        let enough = length.filter(|_| !chunked).unwrap_or(usize::MAX).min(cap);
        let mut body = self.rest.clone();
        let read = async {
            while body.len() < enough && !(chunked && body.ends_with(b"0\r\n\r\n")) {
                match stream.read_buf(&mut body).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
        };
        // What came in time is enough to tell.
        drop(tokio::time::timeout(BODY_TIMEOUT, read).await);
        if chunked {
            body = unchunk(&body);
        }
        body.truncate(length.unwrap_or(MAX_BODY_BYTES).min(MAX_BODY_BYTES));
        let code = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|json| json.get("error")?.as_str().map(str::to_owned))
            .filter(|code| code.chars().count() <= MAX_CODE_CHARS)
            .map(|code| scrub(&code));
        let text = String::from_utf8_lossy(&body);
        HttpRefusal {
            status: self.status,
            code,
            body: (!text.trim().is_empty()).then(|| scrub_lines(&text)),
            retry_after: self
                .header("retry-after")
                .and_then(|text| retry_after(text, self.header("date").and_then(http_date))),
        }
    }
}

/// Scrubs line by line, so that a long body is kept whole.
fn scrub_lines(text: &str) -> String {
    text.lines().map(scrub).collect::<Vec<_>>().join("\n")
}

/// The data of a chunked body (RFC 9112 section 7.1), as far as it came.
fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end])
            .ok()
            .and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok());
        let rest = &bytes[end + 2..];
        match size {
            None | Some(0) => break,
            Some(size) => {
                data.extend_from_slice(&rest[..size.min(rest.len())]);
                bytes = rest.get(size.saturating_add(2)..).unwrap_or_default();
            }
        }
    }
    data
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date relative to the server's own.
fn retry_after(text: &str, server_now: Option<SystemTime>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    http_date(text)?.duration_since(server_now?).ok()
}

/// An IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete forms are not read.
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts.as_slice() else { return None };
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| name == month)? as u64;
    let year: u64 = year.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let clock: Vec<u64> = time.split(':').map_while(|part| part.parse().ok()).collect();
    let [hour @ 0..=23, minute @ 0..=59, second @ 0..=60] = clock[..] else { return None };
    // Days since 1970-03-01 of a year that begins in March, so that leap days come last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn refusal(bytes: &[u8]) -> HttpRefusal {
        let mut stream = bytes;
        let answer = Answer::read(&mut stream).await.unwrap();
        answer.refusal(&mut stream).await
    }

    #[tokio::test]
    async fn a_server_that_wants_tls_is_told_from_one_that_is_none() {
        for (bytes, word) in
            [(&b"\x15\x03\x03\0\x02\x02\x32"[..], "wss://"), (b"\x16\0", "no HTTP")]
        {
            let mut stream = bytes;
            let Err(DialError::BadAnswer(what)) = Answer::read(&mut stream).await else {
                panic!("that was an answer")
            };
            assert!(what.contains(word), "{what}");
        }
    }

    #[tokio::test]
    async fn a_json_body_gives_its_code() {
        let body = r#"{"error":"origin_not_allowed","message":"no"}"#;
        let text =
            format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let refusal = refusal(text.as_bytes()).await;
        assert_eq!((refusal.status, refusal.code.as_deref()), (401, Some("origin_not_allowed")));
    }

    #[tokio::test]
    async fn other_bodies_are_kept_as_text() {
        let plain = refusal(b"HTTP/1.1 403 Forbidden\r\n\r\n<h1>No</h1>").await;
        assert_eq!((plain.code, plain.body.as_deref()), (None, Some("<h1>No</h1>")));
        let none = refusal(b"HTTP/1.1 503 Unavailable\r\nRetry-After: 7\r\n\r\n").await;
        assert_eq!((none.body, none.retry_after), (None, Some(Duration::from_secs(7))));
        let secret = refusal(b"HTTP/1.1 400 Bad\r\n\r\nbad token=eyJabcdefghij.x.y").await;
        assert_eq!(secret.body.as_deref(), Some("bad token=…"));
    }

    #[tokio::test]
    async fn chunks_are_joined() {
        let text = b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"error\":\r\n5;x=y\r\n\"abc\"\r\n1\r\n}\r\n0\r\n\r\n";
        assert_eq!(refusal(text).await.code.as_deref(), Some("abc"));
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_sixteen_kibibytes() {
        let text = [b"HTTP/1.1 500 Oops\r\n\r\n".to_vec(), vec![b'x'; 100_000]].concat();
        // One line is cut further, at the scrubber's kibibyte.
        assert!(refusal(&text).await.body.unwrap().len() <= MAX_BODY_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_left_after_two_seconds() {
        let (mut ours, mut theirs) = tokio::io::duplex(1_024);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, b"HTTP/1.1 500 Oops\r\n\r\npart")
            .await
            .unwrap();
        let began = tokio::time::Instant::now();
        let answer = Answer::read(&mut ours).await.unwrap();
        let refusal = answer.refusal(&mut ours).await;
        assert_eq!(refusal.body.as_deref(), Some("part"));
        assert_eq!(began.elapsed(), BODY_TIMEOUT);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let date = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let since = date.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 784_111_777);
        let later = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(retry_after(later, Some(date)), Some(Duration::from_secs(60)));
        assert_eq!(retry_after(later, None), None);
        assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("soon", Some(date)), None);
        let leap = http_date("Thu, 29 Feb 2024 00:00:00 GMT").unwrap();
        let since = leap.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_709_164_800);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Answer::parse(&bytes);
            let _ = unchunk(&bytes);
            let _ = http_date(&String::from_utf8_lossy(&bytes));
        }
    }
}

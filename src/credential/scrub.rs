//! Takes credentials out of text that comes from elsewhere, before it enters an error or a log.

/// Words after which a value up to the next delimiter is a secret.
const LABELS: [&str; 8] =
    ["token=", "key=", "secret=", "password=", "credential=", "ice-pwd:", "ice-ufrag:", "bearer "];
/// Beginnings of words that are secrets themselves.
const BEGINNINGS: [&str; 5] = ["eyj", "pk_live_", "sk_live_", "sk_secret_", "sk_id_"];
/// Longest text that is kept.
const MAX_BYTES: usize = 1_024;

/// The text with everything that looks like a credential replaced by `…`, cut to 1 KiB.
pub(crate) fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_BYTES));
    let mut rest = text;
    let mut word_begins = true;
    while let Some(next) = rest.chars().next() {
        if clean.len() >= MAX_BYTES {
            clean.push('…');
            break;
        }
        if let Some(label) = LABELS.iter().find(|label| starts_with(rest, label)) {
            clean.push_str(&rest[..label.len()]);
            clean.push('…');
            rest = skip_value(&rest[label.len()..]);
            word_begins = true;
        } else if word_begins && BEGINNINGS.iter().any(|begin| starts_with(rest, begin)) {
            clean.push('…');
            rest = skip_value(rest);
            word_begins = true;
        } else {
            clean.push(if next.is_control() { ' ' } else { next });
            word_begins = !next.is_alphanumeric();
            rest = &rest[next.len_utf8()..];
        }
    }
    clean
}

fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
}

fn skip_value(text: &str) -> &str {
    let is_inside = |c: char| c.is_alphanumeric() || "-_.~+/=%:".contains(c);
    let text = text.trim_start_matches([' ', '"', '\'']);
    text.trim_start_matches(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_of_every_shape_are_masked() {
        let cases = [
            ("GET /v1?token=eyJabc.def.ghi HTTP", "GET /v1?token=… HTTP"),
            ("key=pk_live_123&x=1", "key=…&x=1"),
            ("no such key pk_live_0123456789", "no such key …"),
            ("jwt eyJhbGciOi.J9.xyz!", "jwt …!"),
            ("Authorization: Bearer sk_id_a:sk_secret_b", "Authorization: Bearer …"),
            ("a=ice-pwd:abcdef\r\n", "a=ice-pwd:…  "),
            ("TOKEN=ABC", "TOKEN=…"),
            ("nothing here", "nothing here"),
        ];
        for (text, expected) in cases {
            assert_eq!(scrub(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_bounded(text in ".{0,3000}") {
            prop_assert!(scrub(&text).len() <= MAX_BYTES + 8);
        }
    }
}

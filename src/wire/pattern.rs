//! Channel patterns of keys and of the `channels` claim.

/// A channel pattern: `*` is any run of characters but `/`, `**` any run at all, `\*` and `\\` stand for
/// themselves; everything else matches itself, case included.
///
/// ```
/// use metered_realtime::wire::ChannelPattern;
/// let rooms = ChannelPattern::parse("app/room-*");
/// assert!(rooms.matches("app/room-1"));
/// assert!(!rooms.matches("app/room-1/deep"));
/// assert!(ChannelPattern::parse("**").matches("anything/at/all"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Literal(u8),
    Segment,
    Anything,
}

impl ChannelPattern {
    /// Reads a pattern. Every text is one: a lone `\` stands for itself.
    pub fn parse(pattern: &str) -> Self {
        let mut parts = Vec::with_capacity(pattern.len());
        let mut rest = pattern.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            parts.push(match (byte, tail.first()) {
                (b'\\', Some(&escaped @ (b'*' | b'\\'))) => {
                    rest = &tail[1..];
                    Part::Literal(escaped)
                }
                (b'*', Some(b'*')) => {
                    rest = &tail[1..];
                    Part::Anything
                }
                (b'*', _) => Part::Segment,
                (literal, _) => Part::Literal(literal),
            });
        }
        Self { parts }
    }

    /// Whether `channel` lies within the pattern. Takes time in proportion to the product of both lengths
    /// at worst, whatever the pattern.
    pub fn matches(&self, channel: &str) -> bool {
        let name = channel.as_bytes();
        // reach[i]: the parts so far can match the first i bytes.
        let mut reach = vec![false; name.len() + 1];
        reach[0] = true;
        for part in &self.parts {
            match part {
                Part::Literal(byte) => {
                    for at in (0..name.len()).rev() {
                        reach[at + 1] = reach[at] && name[at] == *byte;
                    }
                    reach[0] = false;
                }
                Part::Segment => {
                    for at in 0..name.len() {
                        reach[at + 1] |= reach[at] && name[at] != b'/';
                    }
                }
                Part::Anything => {
                    for at in 0..name.len() {
                        reach[at + 1] |= reach[at];
                    }
                }
            }
        }
        reach[name.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_examples_hold() {
        let cases = [
            ("app_abc/*", "app_abc/x", true),
            ("app_abc/*", "app_abc/sub/deep", false),
            ("app_abc/*", "app_abc/", true),
            ("app_abc/room-*", "app_abc/room-1", true),
            ("app_abc/room-*", "other/room-1", false),
            ("**", "a/b/c", true),
            ("tasks/**", "tasks/a/b", true),
            ("tasks/**", "results", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            (r"a\\b", r"a\b", true),
            ("a**z", "a/b/z", true),
            ("*/x/*", "1/x/2", true),
            ("Room", "room", false),
            ("", "", true),
        ];
        for (pattern, channel, expected) in cases {
            assert_eq!(
                ChannelPattern::parse(pattern).matches(channel),
                expected,
                "{pattern} {channel}"
            );
        }
    }
}

//! Names of files that come from others.

/// Bytes that are kept of a name: every file system takes them, with what a part's name adds.
const MAX_BYTES: usize = 200;
/// Names that Windows gives to devices, with any extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];
/// What a file is called that has no name of its own.
const NAMELESS: &str = "file";

/// A name without path, control characters, hidden directions of writing, or a meaning for the system.
pub(crate) fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let cleaned: String = last.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    // A dot in front would hide it, and Windows drops those at the end.
    let cleaned = cleaned.trim().trim_end_matches(['.', ' ']);
    let mut safe = match cleaned.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => cleaned.to_owned(),
    };
    if safe.len() > MAX_BYTES {
        safe = shortened(&safe);
    }
    let stem = safe.split('.').next().unwrap_or_default();
    let device = stem.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_uppercase();
    if DEVICES.contains(&device.as_str()) {
        safe.insert(0, '_');
    }
    if safe.is_empty() { NAMELESS.to_owned() } else { safe }
}

fn is_safe(c: char) -> bool {
    let directs = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control()
        && !directs
        && !matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{fffd}')
}

/// The beginning and the extension.
fn shortened(name: &str) -> String {
    let extension = match name.rfind('.') {
        Some(at) if name.len() - at <= 20 => &name[at..],
        _ => "",
    };
    let mut end = MAX_BYTES - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

/// The name with a number, for when it is taken: `a (2).txt`.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    match name.rfind('.') {
        Some(at) if at > 0 => format!("{} ({number}){}", &name[..at], &name[at..]),
        _ => format!("{name} ({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder_or_fool_the_reader() {
        for (name, wanted) in [
            ("photo.jpg", "photo.jpg"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            ("/", "file"),
            ("C:\\Windows\\system32\\evil.dll", "evil.dll"),
            ("a\u{1b}[2Jb\nc\0d", "a_[2Jb_c_d"),
            ("gpj\u{202e}.exe", "gpj_.exe"),
            (".bashrc", "_bashrc"),
            ("con.txt", "_con.txt"),
            ("LPT1", "_LPT1"),
            ("conference.txt", "conference.txt"),
            ("stream:hidden", "stream_hidden"),
            ("ends in dots. . .", "ends in dots"),
            ("日本語.txt", "日本語.txt"),
        ] {
            assert_eq!(safe(name), wanted, "{name:?}");
        }
        let long = safe(&format!("{}.tar.gz", "é".repeat(500)));
        assert!(long.len() <= MAX_BYTES && long.ends_with(".gz"), "{long}");
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_extension() {
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("README", 3), "README (3)");
    }
}

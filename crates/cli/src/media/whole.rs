//! What is whole of a file whose end is missing, as that of a recording that was interrupted.

use std::fmt;

use metered_realtime::media::files::{FileError, MediaReader};

/// Where a file is cut off.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    error: FileError,
    whole_us: u64,
}

/// For whoever gave the file.
impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (error, seconds) = (&self.error, self.whole_us as f64 / 1e6);
        write!(
            f,
            "{error}; the {seconds:.2} s before that are sent. Copy or record it again for the rest"
        )
    }
}

/// Ends where a file is cut off, and remembers that it is.
pub(super) struct Whole<R> {
    reader: R,
    /// Something came since the start.
    any: bool,
    cut: Option<Cut>,
}

impl<R> Whole<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, any: false, cut: None }
    }

    pub(super) fn into_cut(self) -> Option<Cut> {
        self.cut
    }
}

impl<R: MediaReader> MediaReader for Whole<R> {
    type Item = R::Item;
    type Source = R::Source;

    fn next_item(&mut self) -> Result<Option<R::Item>, FileError> {
        match self.reader.next_item() {
            Err(error @ FileError::CutShort { .. }) if self.any => {
                self.cut = Some(Cut { error, whole_us: self.reader.read_us() });
                Ok(None)
            }
            item => {
                self.any |= matches!(item, Ok(Some(_)));
                item
            }
        }
    }

    fn read_us(&self) -> u64 {
        self.reader.read_us()
    }

    fn source(&mut self) -> &mut R::Source {
        self.reader.source()
    }

    fn restart(&mut self) -> Result<(), FileError> {
        self.any = false;
        self.reader.restart()
    }
}

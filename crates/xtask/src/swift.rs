//! Makes the calls of the generated Swift end with their task.
//!
//! UniFFI's Swift takes no notice of a task's cancellation (mozilla/uniffi-rs issue 2771), though the library
//! can end every call, and Kotlin and Python do it. What is generated here gets what those have; a generator
//! that writes something else is an error.

use crate::Error;

/// What is replaced, by what, and how often it must be there; none for at least once.
const EDITS: [(&str, &str, Option<usize>); 5] = [
    (
        "    pollFunc: (UInt64, @escaping UniffiRustFutureContinuationCallback, UInt64) -> (),\n",
        "    pollFunc: (UInt64, @escaping UniffiRustFutureContinuationCallback, UInt64) -> (),\n    \
         cancelFunc: @escaping (UInt64) -> (),\n",
        Some(1),
    ),
    (
        "    var pollResult: Int8;\n    repeat {\n",
        "    // Cancelled, the future is ready at once: with its result if it has one, else to say so below.\n    \
         await withTaskCancellationHandler {\n    var pollResult: Int8;\n    repeat {\n",
        Some(1),
    ),
    (
        "    } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n",
        "    } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY\n    \
         } onCancel: {\n        cancelFunc(rustFuture)\n    }\n",
        Some(1),
    ),
    (
        "            fatalError(\"Cancellation not supported yet\")\n",
        "            callStatus.errorBuf.deallocate()\n            throw CancellationError()\n",
        Some(1),
    ),
    (
        "            pollFunc: ffi_metered_realtime_rust_future_poll_",
        "            cancelFunc: ffi_metered_realtime_rust_future_cancel_",
        None,
    ),
];

/// The generated Swift with cancellation.
pub fn cancellable(text: &str) -> Result<String, Error> {
    let mut text = text.to_owned();
    for (from, to, times) in EDITS {
        let found = text.matches(from).count();
        if found == 0 || times.is_some_and(|times| times != found) {
            let message = format!("{found} times in the generated Swift: {}", from.trim());
            return Err(Error::Generator(message));
        }
        text = match times {
            Some(_) => text.replace(from, to),
            None => with_cancel_functions(&text, from, to),
        };
    }
    Ok(text)
}

/// Names the cancelling function below each polling one: theirs differ by the type of the result.
fn with_cancel_functions(text: &str, poll: &str, cancel: &str) -> String {
    let mut edited = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        edited.push_str(line);
        if let Some(result) = line.strip_prefix(poll) {
            edited.push_str(cancel);
            edited.push_str(result);
        }
    }
    edited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelling_function_follows_each_polling_one() {
        let (poll, cancel, _) = EDITS[4];
        let text = format!("a\n{poll}void,\n{poll}u64,\nb");
        let wanted = format!("a\n{poll}void,\n{cancel}void,\n{poll}u64,\n{cancel}u64,\nb");
        assert_eq!(with_cancel_functions(&text, poll, cancel), wanted);
    }

    #[test]
    fn another_generator_is_an_error() {
        assert!(matches!(cancellable("func other() {}\n"), Err(Error::Generator(_))));
    }
}

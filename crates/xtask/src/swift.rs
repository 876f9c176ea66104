//! Mends the generated Swift: its calls end with their task, and it reads what comes without detours.
//!
//! UniFFI's Swift takes no notice of a task's cancellation (mozilla/uniffi-rs issue 2771), though the library
//! can end every call, and Kotlin and Python do it. It also copies each number by way of a protocol's generic
//! function, and each text and all bytes into an array of zeros first. What is generated here gets what others
//! have, and copies once; a generator that writes something else is an error.

use crate::Error;

/// Ends a call of a cancelled task, but not within the cancellation: that holds the task's lock and would wait
/// for the future's, which whoever wakes the task holds while it waits for the task's.
const HELPER: &str = r"
/// Ends the call of a task that is cancelled. Elsewhere: the canceller holds the lock of the task, and whoever
/// wakes the task takes it with the lock of the future in hand.
fileprivate final class UniffiCancellation: @unchecked Sendable {
    private let lock = NSLock()
    private var cancelFuture: (() -> ())?

    init(_ cancelFuture: @escaping () -> ()) {
        self.cancelFuture = cancelFuture
    }

    func cancel() {
        DispatchQueue.global().async {
            self.lock.lock()
            defer { self.lock.unlock() }
            self.cancelFuture?()
        }
    }

    /// Before the future is freed.
    func end() {
        lock.lock()
        defer { lock.unlock() }
        cancelFuture = nil
    }
}

";

/// What is replaced, by what, and how often it must be there; none for at least once.
const EDITS: [(&str, &str, Option<usize>); 10] = [
    (
        "    pollFunc: (UInt64, @escaping UniffiRustFutureContinuationCallback, UInt64) -> (),\n",
        "    pollFunc: (UInt64, @escaping UniffiRustFutureContinuationCallback, UInt64) -> (),\n    \
         cancelFunc: @escaping (UInt64) -> (),\n",
        Some(1),
    ),
    (
        "    let rustFuture = rustFutureFunc()\n    defer {\n",
        "    try Task.checkCancellation()\n    let rustFuture = rustFutureFunc()\n    \
         let cancellation = UniffiCancellation { cancelFunc(rustFuture) }\n    defer {\n        \
         cancellation.end()\n",
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
         } onCancel: {\n        cancellation.cancel()\n    }\n",
        Some(1),
    ),
    (
        "            fatalError(\"Cancellation not supported yet\")\n",
        "            callStatus.errorBuf.deallocate()\n            throw CancellationError()\n",
        Some(1),
    ),
    (
        "    if T.self == UInt8.self {\n        \
         let value = reader.data[reader.offset]\n        \
         reader.offset += 1\n        \
         return value as! T\n    \
         }\n    \
         var value: T = 0\n    \
         let _ = withUnsafeMutableBytes(of: &value, { reader.data.copyBytes(to: $0, from: range)})\n",
        "    var value: T = 0\n    \
         reader.data.withUnsafeBytes { bytes in\n        \
         withUnsafeMutableBytes(of: &value) { \
         $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range])) }\n    \
         }\n",
        Some(1),
    ),
    (
        "fileprivate func readBytes(_ reader: inout (data: Data, offset: Data.Index), count: Int) throws -> Array<UInt8> {\n    \
         let range = reader.offset..<(reader.offset+count)\n    \
         guard reader.data.count >= range.upperBound else {\n        \
         throw UniffiInternalError.bufferOverflow\n    \
         }\n    \
         var value = [UInt8](repeating: 0, count: count)\n    \
         value.withUnsafeMutableBufferPointer({ buffer in\n        \
         reader.data.copyBytes(to: buffer, from: range)\n    \
         })\n    \
         reader.offset = range.upperBound\n    \
         return value\n",
        "fileprivate func readBytes<T>(\n    \
         _ reader: inout (data: Data, offset: Data.Index), count: Int, _ make: (UnsafeRawBufferPointer) -> T\n\
         ) throws -> T {\n    \
         guard count >= 0, reader.data.count - reader.offset >= count else {\n        \
         throw UniffiInternalError.bufferOverflow\n    \
         }\n    \
         let range = reader.offset..<(reader.offset + count)\n    \
         reader.offset = range.upperBound\n    \
         return reader.data.withUnsafeBytes { make(UnsafeRawBufferPointer(rebasing: $0[range])) }\n",
        Some(1),
    ),
    (
        "        return String(decoding: try readBytes(&buf, count: Int(len)), as: UTF8.self)\n",
        "        return try readBytes(&buf, count: Int(len)) { String(decoding: $0, as: UTF8.self) }\n",
        Some(1),
    ),
    (
        "        return Data(try readBytes(&buf, count: Int(len)))\n",
        "        return try readBytes(&buf, count: Int(len)) { Data($0) }\n",
        Some(1),
    ),
    (
        "            pollFunc: ffi_metered_realtime_rust_future_poll_",
        "            cancelFunc: ffi_metered_realtime_rust_future_cancel_",
        None,
    ),
];

/// Where the helper goes.
const CALL: &str = "fileprivate func uniffiRustCallAsync<";

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
    let Some((before, after)) = text.split_once(CALL) else {
        return Err(Error::Generator(format!("no {CALL} in the generated Swift")));
    };
    Ok([before, HELPER.trim_start(), CALL, after].concat())
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
        let (poll, cancel, _) = EDITS[EDITS.len() - 1];
        let text = format!("a\n{poll}void,\n{poll}u64,\nb");
        let wanted = format!("a\n{poll}void,\n{cancel}void,\n{poll}u64,\n{cancel}u64,\nb");
        assert_eq!(with_cancel_functions(&text, poll, cancel), wanted);
    }

    #[test]
    fn another_generator_is_an_error() {
        assert!(matches!(cancellable("func other() {}\n"), Err(Error::Generator(_))));
    }
}

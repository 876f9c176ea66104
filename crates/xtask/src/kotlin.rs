//! Keeps the library's threads attached to the virtual machine that they call into.
//!
//! JNA attaches a thread of the library before each call into the virtual machine and detaches it after,
//! which costs many times what the call itself does. Ours stay attached until they end; then JNA detaches
//! them. A generator that writes something else is an error.

use crate::Error;

/// What is replaced, and by what.
const EDITS: [(&str, &str); 2] = [
    (
        "import com.sun.jna.Callback\n",
        "import com.sun.jna.Callback\nimport com.sun.jna.CallbackThreadInitializer\n",
    ),
    (
        "internal object uniffiRustFutureContinuationCallbackImpl: \
         UniffiRustFutureContinuationCallback {\n",
        "internal object uniffiRustFutureContinuationCallbackImpl: \
         UniffiRustFutureContinuationCallback {\n    \
         init {\n        \
         // A daemon that stays attached: to attach it for each call costs more than the call.\n        \
         Native.setCallbackThreadInitializer(this, CallbackThreadInitializer(true, false, \"metered-sdk\"))\n    \
         }\n\n",
    ),
];

/// The generated Kotlin with threads that stay attached.
pub fn attached(text: &str) -> Result<String, Error> {
    let mut text = text.to_owned();
    for (from, to) in EDITS {
        let found = text.matches(from).count();
        if found != 1 {
            let message = format!("{found} times in the generated Kotlin: {}", from.trim());
            return Err(Error::Generator(message));
        }
        text = text.replace(from, to);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_generator_is_an_error() {
        assert!(matches!(attached("class Other\n"), Err(Error::Generator(_))));
    }
}

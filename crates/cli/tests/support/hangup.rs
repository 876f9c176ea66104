//! A closed terminal, also where the tests run under `nohup`.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The command heeds a hangup, even if whoever runs the tests ignores it: children would inherit that.
pub(crate) fn heeds_hangup(command: &mut Command) -> &mut Command {
    let heed = || {
        // SAFETY: `signal` is async-signal-safe, as what runs between fork and exec must be; it changes this child alone.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
        }
        Ok(())
    };
    // SAFETY: the closure makes one call that is async-signal-safe, and allocates nothing.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(heed)
    }
}

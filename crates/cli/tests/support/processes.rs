//! What became of processes that nobody here started.

use std::process::Command;
use std::time::Duration;

/// Waits until a process has ended. Of one that is not `reaped` the rest may stay: whoever adopted it may take no
/// notice of its end.
pub(crate) fn ended(pid: &str, reaped: bool) -> bool {
    (0..400).any(|_| {
        let ps = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = String::from_utf8(ps.stdout).unwrap().trim().to_owned();
        let over = state.is_empty() || !reaped && state.starts_with('Z');
        if !over {
            std::thread::sleep(Duration::from_millis(50));
        }
        over
    })
}

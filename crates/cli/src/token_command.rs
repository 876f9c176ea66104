//! A token by a shell command. Who gives the command up ends it, with all that it started.

use std::io;
use std::process::{ExitStatus, Stdio};

use metered_realtime::credential::TokenProviderError;
use metered_realtime::signalling::SignallingOptions;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

/// Options with a shell command that is run whenever a token is needed.
pub(crate) fn token_command(command: String) -> SignallingOptions {
    SignallingOptions::with_token_provider(move || {
        let command = command.clone();
        async move {
            let failed = |error| TokenProviderError::new(format_args!("sh cannot be run: {error}"));
            let mut running = Running::start(&command).map_err(failed)?;
            let (text, status) = running.end().await.map_err(failed)?;
            if !status.success() {
                return Err(TokenProviderError::new(format_args!(
                    "the command ended with {status}"
                )));
            }
            Ok(String::from_utf8_lossy(&text).trim().to_owned())
        }
    })
}

/// A shell with what it started, which all end when this is dropped before [`end`](Self::end) is done.
struct Running(Option<Child>);

impl Running {
    fn start(command: &str) -> io::Result<Self> {
        let mut shell = Command::new("sh");
        // What it says of its failure is for who runs us.
        shell.arg("-c").arg(command).kill_on_drop(true);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // So that what it started can be told from us.
        #[cfg(unix)]
        shell.process_group(0);
        Ok(Self(Some(shell.spawn()?)))
    }

    /// What it printed, and how it ended.
    async fn end(&mut self) -> io::Result<(Vec<u8>, ExitStatus)> {
        let shell = self.0.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut text = Vec::new();
        if let Some(output) = &mut shell.stdout {
            output.read_to_end(&mut text).await?;
        }
        // Only now: until then its id, which is its group's, is nobody else's.
        Ok((text, shell.wait().await?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has no id once it has ended: what it left behind then is there on purpose.
        let Some(mut shell) = self.0.take().filter(|shell| shell.id().is_some()) else { return };
        kill(&mut shell);
        // Tokio would take note of its end only when something else happens.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { shell.wait().await });
        }
    }
}

/// Kills a shell that nobody has waited for, and what it started.
#[cfg(unix)]
fn kill(shell: &mut Child) {
    let Some(group) = shell.id().and_then(|id| libc::pid_t::try_from(id).ok()) else { return };
    // SAFETY: it takes numbers, and the group is that of a child of ours, which keeps its id until it is waited for.
    #[allow(unsafe_code)]
    let killed = unsafe { libc::kill(-group, libc::SIGKILL) };
    if killed != 0 {
        tracing::warn!(error = %io::Error::last_os_error(), "the token command goes on");
    }
}

/// Kills a shell. What it started cannot be told from others here.
#[cfg(not(unix))]
fn kill(shell: &mut Child) {
    if let Err(error) = shell.start_kill() {
        tracing::warn!(%error, "the token command goes on");
    }
}

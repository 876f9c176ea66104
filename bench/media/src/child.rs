//! A process of this program, which says a line when something is done and hears when to go on.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{ChildStdout, Command};

use crate::{Outcome, within};

pub(crate) struct Child {
    process: tokio::process::Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = BufReader::new(process.stdout.take().ok_or("no standard output")?).lines();
        Ok(Self { process, said })
    }

    pub(crate) async fn tell(&mut self, order: &str) -> Outcome<()> {
        let input = self.process.stdin.as_mut().ok_or("no standard input")?;
        Ok(input.write_all(format!("{order}\n").as_bytes()).await?)
    }

    pub(crate) async fn line(&mut self) -> Outcome<String> {
        let line = within("a child", async { Ok(self.said.next_line().await?) }).await?;
        line.ok_or_else(|| "a child is gone".into())
    }

    /// Its input ends, and then it does.
    pub(crate) async fn end(mut self) -> Outcome<()> {
        drop(self.process.stdin.take());
        let status = within("a child's end", async { Ok(self.process.wait().await?) }).await?;
        if status.success() { Ok(()) } else { Err(format!("a child failed: {status}").into()) }
    }
}

/// What a child is told.
pub(crate) struct Orders(Lines<BufReader<Stdin>>);

impl Default for Orders {
    fn default() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }
}

impl Orders {
    /// None at the end.
    pub(crate) async fn next(&mut self) -> Outcome<Option<String>> {
        Ok(self.0.next_line().await?)
    }
}

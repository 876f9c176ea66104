//! mint, serve, join, demo, completions and the manual page, as a user runs them.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[cfg(unix)]
#[path = "support/hangup.rs"]
mod hangup;
#[cfg(unix)]
#[path = "support/processes.rs"]
mod processes;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use metered_realtime::credential::preflight;
use serde_json::Value;

fn metered(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metered"));
    command.args(args).env_remove("METERED_API_KEY").env_remove("METERED_TOKEN");
    #[cfg(unix)]
    hangup::heeds_hangup(&mut command);
    command
}

fn run(args: &[&str]) -> Output {
    metered(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server as a child, and its line of JSON.
fn serve() -> (Child, Value) {
    ready(&mut metered(&["serve", "--port", "0", "--json", "--exit-with-stdin"]))
}

fn ready(command: &mut Command) -> (Child, Value) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

#[test]
fn mint_prints_a_token_and_warns_of_one_that_cannot_work() {
    let good = run(&["mint", "alice", "--channel", "rooms/*", "--permission", "subscribe"]);
    assert!(good.status.success() && good.stderr.is_empty());
    let claims = preflight::check(text(&good.stdout).trim(), 0.0).unwrap();
    assert_eq!(claims.sub, "alice");
    assert!(claims.check_channel("rooms/1").is_ok() && claims.check_send().is_err());

    let old = run(&["mint", "alice", "--expires-in", "-10"]);
    assert!(old.status.success(), "it was asked for");
    assert!(text(&old.stderr).contains("would refuse") && text(&old.stderr).contains("fix:"));
    let strict = run(&["mint", "alice", "--expires-in", "-10", "--strict"]);
    assert!(!strict.status.success() && strict.stdout.is_empty());
    let bad = run(&["mint", "alice", "--metadata", "[1]"]);
    assert!(!bad.status.success() && text(&bad.stderr).contains("not_an_object"));
}

#[test]
fn serve_tells_its_address_and_stops_with_its_input() {
    let (mut child, line) = serve();
    assert!(line["url"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
    assert_eq!((&line["apiKey"], &line["secretId"]), (&"pk_live_dev".into(), &"sk_id_dev".into()));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let lan = run(&["serve", "--host", "0.0.0.0", "--port", "0"]);
    assert!(!lan.status.success());
    assert!(
        text(&lan.stderr).contains("not_this_machine")
            && text(&lan.stderr).contains("--insecure-lan")
    );
    // For documentation alone (RFC 5737): no machine has it.
    let elsewhere = run(&["serve", "--host", "192.0.2.1", "--insecure-lan", "--port", "0"]);
    let said = text(&elsewhere.stderr);
    assert!(said.contains("cannot_listen") && said.contains("this machine has"), "{said}");
    for (option, value, code) in
        [("--sdk", "/no/such", "no_sdk_folder"), ("--turn-url", "foo:bar", "invalid_turn_url")]
    {
        let refused = run(&["serve", "--port", "0", "--exit-with-stdin", option, value]);
        let said = text(&refused.stderr);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
        for part in [value, code, "cause:", "fix:"] {
            assert!(said.contains(part), "{said}");
        }
    }
    assert!(text(&run(&["serve", "--print-config"]).stdout).contains("[limits]"));
}

#[test]
fn two_people_talk_in_two_terminals() {
    let (mut server, line) = serve();
    let url = line["url"].as_str().unwrap();
    let join = |json: bool| {
        let mut args = vec!["join", "lobby", "--url", url, "--key", "pk_live_dev"];
        args.extend(json.then_some("--json"));
        let mut child =
            metered(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (child, out.lines())
    };
    let (mut listener, mut heard) = join(true);
    let until = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, word: &str| {
        lines.map(Result::unwrap).find(|line| line.contains(word)).expect("the line comes")
    };
    until(&mut heard, r#""type":"presence""#);
    let (mut talker, mut seen) = join(false);
    let greeting = until(&mut seen, "connected");
    assert!(!greeting.contains('\u{1b}'), "no colour where there is no terminal");
    until(&mut seen, "1 here");
    talker.stdin.as_mut().unwrap().write_all(b"hello there\n").unwrap();
    let message = until(&mut heard, r#""type":"message""#);
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["payload"]["data"], "hello there");
    let from = message["payload"]["from"].as_str().unwrap().to_owned();
    let line = format!("/msg {from} {{\"n\":1}}\n");
    listener.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    assert!(until(&mut seen, "to you").ends_with(r#"{"n":1}"#));
    talker.stdin.as_mut().unwrap().write_all(b"/quit\n").unwrap();
    assert!(talker.wait().unwrap().success());
    until(&mut heard, r#""left":[{"peerId""#);
    drop(listener.stdin.take());
    assert!(listener.wait().unwrap().success());
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

#[test]
fn errors_print_cause_and_fix_and_no_colour_into_pipes() {
    let none = run(&["join", "lobby"]);
    let said = text(&none.stderr);
    assert_eq!(none.status.code(), Some(1));
    for word in ["error:", "cause:", "fix:", "no_credential"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(!said.contains('\u{1b}'));
    let secret = run(&["join", "lobby", "--key", "sk_secret_thing"]);
    assert!(text(&secret.stderr).contains("secret_key_in_client"));
    assert!(!text(&secret.stderr).contains("sk_secret_thing"));
}

#[test]
fn a_credential_of_the_command_line_comes_before_one_of_the_environment() {
    let (mut server, line) = serve();
    let url = line["url"].as_str().unwrap();
    let token = text(&run(&["mint", "alice"]).stdout);
    let join = |more: &[&str], key: &str, token: &str| {
        let mut command = metered(&[&["join", "lobby", "--json", "--url", url], more].concat());
        command.env("METERED_API_KEY", key).env("METERED_TOKEN", token);
        command.stdin(Stdio::null()).output().unwrap()
    };
    // By the environment; what is empty is not set.
    assert!(join(&[], "pk_live_dev", "").status.success());
    let by_option = join(&["--token", token.trim()], "pk_live_wrong", "x");
    assert!(by_option.status.success(), "{}", text(&by_option.stderr));
    assert!(join(&["--key", "pk_live_dev"], "pk_live_wrong", token.trim()).status.success());
    let both = text(&join(&[], "pk_live_dev", token.trim()).stderr);
    assert!(both.contains("two_credentials") && both.contains("METERED_TOKEN"), "{both}");
    assert!(!both.contains(token.trim()));
    // Two on the command line are one too many.
    let two = join(&["--key", "pk_live_dev", "--token", token.trim()], "", "");
    assert_eq!(two.status.code(), Some(2));
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

#[test]
fn the_key_of_the_local_server_is_not_sent_to_the_service() {
    let mut join = metered(&["join", "lobby", "--key", "pk_live_dev"]);
    let said = text(&join.env_remove("METERED_URL").output().unwrap().stderr);
    assert!(said.contains("local_key") && said.contains("--url ws://127.0.0.1:8787"), "{said}");
}

#[test]
fn what_hands_the_token_over_is_named() {
    let url = ["--url", "ws://127.0.0.1:9"];
    let join = |more: &[&str]| text(&run(&[&["join", "lobby"], &url[..], more].concat()).stderr);
    let said = join(&["--token-file", "/no/such/token"]);
    assert!(said.contains("/no/such/token") && said.contains("fix:"), "{said}");
    let said = join(&["--token-command", "echo the backend is away >&2; exit 3"]);
    assert!(said.contains("the backend is away") && said.contains("exit status: 3"), "{said}");
}

#[test]
fn a_local_address_of_another_machine_is_refused_before_the_room() {
    let url = "ws://127.0.0.1:9";
    let call = ["call", "lobby", "--url", url, "--key", "pk_live_dev"];
    // For documentation alone (RFC 5737): no machine has it.
    let said = text(&run(&[&call[..], &["--local-address", "192.0.2.1"]].concat()).stderr);
    assert!(said.contains("local_address_unusable") && said.contains("192.0.2.1"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_refused_before_the_room() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o555)).unwrap();
    // Who may write everywhere still makes no files in what is no disk.
    let anywhere = std::fs::File::create(folder.path().join("a")).is_ok();
    let folder = if anywhere { "/proc".as_ref() } else { folder.path() };
    let folder = folder.to_str().unwrap();
    let receive = ["receive", folder, "--room", "r"];
    let record = ["call", "r", "--record", folder];
    for (command, code) in [(receive, "unwritable_file"), (record, "no_folder")] {
        let service = ["--url", "ws://127.0.0.1:9", "--key", "pk_live_dev"];
        let said = text(&run(&[command, service].concat()).stderr);
        for part in [code, "cause:", "fix:", "folder"] {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn output_that_nobody_takes_is_named() {
    let url = "ws://127.0.0.1:9";
    let mut doctor = metered(&["doctor", "--json", "--url", url, "--key", "pk_live_dev"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = text(&doctor.stdout(writer).output().unwrap().stderr);
    assert!(gone.contains("output_closed") && gone.contains("cause:"), "{gone}");
    // Linux alone has a disk that is always full.
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let full = text(&doctor.stdout(full).output().unwrap().stderr);
        assert!(full.contains("output_unwritable") && full.contains("Make room"), "{full}");
    }
}

#[cfg(unix)] // Ctrl-C is sent with kill
#[test]
fn to_leave_does_not_wait_for_an_answer_and_is_no_failure() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = metered_dev_server::DevServer::builder().record().start();
    let server = runtime.block_on(server).unwrap();
    let mut child = metered(&["join", "lobby", "--url", &server.url(), "--key", "pk_live_dev"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains("nobody else is here")).unwrap();
    server.lose_acks(1, Some("publish"));
    child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let came =
        |entry: &metered_dev_server::LogEntry| entry.event == "in" && entry.text.contains("hello");
    runtime.block_on(server.wait_for(came));
    Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<String>::new());
    runtime.block_on(server.shutdown());
}

#[cfg(unix)] // Ctrl-C is sent with kill
#[test]
fn to_leave_ends_a_token_command_that_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [(&["join", "lobby"][..], 0), (&["doctor"], 130)] {
        let pid = folder.path().join(args[0]);
        let command =
            format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        let mut child = metered(args)
            .args(["--url", "ws://127.0.0.1:9", "--token-command", &command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = loop {
            match std::fs::read_to_string(&pid) {
                Ok(pid) => break pid,
                Err(_) => assert_eq!(child.try_wait().unwrap(), None),
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(processes::ended(pid.trim(), false), "what {args:?} started goes on");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_terminal_ends_it_unless_that_is_to_be_ignored() {
    let hang_up = |child: &Child| {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &id]).status().unwrap().success());
    };
    let (mut server, _) = serve();
    hang_up(&server);
    assert_eq!(server.wait().unwrap().code(), Some(0));

    // Traces that the terminal takes no more are no reason to leave without an end.
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let serving = ["serve", "--port", "0", "--json", "--exit-with-stdin", "--log-level", "debug"];
    let (mut server, _) = ready(metered(&serving).stderr(gone));
    hang_up(&server);
    assert_eq!(server.wait().unwrap().code(), Some(0));

    // As nohup does it.
    let ignoring = "trap '' HUP; exec \"$0\" serve --port 0 --json --exit-with-stdin";
    let mut shell = Command::new("sh");
    let (mut server, line) = ready(shell.args(["-c", ignoring, env!("CARGO_BIN_EXE_metered")]));
    hang_up(&server);
    let url = line["url"].as_str().unwrap();
    let join = run(&["join", "lobby", "--url", url, "--key", "pk_live_dev"]);
    assert!(join.status.success(), "{}", text(&join.stderr));
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

#[test]
fn the_demo_holds() {
    let demo = run(&["demo"]);
    let said = text(&demo.stdout);
    assert!(demo.status.success(), "{said}");
    assert!(said.trim_end().lines().last().unwrap().starts_with("All 20 steps held"), "{said}");
    assert!(!said.contains('\u{1b}'));
}

#[test]
fn help_completions_and_the_manual_page_are_there() {
    for args in [
        &["--help"][..],
        &["serve", "--help"],
        &["join", "--help"],
        &["call", "--help"],
        &["send", "--help"],
        &["receive", "--help"],
        &["doctor", "--help"],
        &["rpc", "--help"],
        &["mint", "--help"],
        &["demo", "--help"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let output = run(args);
        assert!(output.status.success() && output.stdout.len() > 300, "{args:?}");
    }
    assert!(text(&run(&["man"]).stdout).contains(".TH"));
}

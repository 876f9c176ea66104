//! `metered call` with another one: files out, recordings in, and a clean end.
#![cfg(unix)] // Ctrl-C is sent with kill
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/ffmpeg.rs"]
mod ffmpeg;
#[path = "support/hangup.rs"]
mod hangup;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ffmpeg::{counted, heard};
use hangup::heeds_hangup;
use metered_dev_server::{DevServer, DevServerHandle};
use metered_realtime::media::audio::{PcmFormat, Tone, tone_share};
use metered_realtime::media::files::WavWriter;
use serde_json::Value;

struct Call {
    child: Child,
    lines: Receiver<Value>,
}

impl Call {
    fn start(server: &DevServerHandle, name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metered"));
        let mut child = heeds_hangup(&mut command)
            .args(["call", "room", "--json", "--local-address", "127.0.0.1", "--url"])
            .arg(server.url())
            .args(args)
            .env_remove("METERED_API_KEY")
            .env("METERED_TOKEN", server.token(name).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn until(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20)).expect(kind);
            if line["type"] == kind && fits(&line) {
                return line;
            }
        }
    }

    /// Ctrl-C; what it says until its end.
    fn stop(self) -> Vec<Value> {
        self.stop_by("INT")
    }

    fn stop_by(mut self, signal: &str) -> Vec<Value> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-s", signal, &id]).status().unwrap();
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                // It goes on telling figures each second: so many are not its last words.
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {lines:?}"),
            }
            assert!(lines.len() < 200, "it does not end: {lines:?}");
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
        lines
    }
}

fn with_server(test: impl FnOnce(&DevServerHandle)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(DevServer::builder().start()).unwrap();
    test(&server);
    runtime.block_on(server.shutdown());
}

/// Two seconds of a tone.
fn wav(path: &Path, hz: f32) {
    let format = PcmFormat::new(16_000, 1).unwrap();
    let mut pcm = vec![0.0; 32_000];
    Tone::new(hz, 16_000, 1).fill(&mut pcm);
    // The voice detector takes a steady tone for noise: this one comes and goes.
    for (n, sample) in pcm.iter_mut().enumerate() {
        *sample *= if n / 1_600 % 2 == 0 { 1.0 } else { 0.2 };
    }
    let file = std::fs::File::create(path).unwrap();
    let mut writer = WavWriter::new(file, format).unwrap();
    writer.write(&pcm).unwrap();
    writer.finish().unwrap();
}

#[test]
fn files_go_out_and_recordings_come_in() {
    with_server(|server| {
        let folder = tempfile::tempdir().unwrap();
        let sound = folder.path().join("sound.wav");
        wav(&sound, 500.0);
        let clip = format!("{}/assets/clips/counter_vp9.ivf", env!("CARGO_MANIFEST_DIR"));
        let record = folder.path().join("in");
        let sound = sound.to_str().unwrap();
        let ann = Call::start(server, "ann", &["--video", &clip, "--audio", sound]);
        let bob = Call::start(server, "bob", &["--record", record.to_str().unwrap()]);
        let line = bob.until("remote", |line| line["video"][0]["frames"].as_u64() > Some(50));
        assert_eq!((&line["peerId"], &line["path"]["way"]), (&"ann".into(), &"direct".into()));
        let video = &line["video"][0];
        assert_eq!((&video["codec"], &video["width"]), (&"vp9".into(), &320.into()));
        bob.until("remote", |line| line["audio"][0]["levelDbfs"].as_f64() > Some(-30.0));
        let nothing = ann.until("remote", |line| line["state"] == "connected");
        assert_eq!(
            (&nothing["video"], &nothing["audio"]),
            (&Value::Array(vec![]), &Value::Array(vec![]))
        );
        // As a closed terminal does it.
        let said = bob.stop_by("HUP");
        let recorded: Vec<_> = said.iter().filter(|line| line["type"] == "recorded").collect();
        assert_eq!(recorded.len(), 2, "{said:?}");
        for line in recorded {
            let file = Path::new(line["file"].as_str().unwrap());
            if file.extension().is_some_and(|kind| kind == "ivf") {
                let numbers = counted(file);
                let steps = numbers.windows(2).filter(|two| (two[0] + 1) % 100 == two[1]).count();
                assert!(numbers.len() > 50 && steps + 3 >= numbers.len(), "{numbers:?}");
            } else {
                let pcm = heard(file);
                let shares: Vec<_> =
                    pcm.chunks(9_600).map(|part| tone_share(500.0, 48_000, part)).collect();
                // Coming and going takes a third away.
                assert!(shares[shares.len() / 2] > 0.6, "{shares:?}");
            }
        }
        ann.stop();
    });
}

#[test]
fn who_nobody_reads_finishes_the_files_and_leaves_the_room() {
    with_server(|server| {
        let folder = tempfile::tempdir().unwrap();
        let ann = Call::start(server, "ann", &["--audio", "tone"]);
        ann.until("joined", |_| true);
        let mut bob = Command::new(env!("CARGO_BIN_EXE_metered"))
            .args(["call", "room", "--json", "--local-address", "127.0.0.1", "--url"])
            .args([&server.url(), "--record", folder.path().to_str().unwrap()])
            .env_remove("METERED_API_KEY")
            .env("METERED_TOKEN", server.token("bob").unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(bob.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains(r#""type":"recording""#)).unwrap();
        drop(lines);
        assert_eq!(bob.wait().unwrap().code(), Some(1));
        let mut said = String::new();
        bob.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("output_closed"), "{said}");
        ann.until("peer-left", |left| left["peerId"] == "bob");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert!(!heard(Path::new(line["file"].as_str().unwrap())).is_empty());
        ann.stop();
    });
}

#[test]
fn it_leaves_after_its_time_and_says_what_cannot_be_sent() {
    with_server(|server| {
        let mut call = Call::start(server, "ann", &["--audio", "tone", "--duration", "0.5"]);
        call.until("joined", |_| true);
        assert_eq!(call.child.wait().unwrap().code(), Some(0));
        let clip = format!("{}/assets/clips/counter_vp8.ivf", env!("CARGO_MANIFEST_DIR"));
        let whole = std::fs::read(clip).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("cut.ivf");
        std::fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
        let call = Call::start(server, "ann", &["--video", cut.to_str().unwrap()]);
        let told = call.until("note", |_| true);
        let told = told["text"].as_str().unwrap();
        assert!(told.starts_with("--video: the file ends") && told.contains("3.96 s"), "{told}");
        call.until("joined", |_| true);
        assert!(call.stop().iter().all(|line| line["type"] != "note"));
        let sources =
            [["--video", "nowhere.ivf", "file_io"], ["--video", "tone", "source_other_kind"]];
        for [option, source, code] in sources {
            let mut call = Call::start(server, "bob", &[option, source]);
            assert_eq!(call.child.wait().unwrap().code(), Some(1));
            let mut said = String::new();
            call.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(said.contains(code) && said.contains("fix:"), "{said}");
        }
    });
}

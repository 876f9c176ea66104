//! The task of one client: owns the session, the socket and the secrets, and does what the session says.
//!
//! It starts with `connect` and ends with the session's end; nothing of it outlives that. It holds no lock
//! across an await and never calls into the app but for the token provider, whose future it polls itself
//! and drops when the session has no use for it any more. Its inputs are the commands of the handles (a
//! bounded queue), the socket, the dial, the provider and one timer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::client::Shared;
use super::connection::{Connection, SocketEvent};
use super::error::{ConnectError, RequestError};
use super::event::{Connected, Event, State};
use super::session::{Input, Output, Request, RequestKind, Session, TokenOutcome};
use super::socket::{DialError, DialProgress, Socket, Target, dial};
use crate::credential::preflight::{self, Claims};
use crate::credential::{Credential, Token, TokenProviderError, ask};
use crate::wire::CloseCode;

/// Commands taken before the socket gets its turn again.
const COMMANDS_PER_TURN: usize = 128;
/// Events published before the subscribers get a turn; well below what their queues hold.
const EVENTS_PER_YIELD: usize = 256;
/// Events of the socket taken before commands get their turn again.
const EVENTS_PER_TURN: usize = 64;

/// What a handle asks for.
pub(crate) enum Command {
    Connect(oneshot::Sender<Result<(), ConnectError>>),
    Close { code: CloseCode, reason: String },
    Request(Request, RequestTarget, oneshot::Sender<Result<(), RequestError>>),
    NetworkChanged,
    EnteredBackground,
    EnteredForeground,
    ReconnectNow,
}

/// What the preflight has to look at.
pub(crate) enum RequestTarget {
    Channel(Box<str>),
    Peer,
    None,
}

type Fetched = Result<Token, TokenProviderError>;
type Dialled = Result<Box<Socket>, DialError>;
type BoxedFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) struct Actor {
    session: Session,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    credential: Credential,
    preflight: bool,
    target: Arc<Target>,
    token: Option<Token>,
    claims: Option<Claims>,
    /// What the server's clock said, in seconds since 1970, and when.
    server_clock: Option<(f64, Instant)>,
    started: Instant,
    fetch: Option<(u64, BoxedFuture<Fetched>)>,
    dial: Option<(u64, DialProgress, BoxedFuture<Dialled>)>,
    connection: Option<(u64, Connection)>,
    /// One timer for the actor's life, moved when the next deadline is another.
    timer: Pin<Box<Sleep>>,
    armed: Option<Duration>,
    /// Events published since the subscribers had a turn.
    published: usize,
    connect_reply: Option<oneshot::Sender<Result<(), ConnectError>>>,
    replies: FxHashMap<u64, oneshot::Sender<Result<(), RequestError>>>,
}

/// What woke the actor.
enum Wake {
    Command(Option<Command>),
    Fetched(Fetched),
    Dialled(Dialled),
    Socket(SocketEvent),
    Timer,
}

impl Actor {
    pub(crate) fn new(
        session: Session,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        credential: Credential,
        preflight: bool,
        target: Arc<Target>,
    ) -> Self {
        Self {
            session,
            shared,
            commands,
            credential,
            preflight,
            target,
            token: None,
            claims: None,
            server_clock: None,
            started: Instant::now(),
            fetch: None,
            dial: None,
            connection: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            published: 0,
            connect_reply: None,
            replies: FxHashMap::default(),
        }
    }

    /// Runs until the session is over.
    pub(crate) async fn run(mut self) {
        let mut handles_gone = false;
        loop {
            self.obey();
            if self.session.is_over() {
                break;
            }
            if self.published >= EVENTS_PER_YIELD {
                // On a busy connection there is always something to read: whoever reads the events must
                // have a turn before their queue is full.
                self.published = 0;
                tokio::task::yield_now().await;
            }
            match self.wake(handles_gone).await {
                Wake::Command(Some(command)) => {
                    self.command(command);
                    for _ in 1..COMMANDS_PER_TURN {
                        match self.commands.try_recv() {
                            Ok(command) => self.command(command),
                            Err(_) => break,
                        }
                    }
                }
                Wake::Command(None) => {
                    // The last handle is gone: nobody can close it any more.
                    handles_gone = true;
                    let reason = "client dropped".to_owned();
                    self.handle(Input::Close { code: CloseCode::NORMAL, reason });
                }
                Wake::Fetched(fetched) => self.fetched(fetched),
                Wake::Dialled(result) => self.dialled(result),
                Wake::Socket(event) => {
                    self.socket_event(event);
                    self.ready_socket_events();
                }
                Wake::Timer => self.timer(),
            }
        }
        self.refuse_the_rest();
    }

    async fn wake(&mut self, handles_gone: bool) -> Wake {
        let deadline = self.session.next_deadline();
        if let Some(at) = deadline
            && self.armed != deadline
        {
            self.timer.as_mut().reset(self.started + at);
            self.armed = deadline;
        }
        tokio::select! {
            command = self.commands.recv(), if !handles_gone => Wake::Command(command),
            event = next_of(self.connection.as_mut()) => Wake::Socket(event),
            result = poll_slot(self.dial.as_mut().map(|(_, _, future)| future)) => Wake::Dialled(result),
            fetched = poll_slot(self.fetch.as_mut().map(|(_, future)| future)) => Wake::Fetched(fetched),
            () = &mut self.timer, if deadline.is_some() => Wake::Timer,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        let probed = self.session.is_probed();
        self.session.handle(now, input);
        if probed == Some(true) && self.session.is_probed() == Some(false) {
            self.shared.heard.send_modify(|probes| *probes += 1);
        }
    }

    fn command(&mut self, command: Command) {
        self.shared.queued.fetch_sub(1, Ordering::Relaxed);
        match command {
            Command::Connect(reply) => {
                if let Some(earlier) = self.connect_reply.replace(reply) {
                    // Cannot happen: the client starts an actor for each connect.
                    drop(earlier.send(Err(ConnectError::Internal { what: "two connects" })));
                }
                self.handle(Input::Connect);
            }
            Command::Close { code, reason } => self.handle(Input::Close { code, reason }),
            Command::Request(request, target, reply) => self.request(request, target, reply),
            Command::NetworkChanged => {
                self.leave_a_former_network();
                self.handle(Input::NetworkChanged);
            }
            Command::EnteredBackground => self.handle(Input::EnteredBackground),
            Command::EnteredForeground => {
                self.leave_a_former_network();
                self.handle(Input::EnteredForeground);
            }
            Command::ReconnectNow => {
                self.leave_a_former_network();
                self.handle(Input::ReconnectNow);
            }
        }
    }

    /// A socket of a network that the device has left is as good as closed: a probe would only take time.
    fn leave_a_former_network(&mut self) {
        if let Some((attempt, _)) =
            self.connection.take_if(|(_, connection)| connection.is_left_behind())
        {
            tracing::debug!(attempt, "the socket belongs to a former network");
            let (code, reason) = (CloseCode::ABNORMAL, String::new());
            self.handle(Input::SocketClosed { attempt, code, reason });
        }
    }

    fn request(
        &mut self,
        request: Request,
        target: RequestTarget,
        reply: oneshot::Sender<Result<(), RequestError>>,
    ) {
        let refused = match (&self.claims, target) {
            (Some(claims), RequestTarget::Channel(channel))
                if matches!(request.kind, RequestKind::Subscribe { .. } | RequestKind::Publish) =>
            {
                claims.check_channel(&channel).err()
            }
            (Some(claims), RequestTarget::Peer) => claims.check_send().err(),
            _ => None,
        };
        match refused {
            // A caller that has gone needs no answer.
            Some(error) => drop(reply.send(Err(RequestError::Preflight(Arc::new(error))))),
            None => {
                self.replies.insert(request.id, reply);
                self.handle(Input::Request(request));
            }
        }
    }

    /// Looks into a token; `None` for one that is fit.
    fn fetched(&mut self, fetched: Fetched) {
        let Some((ticket, _)) = self.fetch.take() else { return };
        let outcome = match fetched {
            Ok(token) => {
                let fresh = self.token.as_ref().is_none_or(|before| !before.same_as(&token));
                let now = self.unix_now();
                let checked = match self.preflight {
                    true => preflight::check(token.expose(), now).map(Some),
                    false => Ok(None),
                };
                self.token = Some(token);
                match checked {
                    Ok(claims) => {
                        self.claims = claims;
                        TokenOutcome::Ready { fresh }
                    }
                    Err(error) => TokenOutcome::Unfit { fresh, error: Arc::new(error) },
                }
            }
            Err(error) => TokenOutcome::Failed(Arc::new(error)),
        };
        self.handle(Input::Token { ticket, outcome });
    }

    fn dialled(&mut self, result: Dialled) {
        let Some((attempt, _, _)) = self.dial.take() else { return };
        match result {
            Ok(socket) => {
                self.connection = Some((attempt, Connection::new(*socket)));
                self.handle(Input::Opened { attempt });
            }
            Err(error) => self.handle(Input::DialFailed { attempt, error: error.into() }),
        }
    }

    fn socket_event(&mut self, event: SocketEvent) {
        let Some((attempt, _)) = self.connection else { return };
        match event {
            SocketEvent::Text(text) => self.handle(Input::Text { attempt, text: text.as_str() }),
            SocketEvent::Binary => self.handle(Input::Binary { attempt }),
            SocketEvent::TooBig => self.handle(Input::TooBig { attempt }),
            SocketEvent::Flushed(frames) => self.handle(Input::Flushed { attempt, frames }),
            SocketEvent::Closed { code, reason } => {
                self.connection = None;
                self.handle(Input::SocketClosed { attempt, code, reason });
            }
        }
    }

    fn timer(&mut self) {
        if let Some((_, progress, _)) = &self.dial {
            self.session.note_phase(progress.phrase());
        }
        // After a freeze the answers may be there already: hear them before judging.
        self.ready_socket_events();
        self.armed = None;
        let now = self.now();
        self.session.handle_timeout(now);
    }

    /// What the socket has at hand, without waiting.
    fn ready_socket_events(&mut self) {
        for _ in 0..EVENTS_PER_TURN {
            let Some((_, connection)) = self.connection.as_mut() else { break };
            match connection.next().now_or_never() {
                Some(event) => self.socket_event(event),
                None => break,
            }
        }
    }

    /// Does all that the session wants done.
    fn obey(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::FetchToken { ticket } => self.start_fetch(ticket),
                Output::CancelToken => self.fetch = None,
                Output::Dial { attempt } => self.start_dial(attempt),
                Output::Write { attempt, text } => match &mut self.connection {
                    Some((current, connection)) if *current == attempt => connection.send(text),
                    _ => {}
                },
                Output::CloseSocket { attempt, code, reason } => match &mut self.connection {
                    Some((current, connection)) if *current == attempt => {
                        connection.start_close(code, &reason);
                    }
                    _ => {}
                },
                Output::DropSocket { attempt, code, reason } => {
                    if let Some((_, progress, _)) =
                        self.dial.take_if(|(current, ..)| *current == attempt)
                    {
                        progress.end(false);
                    }
                    if let Some((_, connection)) =
                        self.connection.take_if(|(current, _)| *current == attempt)
                    {
                        connection.leave(code, reason);
                    }
                }
                Output::Event(event) => self.publish(&event),
                Output::ConnectDone(result) => {
                    if let Some(reply) = self.connect_reply.take() {
                        // A caller that has gone needs no answer.
                        drop(reply.send(result));
                    }
                }
                Output::RequestDone { id, result } => {
                    if let Some(reply) = self.replies.remove(&id) {
                        drop(reply.send(result));
                    }
                }
                Output::CloseDone => {}
            }
        }
        let (signalling, app) = self.session.waiting();
        let shared = &self.shared;
        shared.waiting_signalling.store(signalling, Ordering::Relaxed);
        shared.waiting_app.store(app, Ordering::Relaxed);
        shared.unanswered.store(self.session.unanswered(), Ordering::Relaxed);
        shared.max_message_size.store(self.session.max_message_size(), Ordering::Relaxed);
        shared.counters.send_if_modified(|counters| {
            let now = self.session.counters();
            std::mem::replace(counters, now) != now
        });
    }

    fn publish(&mut self, event: &Event) {
        match event {
            Event::StateChange { to, .. } => {
                self.shared.state.send_replace(*to);
            }
            Event::Connected(connected) => self.learn(connected),
            Event::Disconnected(lost) => {
                self.shared.connected.send_replace(None);
                tracing::info!(
                    code = lost.code.get(),
                    error = %lost.error,
                    again = lost.will_reconnect,
                    "disconnected"
                );
            }
            _ => {}
        }
        self.published += 1;
        self.shared.events.publish(event);
    }

    fn learn(&mut self, connected: &Arc<Connected>) {
        tracing::info!(again = connected.is_reconnect, "connected");
        if let Some(server) = connected.server_time {
            self.server_clock = Some((server.0, Instant::now()));
        }
        self.shared.connected.send_replace(Some(Arc::clone(connected)));
    }

    /// Seconds since 1970, as far as known. After a welcome the device's clock counts no more: corrected by hours
    /// it would make every fresh token look expired. What counts on instead may stand still while the device
    /// sleeps. Then an expired token passes, and the server refuses it.
    fn unix_now(&self) -> f64 {
        match self.server_clock {
            Some((said, at)) => said + at.elapsed().as_secs_f64(),
            None => unix_now(),
        }
    }

    fn start_fetch(&mut self, ticket: u64) {
        let future: BoxedFuture<Fetched> = match &self.credential {
            Credential::Provider(provider) => {
                let provider = Arc::clone(provider);
                Box::pin(async move { ask(&*provider).await })
            }
            Credential::Token(token) => Box::pin(std::future::ready(Ok(token.clone()))),
            Credential::ApiKey(_) => return,
        };
        self.fetch = Some((ticket, future));
    }

    fn start_dial(&mut self, attempt: u64) {
        let query = match (&self.credential, &self.token) {
            (Credential::ApiKey(key), _) => key.as_query(),
            (_, Some(token)) => token.as_query(),
            // Cannot happen: the session dials after a token only.
            (_, None) => return,
        };
        tracing::debug!(attempt, "dialling");
        let progress = DialProgress::default();
        self.shared.note_attempt(&progress);
        let target = Arc::clone(&self.target);
        let watched = progress.clone();
        let future = Box::pin(async move { dial(&target, &query, &watched).await.map(Box::new) });
        self.connection = None;
        self.dial = Some((attempt, progress, future));
    }

    /// Answers what came too late for the session.
    fn refuse_the_rest(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Connect(reply) => {
                    let error = ConnectError::InvalidState { state: self.session.state() };
                    drop(reply.send(Err(error)));
                }
                Command::Request(_, _, reply) => {
                    drop(reply.send(Err(RequestError::NotConnected { state: State::Closed })));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Actor {
    /// However the task ends, nobody is left to believe in a connection.
    fn drop(&mut self) {
        if !self.session.is_over() {
            self.shared.abandoned();
        }
    }
}

/// Polls what a slot holds, for ever if it is empty.
async fn poll_slot<T>(slot: Option<&mut BoxedFuture<T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn next_of(connection: Option<&mut (u64, Connection)>) -> SocketEvent {
    match connection {
        Some((_, connection)) => connection.next().await,
        None => std::future::pending().await,
    }
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::signalling::SignallingOptions;
    use crate::wire::UnixSeconds;

    fn actor() -> Actor {
        let options = SignallingOptions::with_token(token(1.0)).unwrap();
        let config = options.session_config().unwrap();
        let session = Session::new(config, Box::new(|| 0.0), State::Idle, Duration::ZERO);
        let target = Arc::new(options.target().unwrap());
        let (_, commands) = mpsc::unbounded_channel();
        Actor::new(session, Arc::new(Shared::new()), commands, options.credential, true, target)
    }

    fn token(exp: f64) -> String {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let claims = format!(r#"{{"sub":"alice","exp":{exp}}}"#);
        format!("{}.{}.c2ln", part(r#"{"alg":"HS256","kid":"k"}"#), part(&claims))
    }

    /// Whether the preflight lets a token pass that ends then.
    fn passes(actor: &mut Actor, exp: f64) -> bool {
        actor.claims = None;
        actor.fetch = Some((0, Box::pin(std::future::pending())));
        actor.fetched(Ok(Token::new(token(exp)).unwrap()));
        actor.claims.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_welcome_the_clock_of_the_device_counts_no_more() {
        const HOUR: f64 = 3_600.0;
        let mut actor = actor();
        let device = unix_now();
        assert!(passes(&mut actor, device + HOUR) && !passes(&mut actor, device - HOUR));
        // The service's clock is a day behind; the device's is set back by an hour later.
        let service = device - 24.0 * HOUR;
        actor.learn(&Arc::new(Connected {
            peer_id: "alice".to_owned(),
            server_time: Some(UnixSeconds(service)),
            expires_at: None,
            is_reconnect: false,
            max_message_size: 0,
            ice_servers: None,
        }));
        assert!(passes(&mut actor, service + 60.0) && !passes(&mut actor, service - 60.0));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!(passes(&mut actor, service + HOUR + 60.0));
        assert!(!passes(&mut actor, service + HOUR - 60.0));
    }
}

//! The credential's shape, before anything is sent.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metered_realtime::credential::preflight::{self, PreflightError};
use metered_realtime::credential::{Claims, Credential, Token};

use super::report::{Problem, Report, Told, id};
use crate::connection::Given;
use crate::output::Failure;

/// Whether it is of any use to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    /// By this device's clock, which may be what is wrong.
    Expired,
    Bad,
}

/// Looks at a key, or into a token.
pub(super) async fn check(
    report: &mut Report,
    given: Given<'_>,
    credential: &Credential,
    limit: Duration,
) -> Result<Verdict, Failure> {
    let began = Instant::now();
    let told = || Told::took(began.elapsed());
    match (given, credential) {
        (Given::Key(key), _) => of_key(report, told(), key),
        (Given::Token(token), _) => of_token(report, told(), token.trim()),
        (Given::Elsewhere, Credential::Provider(provider)) => {
            let problem = match tokio::time::timeout(limit, provider.token()).await {
                Ok(Ok(text)) => match Token::new(text.clone()) {
                    Ok(_) => return of_token(report, told(), text.trim()),
                    Err(error) => Problem::from(error),
                },
                Ok(Err(error)) => {
                    Problem::diagnosed(error.code(), error.to_string(), error.diagnosis())
                }
                Err(_) => Problem::timed_out(limit),
            };
            report.fail(id::CREDENTIAL, told().with("kind", "provider"), problem)?;
            Ok(Verdict::Bad)
        }
        (Given::Elsewhere, _) => Ok(Verdict::Good),
    }
}

fn of_key(report: &mut Report, told: Told, key: &str) -> Result<Verdict, Failure> {
    let told = told.with("kind", "key");
    if key.starts_with("eyJ") {
        let problem = Problem::new(
            "token_given_as_key",
            "this is a token, given as a key",
            "A text that begins with eyJ is a token (JWT); the service looks for a key of that name and finds none.",
            "Give it as the token: --token here, with_token or a token provider in the app.",
        );
        report.fail(id::CREDENTIAL, told, problem)?;
        return Ok(Verdict::Bad);
    }
    if !key.starts_with("pk_") {
        let problem = Problem::new(
            "unusual_key",
            "a key that does not begin with pk_",
            "Publishable keys begin with pk_live_; this one may be a part of a key, or of another product.",
            "Copy the publishable key of the app again, whole, from the dashboard.",
        );
        report.warn(id::CREDENTIAL, told, problem)?;
        return Ok(Verdict::Good);
    }
    report.ok(id::CREDENTIAL, told, "a publishable key; its rights show below")?;
    Ok(Verdict::Good)
}

fn of_token(report: &mut Report, told: Told, token: &str) -> Result<Verdict, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let told = told.with("kind", "token");
    if token.starts_with("pk_") {
        let problem = Problem::new(
            "key_given_as_token",
            "this is a key, given as a token",
            "A text that begins with pk_ is a publishable key, and a token is a JWT that a backend signed.",
            "Give it as the key: --key here, with_api_key in the app.",
        );
        report.fail(id::CREDENTIAL, told, problem)?;
        return Ok(Verdict::Bad);
    }
    match preflight::check(token, now) {
        Ok(claims) => {
            let detail = words(&claims, now);
            let told = told
                .with("peerId", claims.sub)
                .with("expiresInSeconds", (claims.exp - now).round())
                .with("channelPatterns", claims.channels.map(|patterns| patterns.len()))
                .with("permissions", claims.permissions);
            report.ok(id::CREDENTIAL, told, &detail)?;
            Ok(Verdict::Good)
        }
        Err(error) => {
            let expired = matches!(error, PreflightError::Expired { .. });
            let problem = Problem::diagnosed(error.code(), error.to_string(), error.diagnosis());
            report.fail(id::CREDENTIAL, told, problem)?;
            Ok(if expired { Verdict::Expired } else { Verdict::Bad })
        }
    }
}

fn words(claims: &Claims, now: f64) -> String {
    let left = claims.exp - now;
    let left = match left {
        left if left < 120.0 => format!("{left:.0} s"),
        left if left < 7_200.0 => format!("{:.0} min", left / 60.0),
        left => format!("{:.0} h", left / 3_600.0),
    };
    let channels = match claims.channels.as_ref().map(Vec::len) {
        None => "all channels of its key".to_owned(),
        Some(1) => "1 channel pattern".to_owned(),
        Some(n) => format!("{n} channel patterns"),
    };
    let permissions = match &claims.permissions {
        None => "all actions of its key".to_owned(),
        Some(actions) => format!("actions {}", actions.join(", ")),
    };
    format!("a token for {}, ends in {left}, {channels}, {permissions}", claims.sub)
}
